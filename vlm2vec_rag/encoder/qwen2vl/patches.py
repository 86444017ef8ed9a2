"""Images to patches: the exact numbers that Qwen2-VL's vision tower reads.

Follows the public code's slow image processor (`image_processing_qwen2_vl.py` at 6e1e1d4): RGB, PIL bicubic on
8-bit values, scale 1/255, CLIP mean and deviation in float32, patches of 14 x 14 x 2 frames in 2 x 2 blocks.
Shape letters: P patches of one visual, W numbers of a patch (3 * 2 * 14 * 14 = 1176).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.errors import EmptyInput
from vlm2vec_rag.pixels import resize, target_size

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SMALLEST_SIDE = 28  # a shorter side makes an image 56 x 56 first (public code: processor.py:328-332)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSettings:
    """The constants of a vision tower; the defaults are Qwen2-VL's own."""

    patch: int = 14
    merge: int = 2
    temporal: int = 2
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def factor(self) -> int:
        """Sides are multiples of this many pixels."""
        return self.patch * self.merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one visual will be cut, known from its size alone: no pixel is touched yet."""

    height: int
    width: int
    grid: tuple[int, int, int]  # steps in time, rows and columns of patches
    tokens: int  # what the language model will see of it


def plan(visual: PILImage | Sequence[PILImage], max_pixels: int, settings: PatchSettings) -> Plan:
    """Choose the size and count the tokens of one image or of the frames of a clip.

    All frames take the size that the first one gets. One image, and an odd last frame, fill both temporal slots.

    Raises:
        EmptyInput: A clip without frames.
    """
    frames = _frames(visual)
    if not frames:
        raise EmptyInput("a clip without frames cannot be encoded; drop it or read it again")
    width, height = frames[0].size
    if not isinstance(visual, Sequence) and min(width, height) < SMALLEST_SIDE:
        width = height = 2 * SMALLEST_SIDE
    height, width = target_size(height, width, max_pixels, factor=settings.factor)
    steps = -(-len(frames) // settings.temporal)
    rows, columns = height // settings.patch, width // settings.patch
    tokens = steps * rows * columns // settings.merge**2
    return Plan(height=height, width=width, grid=(steps, rows, columns), tokens=tokens)


def cut(visual: PILImage | Sequence[PILImage], cut_plan: Plan, settings: PatchSettings) -> npt.NDArray[np.float32]:
    """Resize, normalise and cut one visual.

    Returns:
        (P, W) float32; a row is one patch, channel first, then time, then the patch's rows.
    """
    images = []
    for frame in _frames(visual):
        image = frame.convert("RGB")
        if not isinstance(visual, Sequence) and min(image.size) < SMALLEST_SIDE:
            image = resize(image, 2 * SMALLEST_SIDE, 2 * SMALLEST_SIDE)
        images.append(np.asarray(resize(image, cut_plan.height, cut_plan.width)))
    while len(images) % settings.temporal:
        images.append(images[-1])

    pixels = np.stack(images).astype(np.float32)  # (frames, height, width, 3)
    pixels *= np.float32(1 / 255)
    pixels -= np.asarray(settings.mean, dtype=np.float32)
    pixels /= np.asarray(settings.std, dtype=np.float32)

    steps, rows, columns = cut_plan.grid
    patch, merge, temporal = settings.patch, settings.merge, settings.temporal
    blocks = pixels.reshape(steps, temporal, rows // merge, merge, patch, columns // merge, merge, patch, 3)
    # one merged block after the other, its four patches together: the merger joins neighbours in this order
    blocks = blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return np.ascontiguousarray(blocks.reshape(steps * rows * columns, 3 * temporal * patch * patch))


def _frames(visual: PILImage | Sequence[PILImage]) -> list[PILImage]:
    return list(visual) if isinstance(visual, Sequence) else [visual]
