"""A sample of the texts in files that are about to be indexed: enough to tell their language, and cheap to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.media import MediaInfo, MediaReader
from vlm2vec_rag.pixels import MIN_PIXELS

FILES = 20  # read of a folder, spread over all of it
ITEMS = 2  # of each
COSTLY_FILES = 3  # office documents, which are converted first, and videos, which are decoded
CLIP_S = 60.0

T = TypeVar("T")


def sample_texts(files: Sequence[tuple[Path, MediaInfo]], reader: MediaReader) -> list[str]:
    """Texts of some of the files, from all over them. Words in pixels are not read: that takes seconds for each page.

    A file that cannot be read gives nothing; whoever indexes it will say why.
    """
    by_kind: dict[str, list[tuple[Path, MediaInfo]]] = {}
    for each in files:
        by_kind.setdefault(each[1].kind, []).append(each)
    texts: list[str] = []
    for path, info in spread([*by_kind.get("text", []), *by_kind.get("pdf", [])], FILES):
        texts += _texts(path, info, reader)
    for kind in ("document", "video"):
        for path, info in spread(by_kind.get(kind, []), COSTLY_FILES if not texts else 0):
            texts += _texts(path, info, reader)
    return texts


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many of the values, at equal distances, none of them first or last where it can be helped."""
    count = min(most, len(values))
    return [values[(2 * each + 1) * len(values) // (2 * count)] for each in range(count)]


def _texts(path: Path, info: MediaInfo, reader: MediaReader) -> list[str]:
    readers: dict[str, Callable[[], Iterator[str]]] = {
        "text": lambda: (item.text for item in islice(reader.items(path), ITEMS)),
        "pdf": lambda: _pages(path, info, reader),
        "document": lambda: _pages(path, info, reader),
        "video": lambda: iter([reader.clip(path, 0.0, CLIP_S, frames=1, max_pixels=MIN_PIXELS).text]),
    }
    texts: list[str] = []
    with suppress(MediaError, OSError):  # told when it is indexed
        texts.extend(text for text in readers[info.kind]() if text.strip())
    return texts


def _pages(path: Path, info: MediaInfo, reader: MediaReader) -> Iterator[str]:
    for page in spread(range(1, info.items + 1), ITEMS):
        yield reader.page(path, page, max_pixels=MIN_PIXELS).text
