"""PDF files as Page items: rendered at the size the model sees, with text, label and outline title."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnreadableMedia
from vlm2vec_rag.items import Page
from vlm2vec_rag.media.decode import clean
from vlm2vec_rag.media.pdf.base import Bookmark, Document, Word
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.pixels import page_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

POINTS_PER_INCH = 72


def open_document(path: str, settings: MediaSettings) -> Document:
    """Open a PDF file with the engine of the settings."""
    if settings.settled().pdf_engine == "pymupdf":
        from vlm2vec_rag.media.pdf.mupdf import MupdfDocument

        return MupdfDocument(path, settings.password)
    from vlm2vec_rag.media.pdf.pdfium import PdfiumDocument

    return PdfiumDocument(path, settings.password)


class PdfFile:
    """An open PDF file, page by page."""

    def __init__(self, path: str, settings: MediaSettings, limits: MediaLimits) -> None:
        self._path, self._settings, self._limits = path, settings, limits
        self._document = open_document(path, settings)
        try:
            pages = self._document.page_count
            if pages < 1:
                raise UnreadableMedia(f"{path}: holds no page that can be read; it may be cut off")
            if pages > limits.pages:
                advice = "split it or raise limits.pages"
                raise MediaLimit(f"{path}: has {pages} pages, the limit is {limits.pages}; {advice}")
            self._headings = Headings(self._document.outline())
        except BaseException:
            self.close()
            raise

    def info(self) -> MediaInfo:
        pages = self._document.page_count
        return MediaInfo(kind="pdf", format="pdf", items=pages, pages=pages)

    def item(self, index: int) -> Page:
        return self.page(index + 1)

    def page(self, page: int, max_pixels: int | None = None) -> Page:
        """One page, rendered within the budget; pages count from 1."""
        index = self._index(page)
        text = clean(self._document.text(index)).strip()
        limit = self._limits.page_chars
        return Page(
            image=self._render(index, max_pixels or self._settings.max_pixels),
            page=page,
            source=self._path,
            text=text[:limit],
            title=self._headings.of(index),
            label=clean(self._document.label(index)).strip(),
            metadata={"text_cut_at": limit} if len(text) > limit else {},
        )

    def words(self, page: int) -> list[Word]:
        """The words that can be seen: what a crop hides is left out, what it cuts ends at the edge."""
        words = []
        for word in self._document.words(self._index(page)):
            x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in (word.x0, word.y0, word.x1, word.y1))
            if x0 < x1 and y0 < y1 and (text := clean(word.text)):
                words.append(Word(text, x0, y0, x1, y1))
        return words

    def export(self, page: int, dpi: float) -> PILImage:
        """One page at a resolution, for a file rather than for the model."""
        index = self._index(page)
        height_pt, width_pt = self._document.size_pt(index)
        height, width = (max(1, round(side * dpi / POINTS_PER_INCH)) for side in (height_pt, width_pt))
        if height * width > self._limits.pixels:
            within = int(dpi * (self._limits.pixels / (height * width)) ** 0.5)
            raise MediaLimit(
                f"{self._path}: page {page} would have {width} x {height} px at {dpi:g} dpi, the limit is "
                f"{self._limits.pixels} px; export it at {within} dpi or raise limits.pixels"
            )
        return self._document.render(index, height, width)

    def close(self) -> None:
        self._document.close()

    def _index(self, page: int) -> int:
        if not 1 <= page <= self._document.page_count:
            raise InvalidInput(
                f"{self._path} has no page {page}; expected 1 to {self._document.page_count} (pages count from 1)"
            )
        return page - 1

    def _render(self, index: int, max_pixels: int) -> PILImage:
        height_pt, width_pt = self._document.size_pt(index)
        if not (height_pt > 0 and width_pt > 0):
            raise UnreadableMedia(f"{self._path}: page {index + 1} has no area ({width_pt} x {height_pt} pt)")
        height, width = page_size(height_pt, width_pt, max_pixels)
        larger = self._settings.supersample
        if larger == 1:
            return self._document.render(index, height, width)
        image = self._document.render(index, round(height * larger), round(width * larger))
        return resize(image, height, width)


class Headings:
    """Which outline entry a page stands under."""

    def __init__(self, outline: list[Bookmark]) -> None:
        path: list[Bookmark] = []
        entries: list[tuple[int, str]] = []
        for bookmark in outline:
            path = [above for above in path if above.level < bookmark.level] + [bookmark]
            titles = [title for above in path if (title := " ".join(clean(above.title).split()))]
            entries.append((bookmark.index, " › ".join(titles)))
        entries.sort(key=lambda entry: entry[0])  # stable: entries of one page keep their order
        self._starts = [index for index, _ in entries]
        self._titles = [title for _, title in entries]

    def of(self, index: int) -> str:
        """The first entry that begins on the page, else the last one before it, below its parents' titles."""
        first = bisect_left(self._starts, index)
        if first < len(self._starts) and self._starts[first] == index:
            return self._titles[first]
        return self._titles[first - 1] if first else ""
