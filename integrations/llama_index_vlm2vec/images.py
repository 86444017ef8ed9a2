"""The pixels of a page, image or clip as content blocks for a chat model: bounded, and read when they are needed."""

from __future__ import annotations

import functools
import io
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ImageBlock, TextBlock

from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.items import Hit
from vlm2vec_rag.pixels import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBudget:
    """How much of a node a chat model is shown.

    Raises:
        InvalidInput: A value makes no sense.
    """

    max_pixels: int = MAX_PIXELS
    """Budget of a node: a page or image has all of it, the frames of a clip share it."""

    frames: int = 4
    """Frames of a clip."""

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or self.frames < 1:
            raise InvalidInput(f"{self} shows nothing; expected max_pixels and frames of 1 or more")


def image_blocks(payload: Payload, images: ImageBudget) -> list[ImageBlock | TextBlock]:
    """What there is to see of an item, as JPEG blocks; none for a text.

    A file that is gone or broken since it was indexed is reported in the log, and the model is told that it sees none.
    """
    if payload.kind == "text":
        return []
    try:
        seen = _seen(payload, images)
    except VlmRagError as error:
        logger.warning("%s is not shown to the model: %s", payload.place, error)
        return [TextBlock(text=f"(the {payload.kind} itself cannot be shown)")]
    return [ImageBlock(image=_jpeg(image), image_mimetype="image/jpeg") for image in seen]


def contact_sheet(payload: Payload, images: ImageBudget) -> bytes:
    """What there is to see of an item as one JPEG, the frames of a clip in rows of two; grey where it is gone."""
    from PIL import Image

    try:
        seen = _seen(payload, images)
    except VlmRagError as error:
        logger.warning("%s is not shown to the model: %s", payload.place, error)
        seen = [Image.new("RGB", (28, 28), "grey")]
    if len(seen) == 1:
        return _jpeg(seen[0])
    width, height = (max(getattr(image, side) for image in seen) for side in ("width", "height"))
    sheet = Image.new("RGB", (2 * width, math.ceil(len(seen) / 2) * height))
    for at, image in enumerate(seen):
        sheet.paste(image, (at % 2 * width, at // 2 * height))
    return _jpeg(sheet)


def _seen(payload: Payload, images: ImageBudget) -> list[PILImage]:
    from vlm2vec_rag.chat.evidence import fit
    from vlm2vec_rag.retrieval import images_of

    hit = Hit(
        id=payload.id,
        score=0.0,
        kind=payload.kind,
        source=payload.source,
        place=payload.place,
        page=payload.page,
        start_s=payload.start_s,
        end_s=payload.end_s,
    )
    budget = images.max_pixels // (images.frames if payload.kind == "clip" else 1)
    shown = images_of(hit, _reader(), max_pixels=budget, frames=images.frames)
    return [fit(image, budget).convert("RGB") for image in shown]


def _jpeg(image: PILImage) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


@functools.cache
def _reader() -> MediaReader:
    """One reader for all answers of this process: it takes 0.2 s to start."""
    from vlm2vec_rag.media import MediaReader

    return MediaReader()
