"""The pixels of a page, image or clip as content blocks for a chat model: bounded, and read when they are needed."""

from __future__ import annotations

import functools
import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ImageBlock, TextBlock

from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.items import Hit
from vlm2vec_rag.pixels import MAX_PIXELS

if TYPE_CHECKING:
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
    from vlm2vec_rag.chat.evidence import fit
    from vlm2vec_rag.retrieval import images_of

    if payload.kind == "text":
        return []
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
    try:
        shown = images_of(hit, _reader(), max_pixels=budget, frames=images.frames)
    except VlmRagError as error:
        logger.warning("%s is not shown to the model: %s", payload.place, error)
        return [TextBlock(text=f"(the {payload.kind} itself cannot be shown)")]
    blocks: list[ImageBlock | TextBlock] = []
    for image in shown:
        file = io.BytesIO()
        fit(image, budget).convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY)
        blocks.append(ImageBlock(image=file.getvalue(), image_mimetype="image/jpeg"))
    return blocks


@functools.cache
def _reader() -> MediaReader:
    """One reader for all answers of this process: it takes 0.2 s to start."""
    from vlm2vec_rag.media import MediaReader

    return MediaReader()
