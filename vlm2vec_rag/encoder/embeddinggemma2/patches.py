"""Images and frames to the patches that EmbeddingGemma 2's vision tower reads, within a budget of soft tokens.

A soft token stands for 3 x 3 patches of 16 px: 48 x 48 px. An image is resized, up or down, to fill the budget, its
aspect kept and its sides rounded down to multiples of 48 (`get_aspect_ratio_preserving_size` of transformers 5.24).
Images are resized by PIL, frames by torch's antialiased filter on 8-bit values, as the model's two processors do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.encoder.patches import Patches, Plan, frames_of
from vlm2vec_rag.errors import EmptyInput
from vlm2vec_rag.pixels import resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

PATCH, POOL = 16, 3
SIDE = PATCH * POOL  # px that one soft token stands for
BUDGETS = (70, 140, 280, 560, 1120)  # soft tokens of an image or frame that the model was trained with
IMAGE_BUDGET, FRAME_BUDGET = 280, 140  # the model card's own


def budget_of(max_pixels: int) -> int:
    """The largest budget of soft tokens within so many pixels."""
    return max((each for each in BUDGETS if each * SIDE**2 <= max_pixels), default=BUDGETS[0])


def plan(visual: PILImage | Sequence[PILImage], budget: int) -> Plan:
    """Choose the size and count the tokens of one image, or of the frames of a clip, in the size that the first gets.

    Raises:
        EmptyInput: A clip without frames.
    """
    frames = frames_of(visual)
    if not frames:
        raise EmptyInput("a clip without frames cannot be encoded; drop it or read it again")
    height, width = fitted(frames[0].height, frames[0].width, budget)
    rows, columns = height // PATCH, width // PATCH
    return Plan(
        height=height,
        width=width,
        grid=(len(frames), rows, columns),
        tokens=len(frames) * rows * columns // POOL**2,
    )


def fitted(height: int, width: int, budget: int) -> tuple[int, int]:
    """The (height, width) that fills the budget: sides are multiples of 48 px, the shorter at least one of them."""
    scale = math.sqrt(budget * SIDE**2 / (height * width))
    rows, columns = math.floor(scale * height / SIDE), math.floor(scale * width / SIDE)
    if rows == 0:
        rows, columns = 1, min(width // height, budget)
    elif columns == 0:
        rows, columns = min(height // width, budget), 1
    return rows * SIDE, columns * SIDE


def cut(visual: PILImage | Sequence[PILImage], cut_plan: Plan) -> Patches:
    """Resize and cut one visual.

    Returns:
        (P, 768) float32 from 0 to 1, frame after frame and row after row; a row is one patch, the colours of a pixel
        together.
    """
    by = resize_frame if isinstance(visual, Sequence) else _resize_image
    pixels = np.stack([by(on_white(frame), cut_plan.height, cut_plan.width) for frame in frames_of(visual)])
    frames, rows, columns = cut_plan.grid
    blocks = pixels.reshape(frames, rows, PATCH, columns, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    flat = blocks.reshape(frames * rows * columns, PATCH * PATCH * 3)
    return np.ascontiguousarray((flat.astype(np.float64) * (1 / 255)).astype(np.float32))


def on_white(image: PILImage) -> PILImage:
    """An image in RGB, its transparency laid on white."""
    from PIL import Image

    if image.mode == "RGB":
        return image
    painted = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), painted).convert("RGB")


def _resize_image(image: PILImage, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.asarray(resize(image, height, width))


def resize_frame(image: PILImage, height: int, width: int) -> npt.NDArray[np.uint8]:
    """(height, width, 3): bicubic and antialiased on 8-bit values."""
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    if pixels.shape[-2:] != (height, width):
        pixels = torch.nn.functional.interpolate(
            pixels, size=(height, width), mode="bicubic", align_corners=False, antialias=True
        )
    sized: npt.NDArray[np.uint8] = pixels[0].permute(1, 2, 0).numpy()
    return sized
