"""Images to patches: the exact numbers that Qwen2-VL's vision tower reads.

Follows the public code's slow image processor (`image_processing_qwen2_vl.py` at 6e1e1d4): RGB, PIL bicubic on
8-bit values, scale 1/255, CLIP mean and deviation in float32, patches of 14 x 14 x 2 frames in 2 x 2 blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.encoder.patches import Patches, PatchSettings, Plan, frames_of, pack, plan_of
from vlm2vec_rag.errors import EmptyInput
from vlm2vec_rag.pixels import resize, target_size

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SMALLEST_SIDE = 28  # a shorter side makes an image 56 x 56 first (public code: processor.py:328-332)
SETTINGS = PatchSettings(
    patch=14,
    merge=2,
    temporal=2,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)


def plan(visual: PILImage | Sequence[PILImage], max_pixels: int, settings: PatchSettings) -> Plan:
    """Choose the size and count the tokens of one image or of the frames of a clip.

    All frames take the size that the first one gets.

    Raises:
        EmptyInput: A clip without frames.
    """
    frames = frames_of(visual)
    if not frames:
        raise EmptyInput("a clip without frames cannot be encoded; drop it or read it again")
    width, height = frames[0].size
    if not isinstance(visual, Sequence) and min(width, height) < SMALLEST_SIDE:
        width = height = 2 * SMALLEST_SIDE
    height, width = target_size(height, width, max_pixels, factor=settings.factor)
    return plan_of(height, width, len(frames), settings)


def cut(visual: PILImage | Sequence[PILImage], cut_plan: Plan, settings: PatchSettings) -> Patches:
    """Resize, normalise and cut one visual.

    Returns:
        (P, W) float32; a row is one patch, channel first, then time, then the patch's rows.
    """
    images = []
    for frame in frames_of(visual):
        image = frame.convert("RGB")
        if not isinstance(visual, Sequence) and min(image.size) < SMALLEST_SIDE:
            image = resize(image, 2 * SMALLEST_SIDE, 2 * SMALLEST_SIDE)
        images.append(np.asarray(resize(image, cut_plan.height, cut_plan.width)))
    return pack(np.stack(images), cut_plan, settings)
