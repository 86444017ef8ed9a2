"""Opens files and makes items of them. Runs inside the worker process; nothing here guards against hostile files.

Each method takes a path and says what to make, so that a worker that was ended and started again carries on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, TypeVar

from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnsupportedMedia
from vlm2vec_rag.items import Clip, Image, Item, Page
from vlm2vec_rag.media.images import ImageFile, TiffPages, open_image
from vlm2vec_rag.media.ocr import WordReader
from vlm2vec_rag.media.pdf.base import Word
from vlm2vec_rag.media.pdf.pages import PdfFile
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import Sniffed, sniff
from vlm2vec_rag.media.texts import TextFile
from vlm2vec_rag.media.video.clips import VideoFile

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


class MediaFile(Protocol):
    """An open file of any kind."""

    def info(self) -> MediaInfo: ...

    def item(self, index: int) -> Item: ...

    def close(self) -> None: ...


class PagedFile(Protocol):
    """An open document."""

    def page(self, page: int, max_pixels: int | None = None) -> Page: ...

    def words(self, page: int) -> list[Word]: ...

    def export(self, page: int, dpi: float) -> PILImage: ...


_File = TypeVar("_File", bound=MediaFile)
_NAMES: dict[type[MediaFile], str] = {
    PdfFile: "a PDF",
    VideoFile: "a video",
    ImageFile: "an image",
    TiffPages: "a TIFF of several pages",
    TextFile: "a text",
}


class Opener:
    """Keeps the last file open, because its pages or clips are usually asked for one after the other."""

    def __init__(self, settings: MediaSettings, limits: MediaLimits) -> None:
        self._settings, self._limits = settings, limits
        self._open: tuple[tuple[str, int, int, int], MediaFile] | None = None
        self._words = WordReader(limits.page_chars)  # loads nothing until it is asked

    def probe(self, path: str) -> MediaInfo:
        return self._file(path).info()

    def item(self, path: str, index: int) -> Item:
        return self._file(path).item(index)

    def read_words(self, path: str, index: int) -> Item:
        """An item with the words in its pixels."""
        return self._words.added(self._file(path).item(index))

    def page(self, path: str, page: int, max_pixels: int | None) -> Page:
        return self._paged(path).page(page, max_pixels)

    def words(self, path: str, page: int) -> list[Word]:
        return self._paged(path).words(page)

    def export(self, path: str, page: int, dpi: float) -> Image:
        return Image(image=self._paged(path).export(page, dpi), source=path)

    def clip(self, path: str, start_s: float, end_s: float, frames: int | None, max_pixels: int | None) -> Clip:
        return self._only(path, VideoFile).clip(start_s, end_s, frames, max_pixels)

    def image(self, path: str, max_pixels: int | None) -> Image:
        return self._only(path, ImageFile).image(max_pixels)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _only(self, path: str, kind: type[_File]) -> _File:
        file = self._file(path)
        if not isinstance(file, kind):
            raise InvalidInput(f"{path} is {_NAMES[type(file)]}; expected {_NAMES[kind]}")
        return file

    def _paged(self, path: str) -> PagedFile:
        file = self._file(path)
        if not isinstance(file, PdfFile | TiffPages):
            raise InvalidInput(f"{path} is {_NAMES[type(file)]}; expected a PDF or a TIFF of several pages")
        return file

    def _file(self, path: str) -> MediaFile:
        state = _state(path)
        if self._open is not None:
            if self._open[0] == state:
                return self._open[1]
            self.close()
        file = self._read(path, sniff(path))
        self._open = state, file
        return file

    def _read(self, path: str, sniffed: Sniffed) -> MediaFile:
        most = self._limits.file_bytes
        if sniffed.size_bytes > most:
            raise MediaLimit(
                f"{path}: has {sniffed.size_bytes} bytes, the limit is {most}; split it or raise limits.file_bytes"
            )
        match sniffed.kind:
            case "pdf":
                return PdfFile(path, self._settings, self._limits)
            case "image":
                return open_image(path, sniffed, self._settings, self._limits)
            case "video":
                return VideoFile(path, sniffed, self._settings, self._limits)
            case "text":
                return TextFile(path, sniffed, self._settings, self._limits)
            case "document":
                raise UnsupportedMedia(f"{path}: is read by way of a PDF; ask a MediaReader")


def _state(path: str) -> tuple[str, int, int, int]:
    """What tells one file from another, and from itself once it was written again."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return path, 0, 0, 0  # sniffing it says what is wrong
    return path, status.st_ino, status.st_size, status.st_mtime_ns
