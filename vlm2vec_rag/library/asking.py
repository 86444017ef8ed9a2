"""What people type or hand over, to a Query and a Filter: once, for every face.

The command line, the server and both frameworks take the same values here: a filter is a handful of strings as a
person writes them, a question is words, an image, a clip, or words about one. A string of a question is always words;
only what is given as an image or a clip is opened, and in the reader's guarded process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from vlm2vec_rag.collection.filters import Filter, is_pattern
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import KINDS, Query

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

ImageInput: TypeAlias = "str | os.PathLike[str] | PILImage"
"""A path, a `file://` address, or an image in memory."""

ClipInput: TypeAlias = "str | os.PathLike[str] | Sequence[PILImage]"
"""A path, a `file://` address, or the frames of a clip."""

FilterInput: TypeAlias = "Filter | Mapping[str, Any] | None"
"""A Filter, or what `build_filter` takes, by name: `{"kind": "page", "source": "*.pdf", "pages": "3-9"}`."""

TYPED_FILTERS = ("kind", "source", "pages", "time", "since", "until", "metadata")
"""The names under which every face takes filters."""


def build_query(
    text: str = "", *, image: ImageInput | None = None, clip: ClipInput | None = None, reader: MediaReader | None = None
) -> Query:
    """Make a question of words, an image, a clip, or words about one.

    Args:
        text: The words; never taken for a path.
        image: Shown with the question. A path or a `file://` address is read by `reader`.
        clip: Shown with the question, a whole video as one clip.
        reader: Opens files; needed where a path is given.

    Raises:
        EmptyInput: There are neither words nor pixels.
        InvalidInput: Both an image and a clip are given, or a path where no reader is.
        MediaError: The file cannot be read; the message names it.
    """
    if image is not None and clip is not None:
        raise InvalidInput("the question shows an image and a clip; the model takes one of them")
    if not isinstance(text, str):
        raise InvalidInput(f"the question is a {type(text).__name__}; expected words in a str")
    if image is None and clip is None:
        if not text.strip():
            raise EmptyInput("the question is empty; ask with words, an image or a clip")
        return Query(text=text)
    if image is not None:
        if isinstance(image, str | os.PathLike):
            path = path_of(image)
            image = _reader(reader).image(path).image
        return Query(text=text, image=image)
    if isinstance(clip, str | os.PathLike):
        path, opened = path_of(clip), _reader(reader)
        duration_s = opened.probe(path).duration_s
        return Query(text=text, frames=opened.clip(path, 0.0, duration_s or 0.0).frames)
    frames = tuple(clip or ())
    if not frames:
        raise EmptyInput("the clip of the question has no frames; give its path, or one frame at least")
    return Query(text=text, frames=frames)


def build_filter(
    *,
    kind: str | Iterable[str] = (),
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    pages: str | int | tuple[int | None, int | None] | None = None,
    time: str | float | tuple[float | None, float | None] | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Filter | None:
    """Make a filter of values as people type them; None where all are empty.

    Args:
        kind: page, image, clip or text, one or several; a string may hold several with commas.
        source: A file, all below a `folder/`, or a pattern such as `*.pdf`, where `*` stays within a folder and `**`
            does not; one or several. What is not on this disk is looked for by its name in any folder.
        pages: `12`, `3-9`, `40-` or `-9`, counted from 1.
        time: Clips that overlap these seconds: `60-90`, `300-`, `1:00-1:30`.
        since: Files written on this day or later: `2026-01-31`.
        until: Files written on this day or earlier, the day itself included.
        metadata: Fields of one's own and the values they must have.

    Raises:
        InvalidInput: A value cannot be understood; the message names it and shows one that can.
    """
    kinds = [part.strip() for each in _several(kind, "kind") for part in each.split(",")]
    unknown = [each for each in kinds if each not in KINDS]
    if unknown:
        raise InvalidInput(f"kind {unknown[0]!r} is not one of {', '.join(KINDS)}")
    made = Filter(
        kinds=tuple(kinds),  # type: ignore[arg-type]  # looked at above
        paths=tuple(source_path(each) for each in _several(source, "source")),
        pages=_pages(pages),
        times_s=None if _is_empty(time) else span(time, "time"),
        modified_after=_day(since, "since"),
        modified_before=_day(until, "until", end=True),
        metadata=dict(metadata or {}),
    )
    return None if made == Filter() else made


def to_filter(filter: FilterInput) -> Filter | None:  # noqa: A002  what every retrieval library calls it
    """A filter as given, or made of typed values by their names.

    Raises:
        InvalidInput: There is no such name, or a value cannot be understood.
    """
    if filter is None or isinstance(filter, Filter):
        return filter
    unknown = sorted(set(filter) - set(TYPED_FILTERS))
    if unknown:
        raise InvalidInput(
            f"no filter is called {unknown[0]!r}; expected some of {', '.join(TYPED_FILTERS)} "
            "(fields of one's own go into 'metadata')"
        )
    return build_filter(**filter)


def span(given: Any, name: str) -> tuple[float | None, float | None]:
    """Two ends, both included, of `12`, `3-9`, `40-`, `-9` or `1:00-1:30`; None leaves an end open.

    Args:
        given: A string, a number, or the two ends themselves.
        name: What the reader of an error knows it as.

    Raises:
        InvalidInput: It is no range, or its end comes before its start.
    """
    start: float | None
    end: float | None
    match given:
        case (start, end):
            pass
        case str():
            first, dash, last = given.partition("-")
            start, end = _number(first, name, given), _number(last, name, given)
            end = end if dash else start
        case bool():
            start = end = None
        case int() | float():
            start = end = float(given)
        case _:
            start = end = None
    if start is None and end is None:
        raise InvalidInput(f"{name} {given!r} is no range; expected for example 12, 3-9 or 40-")
    if start is not None and end is not None and end < start:
        raise InvalidInput(f"{name} {given!r} ends before it begins; expected the smaller end first")
    return start, end


def source_path(given: str | os.PathLike[str]) -> str:
    """A source as the collection knows it: absolute where it is on this disk; any other name matches in every folder.

    Raises:
        InvalidInput: It is empty or means everything; see `check_source`.
    """
    named = check_source(given)
    if is_pattern(named):
        return named
    path = Path(named).expanduser()
    if path.is_dir():
        return path.resolve().as_posix().rstrip("/") + "/"
    if path.exists():
        return path.resolve().as_posix()
    if named.startswith("/") or "://" in named or named.startswith("document:"):
        return named
    return f"**/{named}**" if named.endswith("/") else f"**/{named}"


def check_source(given: str | os.PathLike[str]) -> str:
    """A source as given.

    Raises:
        InvalidInput: It is empty or a mere dot. Neither may stand for everything below here: a script whose variable
            is empty would then mean all files.
    """
    named = os.fspath(given)
    if not named.strip() or not re.sub(r"[./\\\s]", "", named):
        raise InvalidInput(
            f"the source {named!r} names no file; expected a file, a folder/ by its name, or a pattern such as '*.pdf'"
        )
    return named


def path_of(given: str | os.PathLike[str]) -> Path:
    """The path of a file given as a path or a `file://` address.

    Raises:
        InvalidInput: It is another address, which is never fetched, or empty.
    """
    text = os.fspath(given)
    if not text.strip():
        raise InvalidInput("the path of a file is empty; give the path of an image or video")
    address = urlsplit(text)
    if address.scheme == "file":
        return Path(unquote(address.path))
    if "://" in text:
        raise InvalidInput(f"{text[:200]!r} is an address, and none is fetched; save the file and give its path")
    return Path(text).expanduser()


def _reader(reader: MediaReader | None) -> MediaReader:
    if reader is None:
        raise InvalidInput("the question shows a file, and there is no reader to open it; give it in memory")
    return reader


def _several(given: Any, name: str) -> list[str]:
    """One value, or several in a list; one that is blank is none."""
    if isinstance(given, str) and not given.strip():
        return []
    values = [given] if isinstance(given, str | os.PathLike) else list(given or ())
    for each in values:
        if not isinstance(each, str | os.PathLike):
            raise InvalidInput(f"{name} holds a {type(each).__name__}; expected strings")
    return [os.fspath(each) for each in values]


def _pages(given: Any) -> tuple[int | None, int | None] | None:
    if _is_empty(given):
        return None
    start, end = span(given, "pages")
    whole = tuple(None if each is None else int(each) for each in (start, end))
    if any(each is not None and each != as_int for each, as_int in zip((start, end), whole, strict=True)):
        raise InvalidInput(f"pages {given!r} holds a fraction; expected for example 12, 3-9 or 40-")
    return whole  # type: ignore[return-value]  # two of them


def _number(text: str, name: str, given: str) -> float | None:
    """A number, or a clock time of minutes and seconds, or hours as well; None for nothing."""
    if not text.strip():
        return None
    total = 0.0
    try:
        for part in text.strip().split(":"):
            value = float(part)
            if not 0 <= value < float("inf"):
                raise ValueError(part)
            total = total * 60 + value
    except ValueError:
        raise InvalidInput(f"{name} {given!r} is no range; expected for example 12, 3-9 or 40-") from None
    return total


def _day(given: str | datetime | None, name: str, *, end: bool = False) -> datetime | None:
    if _is_empty(given):
        return None
    if isinstance(given, datetime):
        return given
    try:
        day = datetime.fromisoformat(str(given).strip().replace("Z", "+00:00"))
    except ValueError:
        raise InvalidInput(f"{name} {given!r} is no date; expected for example 2026-01-31") from None
    is_date = len(str(given).strip()) <= len("2026-01-31")
    day = day if day.tzinfo else day.astimezone()
    return day + timedelta(days=1) if end and is_date else day  # the day itself is meant as well


def _is_empty(given: Any) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())
