"""Hits to numbered evidence: the place, the quoted words, and a few images within a budget of pixels.

Whatever stands in a file is quotation. It is fenced so that it cannot end its own quotation, and bounded so that one
long page cannot crowd out the others.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm2vec_rag.chat.messages import ImagePart, Part, TextPart
from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.excerpts import excerpt
from vlm2vec_rag.items import Hit
from vlm2vec_rag.pixels import MIN_PIXELS, reduced_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceLimits:
    """How much of what was found a chat model is shown.

    Raises:
        InvalidInput: A value makes no sense.
    """

    max_images: int = 6  # of all evidence of a question; the best hits are shown first
    max_pixels: int = 640 * 28 * 28  # of each image: 640 of Qwen2-VL's tokens, an A4 page at 72 dpi
    frames: int = 3  # of each clip
    max_chars: int = 3000  # quoted of each hit

    def __post_init__(self) -> None:
        check_least(self, max_images=0, max_pixels=MIN_PIXELS, frames=1, max_chars=1)


def check_least(settings: object, **least: int) -> None:
    """Refuse settings below their least value.

    Raises:
        InvalidInput: Names the first that is.
    """
    for name, value in least.items():
        if (given := getattr(settings, name)) < value:
            raise InvalidInput(f"{name}={given}; expected at least {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A hit as a chat model gets it."""

    number: int  # from 1
    hit: Hit
    text: str
    images: tuple[PILImage, ...] = ()
    not_shown: str = ""  # why there are no images of something that has some

    def parts(self) -> Iterator[Part]:
        """The evidence in a message: one fenced text, then its images."""
        lines = [f'<evidence number="{self.number}" place="{_attribute(self.hit.place)}">']
        if self.hit.title:
            lines.append(f"title: {_fenced(' '.join(self.hit.title.split()))}")
        if self.text:
            lines.append(_fenced(self.text))
        lines.append("</evidence>")
        if self.images:
            shown = "1 image" if len(self.images) == 1 else f"{len(self.images)} images, in order"
            lines.append(f"[{self.number}] shows ({shown}):")
        elif self.not_shown:
            lines.append(f"[{self.number}] cannot be shown as an image.")
        yield TextPart("\n".join(lines) + "\n")
        for image in self.images:
            yield ImagePart(image)


def gather(hits: Sequence[Hit], question: str, reader: MediaReader | None, limits: EvidenceLimits) -> list[Evidence]:
    """Evidence from hits, numbered from 1 in their order.

    Args:
        hits: Best first.
        question: Decides which stretch of a long text is quoted.
        reader: Reads images again from their files; None shows none.
        limits: How much is quoted and shown.
    """
    found: list[Evidence] = []
    left = limits.max_images if reader is not None else 0
    for number, hit in enumerate(hits, start=1):
        text = hit.text if len(hit.text) <= limits.max_chars else excerpt(hit.text, question, limits.max_chars)
        images: tuple[PILImage, ...] = ()
        not_shown = ""
        if reader is not None and left and hit.kind != "text":
            try:
                images = _images(hit, reader, limits.max_pixels, min(limits.frames, left))
            except VlmRagError as error:
                logger.warning("%s is not shown to the chat model: %s", hit.place, error)
                not_shown = str(error)
            left -= len(images)
        found.append(Evidence(number=number, hit=hit, text=text.strip(), images=images, not_shown=not_shown))
    return found


def fit(image: PILImage, max_pixels: int) -> PILImage:
    """The image, reduced to a budget of pixels where it is larger."""
    height, width = image.height, image.width
    if height * width <= max_pixels:
        return image
    # a sliver has no size that the encoder keeps, but nothing is encoded here
    scale = math.sqrt(max_pixels / (height * width))
    size = reduced_size(height, width, max_pixels) or (max(1, int(height * scale)), max(1, int(width * scale)))
    return resize(image, *size)


def _images(hit: Hit, reader: MediaReader, max_pixels: int, frames: int) -> tuple[PILImage, ...]:
    """From the file, or the small image that was kept of it when the file is gone."""
    from vlm2vec_rag.retrieval import images_of

    try:
        found = images_of(hit, reader, max_pixels=max_pixels, frames=frames)
    except VlmRagError:
        if hit.thumbnail is None:
            raise
        found = (reader.image(hit.thumbnail, max_pixels=max_pixels).image,)
    return tuple(fit(each, max_pixels) for each in found[:frames])


def _fenced(text: str) -> str:
    """Text that cannot open or close a quotation."""
    return re.sub(r"<(?=\s*/?\s*evidence)", "&lt;", text, flags=re.IGNORECASE)


def _attribute(text: str) -> str:
    """A place, which is a file name anybody may have given, on one line inside quotes."""
    return " ".join(text.split()).replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
