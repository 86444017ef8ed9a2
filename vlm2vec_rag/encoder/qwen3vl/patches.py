"""Images and frames to the sizes and numbers that Qwen3-VL-Embedding was trained with.

Equal to what its own class does through qwen-vl-utils 0.0.14, without torchvision: images by PIL's bicubic filter,
frames of a video by the antialiased bicubic filter of torch, which rounds only once, after both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.encoder.base import Frames
from vlm2vec_rag.encoder.patches import Patches, PatchSettings, Plan, pack, plan_of
from vlm2vec_rag.errors import EmptyInput
from vlm2vec_rag.pixels import MAX_ASPECT, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SETTINGS = PatchSettings(patch=16, merge=2, temporal=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TOKEN_PIXELS = 32 * 32
MIN_PIXELS, MAX_PIXELS = 4 * TOKEN_PIXELS, 1800 * TOKEN_PIXELS  # of an image
FRAME_MIN_PIXELS, FRAME_MAX_PIXELS = 128 * TOKEN_PIXELS, 768 * TOKEN_PIXELS
VIDEO_PIXELS = 10 * FRAME_MAX_PIXELS  # shared by the steps of a video: 7,680 of the 8,192 tokens that are read
LIST_FACTOR, LIST_MIN, LIST_MAX = 64, 4 * 64 * 64, 16384 * 64 * 64


def image_plan(image: PILImage, max_pixels: int, settings: PatchSettings) -> Plan:
    """How one image is cut."""
    height, width = fitted(image.height, image.width, settings.factor, MIN_PIXELS, max_pixels)
    return plan_of(height, width, 1, settings)


def video_plan(frames: Sequence[PILImage], max_pixels: int, settings: PatchSettings) -> Plan:
    """How the frames of a clip are cut: all in the size that the first one gets.

    Raises:
        EmptyInput: There are none.
    """
    if not frames:
        raise EmptyInput("a clip without frames cannot be encoded; drop it or read it again")
    width, height = frames[0].size
    if not isinstance(frames, Frames):
        height, width = fitted(height, width, LIST_FACTOR, LIST_MIN, LIST_MAX)
    count = len(frames) + len(frames) % settings.temporal
    share = min(FRAME_MAX_PIXELS, max_pixels, VIDEO_PIXELS / count * settings.temporal)
    height, width = fitted(
        height,
        width,
        settings.factor,
        min(FRAME_MIN_PIXELS, max_pixels),
        max(share, min(int(FRAME_MIN_PIXELS * 1.05), max_pixels)),
    )
    return plan_of(height, width, count, settings)


def cut_image(image: PILImage, plan: Plan, settings: PatchSettings) -> Patches:
    """Resize, normalise and cut one image; what is transparent becomes white.

    Returns:
        (P, W) float32.
    """
    pixels = np.asarray(resize(on_white(image), plan.height, plan.width))
    return pack(pixels[None], plan, settings)


def cut_video(frames: Sequence[PILImage], plan: Plan, settings: PatchSettings) -> Patches:
    """Resize, normalise and cut the frames of a clip.

    Frames of a file (`Frames`, with their times) are resized once. A list of frames without times is first fitted to
    multiples of 64 px, as the reference does with a list.

    Returns:
        (P, W) float32.
    """
    opened = [on_white(frame) for frame in frames]
    if not isinstance(frames, Frames):
        opened = [resize(each, *fitted(each.height, each.width, LIST_FACTOR, LIST_MIN, LIST_MAX)) for each in opened]
    pixels = np.stack([resize_frame(np.asarray(each), plan.height, plan.width) for each in opened])
    return pack(pixels, plan, settings)


def fitted(height: int, width: int, factor: int, min_pixels: int, max_pixels: float) -> tuple[int, int]:
    """The (height, width) near an image's own size and aspect, sides multiples of `factor`, within the two limits.

    Source: `smart_resize` of qwen-vl-utils 0.0.14, which refuses an aspect over 200; here such an image counts as a
    square of its longer side, as elsewhere in this library.
    """
    if max(height, width) / min(height, width) > MAX_ASPECT:
        height = width = max(height, width)
    rows, columns = max(factor, round(height / factor) * factor), max(factor, round(width / factor) * factor)
    if rows * columns > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows, columns = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    elif rows * columns < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, columns = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return rows, columns


def on_white(image: PILImage) -> PILImage:
    """An image in RGB, its transparency laid on white."""
    from PIL import Image

    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def resize_frame(frame: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) to (height, width, 3): bicubic and antialiased in float32 over both sides, then rounded."""
    import torch

    if frame.shape[:2] == (height, width):
        return frame
    pixels = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float()
    sized = torch.nn.functional.interpolate(
        pixels, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    rounded: npt.NDArray[np.uint8] = sized.clamp(0, 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
    return rounded
