"""What a PDF engine gives. Two engines stand behind it: pymupdf (AGPL, an extra) and pypdfium2 (permissive)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page's text layer and where it stands, to mark it on an image of the page.

    The box is in fractions of the page as shown (turned, cropped): 0, 0 is the top left, 1, 1 the bottom right.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of a document's outline."""

    level: int  # from 0
    title: str
    index: int  # of the page, from 0


class Document(Protocol):
    """An open PDF file. Pages count from 0 here, as the engines do; everything above counts from 1."""

    page_count: int

    def size_pt(self, index: int) -> tuple[float, float]:
        """(height, width) of a page as shown, in points of 1/72 inch."""

    def render(self, index: int, height: int, width: int) -> PILImage:
        """The page on white, annotations and filled-in forms included, at exactly this size in px."""

    def text(self, index: int) -> str:
        """The text layer, one line per line; empty for a scan without one."""

    def words(self, index: int) -> list[Word]:
        """The words of the text layer, in the file's own order."""

    def label(self, index: int) -> str:
        """The page's number in its own numbering, such as "iv"; empty where the document has none."""

    def outline(self) -> list[Bookmark]:
        """All entries that lead to a page, in order."""

    def close(self) -> None: ...
