"""Hits to numbered evidence: the place, the quoted words, and a few images within a budget of pixels.

Whatever stands in a file is quotation. It is fenced so that it cannot end its own quotation, and bounded so that one
long page cannot crowd out the others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm2vec_rag.chat.messages import ImagePart, Part, TextPart
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.excerpts import excerpt
from vlm2vec_rag.items import Hit
from vlm2vec_rag.pixels import reduced_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)


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


def gather(
    hits: Sequence[Hit],
    question: str,
    reader: MediaReader | None,
    *,
    max_images: int,
    max_pixels: int,
    frames: int,
    max_chars: int,
) -> list[Evidence]:
    """Evidence from hits, numbered from 1 in their order.

    Args:
        hits: Best first.
        question: Decides which stretch of a long text is quoted.
        reader: Reads images again from their files; None shows none.
        max_images: Images in all; the best hits are shown first.
        max_pixels: Budget of each image.
        frames: Images of each clip.
        max_chars: Text quoted of each hit.
    """
    found: list[Evidence] = []
    left = max_images if reader is not None else 0
    for number, hit in enumerate(hits, start=1):
        text = hit.text if len(hit.text) <= max_chars else excerpt(hit.text, question, max_chars)
        images: tuple[PILImage, ...] = ()
        not_shown = ""
        if reader is not None and left and hit.kind != "text":
            try:
                images = _images(hit, reader, max_pixels, min(frames, left))
            except VlmRagError as error:
                logger.warning("%s is not shown to the chat model: %s", hit.place, error)
                not_shown = str(error)
            left -= len(images)
        found.append(Evidence(number=number, hit=hit, text=text.strip(), images=images, not_shown=not_shown))
    return found


def fit(image: PILImage, max_pixels: int) -> PILImage:
    """The image, reduced to a budget of pixels where it is larger."""
    size = reduced_size(image.height, image.width, max_pixels)
    return image if size is None else resize(image, *size)


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
