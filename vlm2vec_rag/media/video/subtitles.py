"""What is said while a clip runs: subtitles beside a video (.srt, .vtt) or inside it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vlm2vec_rag.media.decode import clean, decode

SUFFIXES = (".srt", ".vtt")

_TIMING = re.compile(r"\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[^<>]*>|\{\\[^{}]*\}")  # <i>, <v Ann>, <00:01.000>, {\an8}


@dataclass(frozen=True, slots=True)
class Cue:
    """Words and when they are shown."""

    start_s: float
    end_s: float
    text: str


def beside(video: Path) -> Path | None:
    """The subtitle file of a video: `talk.srt` for `talk.mp4`, else the first of `talk.en.srt`, `talk.de.vtt`, ..."""
    try:
        neighbours = sorted(video.parent.iterdir())
    except OSError:
        return None
    own = [video.stem + suffix for suffix in SUFFIXES]
    named = [path for path in neighbours if path.name in own]
    languages = [path for path in neighbours if path.suffix in SUFFIXES and Path(path.stem).stem == video.stem]
    # a link could lead to any file of this machine, whose text would end up in a collection
    return next((path for path in named + languages if path.is_file() and not path.is_symlink()), None)


def parse(data: bytes) -> list[Cue]:
    """The cues of an SRT or WebVTT file, in order of time. What is no cue is passed over."""
    cues = []
    for block in re.split(r"\n[ \t]*\n", decode(data)[0]):
        lines = block.split("\n")
        for position, line in enumerate(lines):
            if match := _TIMING.match(line):
                start_s, end_s = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
                text = plain(" ".join(lines[position + 1 :]))
                if text and end_s > start_s:
                    cues.append(Cue(start_s, end_s, text))
                break
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def plain(text: str) -> str:
    """Words without markup, on one line."""
    return " ".join(html.unescape(_TAG.sub("", clean(text))).split())


def said(cues: Iterable[Cue], start_s: float, end_s: float) -> str:
    """What is shown at any time in `start_s <= time < end_s`, one cue a line; a line that repeats is kept once.

    Live captions roll: each cue repeats the line before it.
    """
    lines: list[str] = []
    for cue in cues:
        if cue.start_s < end_s and cue.end_s > start_s and (not lines or lines[-1] != cue.text):
            lines.append(cue.text)
    return "\n".join(lines)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
