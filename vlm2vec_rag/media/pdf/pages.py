"""PDF files as Page items: rendered at the size the model sees, with text, label and outline title."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnreadableMedia
from vlm2vec_rag.hyphens import join, joined
from vlm2vec_rag.items import Page
from vlm2vec_rag.media.decode import clean
from vlm2vec_rag.media.pdf.accents import composed
from vlm2vec_rag.media.pdf.base import Bookmark, Word
from vlm2vec_rag.media.pdf.broken import is_broken
from vlm2vec_rag.media.pdf.engines import Engines
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.pixels import page_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

POINTS_PER_INCH = 72


# letters that typesetters' fonts keep outside of Unicode's own places, as Adobe's lists have them: old-style figures,
# small capitals, and the Symbol font, whose codes are those of ASCII for figures and signs
_PRIVATE = {
    **{0xF730 + digit: str(digit) for digit in range(10)},
    **{0xF761 + letter: chr(ord("a") + letter) for letter in range(26)},
    **{0xF020 + code: chr(0x20 + code) for code in range(0x20)},
}
# letters joined or shaped for print: ﬁ, ﷲ, ﻪ, and punctuation of vertical lines
_SHAPES = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufdff\ufe10-\ufe19\ufe30-\ufe48\ufe70-\ufefc]+")


def plain(text: str) -> str:
    """Text in the letters that people type."""
    text = text.translate(_PRIVATE)
    return _SHAPES.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)


class PdfFile:
    """An open PDF file, page by page."""

    def __init__(self, path: str, settings: MediaSettings, limits: MediaLimits) -> None:
        self._path, self._settings, self._limits = path, settings, limits
        self._engines = Engines(path, settings)
        try:
            pages = self._engines.page_count
            if pages > limits.pages:
                advice = "split it or raise limits.pages"
                raise MediaLimit(f"{path}: has {pages} pages, the limit is {limits.pages}; {advice}")
            self._headings = Headings(self._engines.first.outline())
        except BaseException:
            self.close()
            raise

    def info(self) -> MediaInfo:
        pages = self._engines.page_count
        return MediaInfo(kind="pdf", format="pdf", items=pages, pages=pages)

    def item(self, index: int) -> Page:
        return self.page(index + 1)

    def page(self, page: int, max_pixels: int | None = None) -> Page:
        """One page, rendered within the budget; pages count from 1.

        A text layer that says nothing is left out, and told in the metadata (`text_layer`: "broken").
        """
        index = self._index(page)
        drawn = self._engines.ask(index, lambda document: document.text(index))
        metadata: dict[str, object] = {}
        if is_broken(drawn):
            metadata["text_layer"] = "broken"
            text = ""
        else:
            text = joined(composed(plain(clean(drawn)))).strip()
        limit = self._limits.page_chars
        if len(text) > limit:
            metadata["text_cut_at"] = limit
        label = self._engines.ask(index, lambda document: document.label(index))
        return Page(
            image=self._render(index, max_pixels or self._settings.max_pixels, has_text=bool(drawn.strip())),
            page=page,
            source=self._path,
            text=text[:limit],
            title=self._headings.of(index),
            label=clean(label).strip(),
            metadata=metadata,
        )

    def words(self, page: int) -> list[Word]:
        """The words that can be seen: what a crop hides is left out, what it cuts ends at the edge."""
        index = self._index(page)
        found = self._engines.ask(index, lambda document: document.words(index))
        if is_broken(" ".join(word.text for word in found)):
            return []
        words = []
        for word in _with_wholes(found):
            x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in (word.x0, word.y0, word.x1, word.y1))
            if x0 < x1 and y0 < y1 and (text := composed(plain(clean(word.text)))):
                words.append(Word(text, x0, y0, x1, y1, composed(plain(clean(word.whole)))))
        return words

    def export(self, page: int, dpi: float) -> PILImage:
        """One page at a resolution, for a file rather than for the model."""
        index = self._index(page)
        height_pt, width_pt = self._size_pt(index)
        height, width = (max(1, round(side * dpi / POINTS_PER_INCH)) for side in (height_pt, width_pt))
        if height * width > self._limits.pixels:
            within = int(dpi * (self._limits.pixels / (height * width)) ** 0.5)
            raise MediaLimit(
                f"{self._path}: page {page} would have {width} x {height} px at {dpi:g} dpi, the limit is "
                f"{self._limits.pixels} px; export it at {within} dpi or raise limits.pixels"
            )
        return self._engines.render(index, height, width, has_text=True)

    def close(self) -> None:
        self._engines.close()

    def _index(self, page: int) -> int:
        if not 1 <= page <= self._engines.page_count:
            raise InvalidInput(
                f"{self._path} has no page {page}; expected 1 to {self._engines.page_count} (pages count from 1)"
            )
        return page - 1

    def _size_pt(self, index: int) -> tuple[float, float]:
        return self._engines.ask(index, lambda document: document.size_pt(index))

    def _render(self, index: int, max_pixels: int, *, has_text: bool) -> PILImage:
        height_pt, width_pt = self._size_pt(index)
        if not (height_pt > 0 and width_pt > 0):
            raise UnreadableMedia(f"{self._path}: page {index + 1} has no area ({width_pt} x {height_pt} pt)")
        height, width = page_size(height_pt, width_pt, max_pixels)
        larger = self._settings.supersample
        if larger == 1:
            return self._engines.render(index, height, width, has_text=has_text)
        image = self._engines.render(index, round(height * larger), round(width * larger), has_text=has_text)
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


def _with_wholes(words: Sequence[Word]) -> list[Word]:
    """The words, both parts of a cut one with the whole."""
    found = list(words)
    for at, (one, other) in enumerate(pairwise(words)):
        if not _is_beside(one, other) and (whole := join(one.text, other.text)):
            found[at], found[at + 1] = replace(found[at], whole=whole), replace(other, whole=whole)
    return found


def _is_beside(one: Word, other: Word) -> bool:
    """Whether two words that follow each other stand on one line, which may run down or up the page."""
    if one.x1 - one.x0 >= one.y1 - one.y0:
        return min(one.y1, other.y1) - max(one.y0, other.y0) > 0.5 * (one.y1 - one.y0) and other.x0 > one.x0
    return min(one.x1, other.x1) - max(one.x0, other.x0) > 0.5 * (one.x1 - one.x0)
