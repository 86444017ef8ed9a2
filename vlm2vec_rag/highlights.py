"""The best moments of a video for some questions, and one MP4 that shows them one after the other with titles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.disk import replacing
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import Hit
from vlm2vec_rag.moments import Span, temporal_iou

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader

SAME = 0.5  # temporal IoU above which two questions mean the same moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """A moment and what it was asked for."""

    title: str
    start_s: float
    end_s: float
    score: float


def check_questions(questions: Sequence[str], *, each: int, longest_s: float) -> None:
    """See that highlights can be looked for.

    Raises:
        EmptyInput: There are no questions, or an empty one.
        InvalidInput: A number makes no sense.
    """
    if isinstance(questions, str) or not questions or not all(question.strip() for question in questions):
        raise EmptyInput("no question, or an empty one; say in a list what the highlights should show")
    if each < 1 or not longest_s > 0:
        raise InvalidInput(f"each={each}, longest_s={longest_s}; expected at least 1, and more than 0 seconds")


def highlights_of(found: Mapping[str, Sequence[Hit]], *, longest_s: float) -> list[Highlight]:
    """The moments found for each question, in order of time; one that answers several has all their titles.

    Args:
        found: Hits of kind clip by question.
        longest_s: A longer moment is cut to so many seconds around its middle.
    """
    highlights = []
    for question, hits in found.items():
        for hit in hits:
            start_s, end_s = _shortened(hit.start_s or 0.0, hit.end_s or 0.0, longest_s)
            highlights.append(Highlight(title=question.strip(), start_s=start_s, end_s=end_s, score=hit.score))
    return _together(highlights)


def write_reel(
    video: str | os.PathLike[str],
    highlights: Sequence[Highlight],
    target: str | os.PathLike[str],
    reader: MediaReader,
    *,
    max_pixels: int = 1280 * 720,
    font: str | None = None,
) -> bool:
    """Cut the highlights to one MP4 (H.264, AAC), each with its title on its lower edge.

    Frames come from the reader, in its own process and under its limits; only sound is decoded here, with the same
    demuxer by name and no other file or address ever followed. The target is written whole or not at all.

    Args:
        video: Where they are from.
        highlights: In the order in which they are shown.
        target: The MP4; one that is there is replaced.
        reader: Opens the video.
        max_pixels: Larger frames are reduced.
        font: A TrueType file for titles in scripts that Pillow's own Latin font does not hold.

    Returns:
        Whether there is sound; a video without sound makes a reel without.

    Raises:
        EmptyInput: There are no highlights.
        InvalidInput: The target is the video itself, or no MP4.
        MediaError: The video can no longer be read.
    """
    from vlm2vec_rag.reel import Reel

    if not highlights:
        raise EmptyInput("there are no highlights to show; ask for something else")
    path = Path(target)
    if path.suffix.lower() != ".mp4":
        raise InvalidInput(f"the reel is to be {path}; expected a name that ends in .mp4")
    if path.exists() and path.samefile(video):
        raise InvalidInput(f"the reel would replace the video {path}; name another file")
    with (
        replacing(path) as part,
        Reel(part, os.fspath(video), reader, max_pixels=max_pixels, font=font) as reel,
    ):
        for highlight in highlights:
            reel.add(highlight.start_s, highlight.end_s, highlight.title)
    return reel.has_sound


def _shortened(start_s: float, end_s: float, longest_s: float) -> tuple[float, float]:
    if end_s - start_s <= longest_s:
        return start_s, end_s
    middle = (start_s + end_s) / 2
    return middle - longest_s / 2, middle + longest_s / 2


def _together(found: Sequence[Highlight]) -> list[Highlight]:
    """In order of time; where two are nearly the same moment, the better one with both titles."""
    kept: list[Highlight] = []
    for highlight in sorted(found, key=lambda each: (-each.score, each.start_s)):
        same = next((index for index, other in enumerate(kept) if _iou(highlight, other) > SAME), None)
        if same is None:
            kept.append(highlight)
        elif highlight.title not in kept[same].title.split(" · "):
            kept[same] = replace(kept[same], title=f"{kept[same].title} · {highlight.title}")
    return sorted(kept, key=lambda each: each.start_s)


def _iou(one: Highlight, other: Highlight) -> float:
    return temporal_iou(Span(one.start_s, one.end_s, 0.0), Span(other.start_s, other.end_s, 0.0))
