"""PDF pages through pypdfium2 (Apache-2.0 / BSD-3, part of the base install)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import byref, c_int
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media.pdf.accents import COMBINING
from vlm2vec_rag.media.pdf.base import Bookmark, Word, encrypted
from vlm2vec_rag.media.pdf.pdfium_page import (
    char_box,
    characters,
    flatten,
    has_annotations,
    is_turned,
    leave_out_hidden,
    text_runs,
)

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_HYPHENS = ("\x02", "\ufffe")  # what PDFium gives instead of a hyphen and a line end
_GRID = 1_000_000  # device units that PDFium maps a page onto when asked where a point is shown


class PdfiumDocument:
    """A PDF file opened by PDFium. Not for use from several threads."""

    def __init__(self, path: str | os.PathLike[str], passwords: Sequence[str] = ()) -> None:
        import pypdfium2

        self._pdfium, self._raw = pypdfium2, pypdfium2.raw
        self._path, self._passwords = path, passwords
        self._to_read: Any = None  # a second copy, on which annotations become content
        self._kept_page: tuple[int, Any] | None = None
        self._document = self._open()
        with self._as_unreadable():
            self.page_count = len(self._document)

    def size_pt(self, index: int) -> tuple[float, float]:
        with self._page(index) as page:
            width, height = page.get_size()
            return float(height), float(width)

    def render(self, index: int, height: int, width: int) -> PILImage:
        raw = self._raw
        with self._page(index) as page:
            # page.render() takes a scale and rounds the size up; the model's size must be met exactly
            # three bytes a pixel: the same pixels as of four, which then have to be converted
            bitmap = self._pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGR, rev_byteorder=True)
            bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
            flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
            raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
            if self._document.formenv:
                raw.FPDF_FFLDraw(self._document.formenv, bitmap, page, 0, 0, width, height, 0, flags)
            image: PILImage = bitmap.to_pil()
            return image

    def undecoded(self) -> str:
        return ""  # PDFium does not say

    def text(self, index: int) -> str:
        with self._text_page(index) as (page, text_page, is_turned):
            text = "" if is_turned else str(text_page.get_text_bounded(errors="replace"))
            if is_turned or any(accent in text for accent in COMBINING):
                text = "".join(self._shown_characters(page, text_page))
            for mark in _HYPHENS:
                text = text.replace(mark, "-\n")
            return text

    def words(self, index: int) -> list[Word]:
        words: list[Word] = []
        with self._text_page(index) as (page, text_page, is_turned):
            run: list[int] = []
            text: list[str] = []
            for number, char in characters(self._raw, text_page, mind_turns=is_turned):
                if char in _HYPHENS:
                    run.append(number)
                    text.append("-")
                if char.isspace() or char in _HYPHENS:
                    words += self._word(page, text_page, text, run)
                    run, text = [], []
                else:
                    run.append(number)
                    text.append(char)
            words += self._word(page, text_page, text, run)
        return words

    def label(self, index: int) -> str:
        with self._as_unreadable():
            return str(self._document.get_page_label(index))

    def outline(self) -> list[Bookmark]:
        entries = []
        with self._as_unreadable():
            for bookmark in self._document.get_toc():
                destination = bookmark.get_dest()
                index = destination.get_index() if destination else None
                if index is not None and index >= 0:
                    entries.append(Bookmark(bookmark.level, bookmark.get_title(), index))
        return entries

    def close(self) -> None:
        self._close_page()
        self._document.close()
        if self._to_read is not None:
            self._to_read.close()

    def _open(self) -> Any:
        for password in (None, *self._passwords):
            try:
                document = self._pdfium.PdfDocument(os.fspath(self._path), password=password)
            except self._pdfium.PdfiumError as error:
                if error.err_code != self._raw.FPDF_ERR_PASSWORD:
                    raise unreadable(self._path, error) from error
                continue
            with self._as_unreadable():
                document.init_forms()  # before any page is opened, or forms are drawn empty
            return document
        raise encrypted(self._path, self._passwords)

    def _word(self, page: Any, text_page: Any, text: list[str], run: list[int]) -> Iterator[Word]:
        """The word whose characters stand at `run`, if it has any ink."""
        boxes = [char_box(self._raw, text_page, number) for number in run]
        if not boxes:
            return
        lefts, bottoms, rights, tops = zip(*boxes, strict=True)
        corners = [
            self._shown_at(page, min(lefts), min(bottoms)),
            self._shown_at(page, max(rights), max(tops)),
        ]
        (x0, x1), (y0, y1) = (sorted(axis) for axis in zip(*corners, strict=True))
        yield Word("".join(text), x0, y0, x1, y1)

    def _shown_at(self, page: Any, x_pt: float, y_pt: float) -> tuple[float, float]:
        """Where a point of PDF space (origin bottom left, unturned, uncropped) is shown, in fractions of the page."""
        x, y = c_int(), c_int()
        self._raw.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x_pt, y_pt, byref(x), byref(y))
        return x.value / _GRID, y.value / _GRID

    @contextmanager
    def _page(self, index: int) -> Iterator[Any]:
        """A page as it is in the file; it stays open between its size, its image and its text."""
        with self._as_unreadable():
            if self._kept_page is None or self._kept_page[0] != index:
                self._close_page()
                self._kept_page = index, self._document[index]
            yield self._kept_page[1]

    def _close_page(self) -> None:
        if self._kept_page is not None:
            self._kept_page[1].close()
            self._kept_page = None

    @contextmanager
    def _text_page(self, index: int) -> Iterator[tuple[Any, Any, bool]]:
        """A page to read, its text, and whether some of its runs are turned against others."""
        with self._page_to_read(index) as page:
            runs = text_runs(self._raw, page)
            leave_out_hidden(self._pdfium, page, runs)
            text_page = page.get_textpage()
            try:
                yield page, text_page, is_turned(runs)
            finally:
                text_page.close()
                if any(run.is_layered for run in runs):  # what was hidden or painted for the test stays so
                    self._close_page()

    @contextmanager
    def _page_to_read(self, index: int) -> Iterator[Any]:
        """The page with its annotations as content; a copy, since flattened pages may differ in a pixel."""
        with self._page(index) as page:
            if not has_annotations(self._raw, page):
                yield page
                return
        if self._to_read is None:
            self._to_read = self._open()
        document = self._to_read
        with self._as_unreadable():
            page = document[index]
            flatten(self._raw, page, document.formenv)
            page.close()
            page = document[index]  # what was flattened is read when the page is opened again
            try:
                yield page
            finally:
                page.close()

    def _shown_characters(self, page: Any, text_page: Any) -> Iterator[str]:
        """The characters that stand within the page as shown."""
        left, bottom, right, top = page.get_bbox()
        for number, char in characters(self._raw, text_page, mind_turns=True):
            if number >= 0 and not char.isspace() and char not in _HYPHENS:
                x0, y0, x1, y1 = char_box(self._raw, text_page, number)
                if not (left <= (x0 + x1) / 2 <= right and bottom <= (y0 + y1) / 2 <= top):
                    continue
            yield char

    @contextmanager
    def _as_unreadable(self) -> Iterator[None]:
        try:
            yield
        except (self._pdfium.PdfiumError, IndexError, ValueError) as error:
            raise unreadable(self._path, error) from error


def unreadable(path: str | os.PathLike[str], error: Exception) -> UnreadableMedia:
    return UnreadableMedia(f"{path}: PDFium cannot read it ({error}); repair it (qpdf does)")
