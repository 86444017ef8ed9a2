"""The reader: what the rest of the library asks for items, pages and clips. It never opens a file itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

from vlm2vec_rag.errors import (
    EncryptedMedia,
    InvalidInput,
    MediaError,
    UnsupportedMedia,
    VlmRagError,
)
from vlm2vec_rag.items import Clip, Image, Item, Page
from vlm2vec_rag.media.conversion import Converter, with_notes
from vlm2vec_rag.media.guard import ITEMS, Clock, Guard
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.ocr import needs_words
from vlm2vec_rag.media.opener import Opener
from vlm2vec_rag.media.pdf.base import Word
from vlm2vec_rag.media.process import TimedOut, WorkerDied
from vlm2vec_rag.media.settings import MediaInfo, MediaKind, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.worker import answer

_MOST_NOTES = 20  # of a file
_MOST_NOTED_FILES = 100_000
_MOST_DEATHS = 3  # of the worker over one file, before the rest of the file is given up


class MediaReader:
    """Turns files into items, in a process of its own that hostile files may crash, fill or hang.

    That process starts with the first file (0.1 s) and serves all that follow. It has a limit on memory (on Linux), may
    write no file, and is ended and started again when a file takes too long. Its kind is told by a file's content.
    A reader may be used from several threads, which then wait for each other.

    Args:
        settings: How files become items.
        limits: What a file may cost.
        isolated: False opens files in this process: faster to debug, without limits on memory and time. Only for
            files that you trust.

    Raises:
        MissingExtra: The PDF engine or video reader asked for is not installed.
    """

    def __init__(
        self,
        settings: MediaSettings = MediaSettings(),  # noqa: B008  frozen
        limits: MediaLimits = MediaLimits(),  # noqa: B008
        isolated: bool = True,
    ) -> None:
        self.settings = settings.settled()
        self.limits = limits
        self._lock = threading.RLock()
        self._notes: dict[str, list[str]] = {}
        self._guard = Guard(self.settings, limits) if isolated else None
        self._converter = Converter(limits)
        self._opener = Opener(self.settings, limits)  # opens nothing until it is asked, which it is without a worker

    def probe(self, path: str | os.PathLike[str]) -> MediaInfo:
        """What a file is, and how many items it makes.

        Raises:
            UnsupportedMedia: No reader takes this kind of file.
            UnreadableMedia: It is missing, empty, cut off or broken.
            EncryptedMedia: It needs a password, or another one.
            MediaLimit: It is over a limit.
        """
        return cast(MediaInfo, self._ask(path, "probe"))

    def items(self, path: str | os.PathLike[str]) -> Iterator[Item]:
        """The items of a file, one by one as they are asked for: pages, clips or passages in order, or one image.

        Their source is the file's absolute path. A page or clip that cannot be read is passed over; after the last good
        one a single error names the first that failed. So all that is good in a file is had, and a bad file is one
        error.

        Raises:
            UnsupportedMedia: No reader takes this kind of file.
            UnreadableMedia: The file, or a part of it, is missing, empty, cut off or broken.
            EncryptedMedia: It needs a password, or another one.
            MediaLimit: The file, or a part of it, is over a limit.
            ReaderClosed: Another thread closed the reader.
        """
        clock = Clock(self.limits.seconds_per_file)
        info = cast(MediaInfo, self._ask(path, "probe", clock=clock))
        failures: list[MediaError] = []
        deaths = done = 0
        for index in range(info.items):
            try:
                item = cast(Item, self._ask(path, "item", index, kind=info.kind, clock=clock))
            except (UnsupportedMedia, EncryptedMedia):
                raise
            except MediaError as error:
                failures.append(error)
                deaths += isinstance(error.__cause__, WorkerDied | TimedOut)
                if info.items == 1:
                    raise
                if deaths >= _MOST_DEATHS or clock.is_over:
                    break
            else:
                done += 1
                if needs_words(item, self.settings.ocr):
                    item = self._with_words(path, index, item, info.kind)
                yield item
        if failures:
            first = failures[0]
            noun = "page" if info.pages else ITEMS[info.kind]
            raise type(first)(f"{first} ({done} of {info.items} {noun}s were read)") from first

    def page(self, path: str | os.PathLike[str], page: int, max_pixels: int | None = None) -> Page:
        """One page of a PDF file or of a TIFF with several, from 1; `max_pixels` None takes the settings' own.

        Raises:
            InvalidInput: There is no such page, or the file is no PDF.
            MediaError: As for `probe`.
        """
        return cast(Page, self._ask(path, "page", page, max_pixels))

    def words(self, path: str | os.PathLike[str], page: int) -> list[Word]:
        """The words of a page and where they stand, to mark matches on an image of it.

        Raises:
            InvalidInput: There is no such page, or the file is no PDF.
            MediaError: As for `probe`.
        """
        return cast("list[Word]", self._ask(path, "words", page))

    def clip(
        self,
        path: str | os.PathLike[str],
        start_s: float,
        end_s: float,
        frames: int | None = None,
        max_pixels: int | None = None,
    ) -> Clip:
        """A stretch of a video; `frames` and `max_pixels` None take the settings' own.

        Raises:
            InvalidInput: There is no such stretch, or the file is no video.
            MediaError: As for `probe`.
        """
        return cast(Clip, self._ask(path, "clip", start_s, end_s, frames, max_pixels))

    def image(self, path: str | os.PathLike[str], max_pixels: int | None = None) -> Image:
        """An image; `max_pixels` None takes the settings' own.

        Raises:
            InvalidInput: The file is no image.
            MediaError: As for `probe`.
        """
        return cast(Image, self._ask(path, "image", max_pixels))

    def export_page(self, path: str | os.PathLike[str], page: int, dpi: float = 300) -> Image:
        """One page of a PDF file at a resolution, for people rather than for the model.

        Raises:
            InvalidInput: There is no such page, or the file is no PDF.
            MediaLimit: At this resolution the page is over `limits.pixels`.
            MediaError: As for `probe`.
        """
        if not 1 <= dpi <= 10_000:
            raise InvalidInput(f"dpi is {dpi}; expected 1 to 10000 (300 is print quality)")
        return cast(Image, self._ask(path, "export", page, dpi))

    def take_notes(self, path: str | os.PathLike[str]) -> list[str]:
        """What is to be said of how a file was read since this was last asked: a guessed encoding, a cut off end.

        Each is a sentence for a report, without the file's name.
        """
        with self._lock:
            return self._notes.pop(os.path.abspath(path), [])  # noqa: PTH100

    def cancel(self) -> None:
        """End what another thread is reading at this moment; its call raises `ReaderClosed`. Does not wait."""
        if self._guard is not None:
            self._guard.cancel()
        self._converter.cancel()

    def close(self) -> None:
        """End the process, and what another thread reads. The reader may be used again, and starts another one then."""
        self.cancel()
        with self._lock:
            if self._guard is not None:
                self._guard.close()
            self._opener.close()
            self._converter.close()

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        for part in ("_guard", "_converter"):  # not there when __init__ raised
            if (each := getattr(self, part, None)) is not None:
                each.close()

    def _with_words(self, path: str | os.PathLike[str], index: int, item: Item, kind: MediaKind) -> Item:
        """The item with the words in its pixels, or as it is, with a note, where they cannot be read.

        It takes time of its own, so that a long scan is not a file that takes too long.
        """
        try:
            return cast(Item, self._ask(path, "read_words", index, kind=kind))
        except MediaError as error:
            with self._lock:
                text = f"the words in the pixels of {ITEMS[kind]} {index + 1} could not be read ({error})"
                self._keep_notes(os.path.abspath(path), [text])  # noqa: PTH100
            return item

    def _ask(
        self,
        path: str | os.PathLike[str],
        method: str,
        *arguments: Any,
        kind: MediaKind | None = None,
        clock: Clock | None = None,
    ) -> Any:
        if kind is None:
            kind = sniff(path).kind  # reads the first bytes only: a missing or foreign file needs no process
        name = os.path.abspath(path)  # noqa: PTH100  not resolved: `..` and links stay as the caller wrote them
        with self._lock, collected_notes() as notes:
            try:
                if kind == "document":
                    return self._ask_converted(name, method, arguments, clock)
                return self._ask_file(kind, name, method, arguments, clock)
            finally:
                self._keep_notes(name, notes)

    def _ask_file(
        self, kind: MediaKind, name: str, method: str, arguments: tuple[Any, ...], clock: Clock | None
    ) -> Any:
        if self._guard is not None:
            return self._guard.ask(kind, method, name, arguments, clock)
        result = answer(self._opener, method, [name, *arguments])
        if isinstance(result, VlmRagError):
            raise result
        return result

    def _ask_converted(self, name: str, method: str, arguments: tuple[Any, ...], clock: Clock | None) -> Any:
        """Ask the PDF that is made of a document; what comes back names the document."""
        sniffed = sniff(name)
        started = time.monotonic()
        document = self._converter.pdf_of(name, sniffed)
        if clock:
            clock.spend(time.monotonic() - started)
        pdf = str(document.pdf)
        try:
            info = cast(MediaInfo, self._ask_file("pdf", pdf, "probe", (), clock))
            pages = info.items // 2 if document.has_notes else info.items
            if method == "probe":
                return replace(info, kind="document", format=document.format, items=pages, pages=pages)
            page = arguments[0] + 1 if method in ("item", "read_words") else arguments[0]
            if method in ("clip", "image"):
                expected = "a video" if method == "clip" else "an image"
                raise InvalidInput(f"{name} is a document of pages; expected {expected}")
            if not 1 <= page <= pages:
                raise InvalidInput(f"{name} has {pages} pages; there is no page {page}")
            result = self._ask_file("pdf", pdf, method, arguments, clock)
            if isinstance(result, Page) and document.has_notes:
                noted = self._ask_file("pdf", pdf, "words", (pages + page,), clock)
                result = replace(result, text=with_notes(result.text, [word.text for word in noted]))
        except VlmRagError as error:
            raise type(error)(str(error).replace(pdf, name)) from error.__cause__
        return replace(result, source=name) if isinstance(result, Page | Image) else result

    def _keep_notes(self, name: str, notes: list[str]) -> None:
        if notes:
            kept = self._notes.pop(name, [])
            self._notes[name] = list(dict.fromkeys(kept + notes))[:_MOST_NOTES]
            if len(self._notes) > _MOST_NOTED_FILES:  # nobody takes them
                del self._notes[next(iter(self._notes))]
