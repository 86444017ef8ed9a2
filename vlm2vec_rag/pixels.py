"""The size of an image as the model sees it, and the one way to it. Shared by the media reader and the encoder.

Qwen2-VL cuts an image into patches of 14 px and merges them two by two, so both sides are multiples of 28
and every 28 x 28 px become one token of the language model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FACTOR = 28  # px: patch 14, merged 2 x 2
MIN_PIXELS = 4 * FACTOR**2
MAX_PIXELS = 1280 * FACTOR**2  # 1280 tokens, in training and in evaluation
MAX_ASPECT = 200


def target_size(
    height: int, width: int, max_pixels: int, min_pixels: int = MIN_PIXELS, factor: int = FACTOR
) -> tuple[int, int]:
    """The (height, width) an image is resized to: near its own size and aspect, within the two limits.

    A side under `factor`, or an aspect over 200, counts as a square of the longer side: such an image is stretched.
    The area stays within `max_pixels`, except where a side is already down to `factor`.

    Source: `smart_resize` of VLM2Vec at 6e1e1d4, whose sides may come out as 0; here they are at least `factor`.
    """
    if min(height, width) < factor or max(height, width) / min(height, width) > MAX_ASPECT:
        height = width = max(factor, height, width)
    # Python rounds half to even, as the public code does: 42 px become 56, 70 px become 56
    fitted = round(height / factor) * factor, round(width / factor) * factor
    if fitted[0] * fitted[1] > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        fitted = (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    elif fitted[0] * fitted[1] < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        fitted = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
    return fitted


def reduced_size(height: int, width: int, max_pixels: int) -> tuple[int, int] | None:
    """The size a large image may be reduced to before the encoder sees it, without changing its vector.

    That is its target size, where the target is its own target: the encoder's resize then does nothing. None for a
    image within the budget, and for a sliver whose target the encoder would resize once more (40 x 8000 px).
    """
    if height * width <= max_pixels:
        return None
    target = target_size(height, width, max_pixels)
    return target if target_size(*target, max_pixels) == target else None


def page_size(height: float, width: float, max_pixels: int) -> tuple[int, int]:
    """The (height, width) in px at which to render something that has an aspect but no pixels, such as a PDF page.

    It fills the budget: an A4 page becomes 1176 x 840 px (102 dpi) at 1280 tokens. The scale follows from the budget
    alone, so that no page is too large to render. A sliver (aspect over 200) is stretched to a square, as any image.
    """
    aspect = min(max(height / width, 1 / (2 * MAX_ASPECT)), 2 * MAX_ASPECT)
    # four times the budget before fitting: a size on whole pixels that is always reduced, never above the budget
    ideal = round(math.sqrt(4 * max_pixels * aspect)), round(math.sqrt(4 * max_pixels / aspect))
    size = target_size(*ideal, max_pixels)
    for _ in range(8):  # a sliver: settle on a size that the encoder keeps; under 8 tokens there may be none
        again = target_size(*size, max_pixels)
        if again == size:
            break
        size = again
    return size


def resize(image: Image, height: int, width: int) -> Image:
    """Resize with PIL's bicubic filter on 8-bit values, the same under every version of Pillow.

    The filter runs along one side and then along the other, and rounds to 8 bits in between. Pillow before 13 always
    began with the width; 13 begins with the height when it shrinks more than twice as much as the width
    (python-pillow/Pillow#9549), which changes single pixels by up to 15 of 255 and vectors by up to 2e-4.
    The order of 13, which the golden vectors were made with, is spelled out here so that no upgrade moves a vector.
    """
    from PIL.Image import Resampling

    shrinks_width, shrinks_height = image.width - width, image.height - height
    height_first = shrinks_height > 0 and shrinks_height > 2 * shrinks_width
    between = (image.width, height) if height_first else (width, image.height)
    return image.resize(between, Resampling.BICUBIC).resize((width, height), Resampling.BICUBIC)
