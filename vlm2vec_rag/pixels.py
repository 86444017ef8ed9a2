"""The size at which the model sees a picture. Pure arithmetic: no picture is touched here.

Pages are rendered straight at this size and pictures are reduced to it, so that media and encoder agree.
"""

from __future__ import annotations

import math

FACTOR = 28  # a token is 28 x 28 pixels: 2 x 2 patches of 14
MIN_PIXELS = 28 * 28 * 4
MAX_PIXELS = 28 * 28 * 1280
MAX_ASPECT = 200


def target_size(
    height: int, width: int, max_pixels: int = MAX_PIXELS, *, min_pixels: int = MIN_PIXELS, factor: int = FACTOR
) -> tuple[int, int]:
    """The multiples of `factor` nearest to a picture's own size, shape kept, within the pixel budget.

    A picture with a side under `factor`, or more than 200 times as long as wide, counts as a square of its longer
    side, as it did in training.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        max_pixels: Budget of the result.
        min_pixels: The result is no smaller than this.
        factor: Sides are multiples of it.

    Returns:
        (height, width) in pixels.

    Source: `smart_resize`, src/model/vlm_backbone/qwen2_vl/image_processing_qwen2_vl.py:66-98 at 6e1e1d4.
    """
    if min(height, width) < factor or max(height, width) / min(height, width) > MAX_ASPECT:
        height = width = max(height, width)
    # Python's round, half to even, as in training
    rows, columns = round(height / factor), round(width / factor)
    if rows * columns * factor**2 > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        rows, columns = math.floor(height / beta / factor), math.floor(width / beta / factor)
    elif rows * columns * factor**2 < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        rows, columns = math.ceil(height * beta / factor), math.ceil(width * beta / factor)
    return max(rows, 1) * factor, max(columns, 1) * factor
