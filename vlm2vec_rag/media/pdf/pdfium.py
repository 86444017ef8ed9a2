"""PDF pages through pypdfium2 (Apache-2.0 / BSD-3, part of the base install)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_double, c_int
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media.pdf.base import Bookmark, Word
from vlm2vec_rag.media.pdf.mupdf import encrypted

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_HYPHENS = ("\x02", "\ufffe")  # what PDFium gives instead of a hyphen and a line end
_GRID = 1_000_000  # device units that PDFium maps a page onto when asked where a point is shown


class PdfiumDocument:
    """A PDF file opened by PDFium. Not for use from several threads."""

    def __init__(self, path: str | os.PathLike[str], password: str | None = None) -> None:
        import pypdfium2

        self._pdfium, self._raw = pypdfium2, pypdfium2.raw
        self._path = path
        try:
            self._document = pypdfium2.PdfDocument(os.fspath(path), password=password)
        except pypdfium2.PdfiumError as error:
            if error.err_code == self._raw.FPDF_ERR_PASSWORD:
                raise encrypted(path, password) from error
            raise unreadable(path, error) from error
        with self._as_unreadable():
            self._document.init_forms()  # before any page is opened, or forms are drawn empty
            self.page_count = len(self._document)

    def size_pt(self, index: int) -> tuple[float, float]:
        with self._page(index) as page:
            width, height = page.get_size()
            return float(height), float(width)

    def render(self, index: int, height: int, width: int) -> PILImage:
        raw = self._raw
        with self._page(index) as page:
            # page.render() takes a scale and rounds the size up; the model's size must be met exactly
            bitmap = self._pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGRx, rev_byteorder=True)
            bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
            flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
            raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
            if self._document.formenv:
                raw.FPDF_FFLDraw(self._document.formenv, bitmap, page, 0, 0, width, height, 0, flags)
            image: PILImage = bitmap.to_pil().convert("RGB")
            return image

    def text(self, index: int) -> str:
        with self._text_page(index) as (_, text_page):
            text = str(text_page.get_text_bounded(errors="replace"))
            for mark in _HYPHENS:
                text = text.replace(mark, "-\n")
            return text

    def words(self, index: int) -> list[Word]:
        words: list[Word] = []
        with self._text_page(index) as (page, text_page):
            run: list[int] = []
            text: list[str] = []
            for char in range(text_page.count_chars()):
                code = self._raw.FPDFText_GetUnicode(text_page, char)
                if chr(code) in _HYPHENS:
                    run.append(char)
                    text.append("-")
                if chr(code).isspace() or code == 0 or chr(code) in _HYPHENS:
                    words += self._word(page, text_page, text, run)
                    run, text = [], []
                else:
                    run.append(char)
                    text.append(chr(code))
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
        self._document.close()

    def _word(self, page: Any, text_page: Any, text: list[str], run: list[int]) -> Iterator[Word]:
        """The word whose characters stand at `run`, if it has any ink."""
        boxes = []
        for char in run:
            left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
            self._raw.FPDFText_GetCharBox(text_page, char, byref(left), byref(right), byref(bottom), byref(top))
            boxes.append((left.value, bottom.value, right.value, top.value))
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
        with self._as_unreadable():
            page = self._document[index]
            try:
                yield page
            finally:
                page.close()

    @contextmanager
    def _text_page(self, index: int) -> Iterator[tuple[Any, Any]]:
        with self._page(index) as page:
            text_page = page.get_textpage()
            try:
                yield page, text_page
            finally:
                text_page.close()

    @contextmanager
    def _as_unreadable(self) -> Iterator[None]:
        try:
            yield
        except (self._pdfium.PdfiumError, IndexError, ValueError) as error:
            raise unreadable(self._path, error) from error


def unreadable(path: str | os.PathLike[str], error: Exception) -> UnreadableMedia:
    advice = "repair it (qpdf does), or try pdf_engine='pymupdf', which repairs some"
    return UnreadableMedia(f"{path}: PDFium cannot read it ({error}); {advice}")
