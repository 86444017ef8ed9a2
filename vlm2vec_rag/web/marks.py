"""Mark the words of a question on an image of a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vlm2vec_rag.excerpts import stems
from vlm2vec_rag.media import Word

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

COLOUR = (255, 214, 0)  # what a marker pen has
MARGIN = 0.002  # of the page, around a word


def matching(words: Iterable[Word], question: str) -> list[Word]:
    """The words of a page that the question has as well, in any of their forms."""
    wanted = stems(question)
    return [word for word in words if wanted & stems(word.text)]


def mark(page: PILImage, words: Iterable[Word]) -> PILImage:
    """A copy of a page with words marked, the ink still black as under a marker pen."""
    from PIL import Image as PILModule
    from PIL import ImageChops, ImageDraw

    marker = PILModule.new("RGB", page.size, "white")
    draw = ImageDraw.Draw(marker)
    width, height = page.size
    for word in words:
        box = (
            (word.x0 - MARGIN) * width,
            (word.y0 - MARGIN) * height,
            (word.x1 + MARGIN) * width,
            (word.y1 + MARGIN) * height,
        )
        draw.rectangle(box, fill=COLOUR)
    return ImageChops.multiply(page.convert("RGB"), marker)
