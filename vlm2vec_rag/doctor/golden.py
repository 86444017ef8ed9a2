"""Vectors of the model that comes with the package, kept beside it: does it give the same ones here?

`python tools/golden_vectors.py` writes them, on a CPU in float32, whenever that model changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.encoder.locate import NANO_FOLDER
from vlm2vec_rag.items import Clip, Image, Item, Text

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.encoder.base import Encoder, Vectors

FILE = NANO_FOLDER / "golden.npz"

QUERIES = ("angle of rotation of a label", "a chart of revenue by region")

TOLERANCE = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 5e-3}
"""1 - cosine by number format. On a CPU the coarser two were 6e-6 and 3.4e-4 away (a clip), float32 below 1e-7; other
kernels sum in another order. An image whose colours are exchanged, which hardly matters to nano, is 1.5e-4 away."""


@dataclass(frozen=True, slots=True)
class Golden:
    """The vectors, and the weights that gave them."""

    weights: str  # digest
    vectors: Vectors  # (queries and items, D) float32


def golden_image() -> PILImage:
    """An image made of arithmetic: no font and no decoder has a say in its pixels."""
    from PIL import Image as Pillow

    row, column = np.mgrid[0:224, 0:168]
    checks = (column // 14 + row // 14) % 2 * 255
    channels = [column * row // 7 % 256, (column * 3 + row) % 256, checks]
    return Pillow.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def golden_items() -> list[Item]:
    """A text, an image, and a clip of two frames."""
    image = golden_image()
    mirrored = image.rotate(180)
    return [
        Text(text="The label's angle of rotation is measured in degrees."),
        Image(image=image),
        Clip(frames=(image, mirrored), times_s=(0.0, 1.0), start_s=0.0, end_s=1.0),
    ]


def vectors_of(encoder: Encoder) -> Vectors:
    """(queries and items, D) what an encoder gives for them."""
    return np.concatenate([encoder.encode_queries(QUERIES), encoder.encode_items(golden_items())])


def read_golden() -> Golden:
    """The vectors that come with the package."""
    with np.load(FILE) as stored:
        return Golden(str(stored["weights"]), stored["vectors"])


def write_golden(encoder: Encoder) -> None:
    """Write the vectors of an encoder, which runs on a CPU in float32."""
    np.savez_compressed(FILE, weights=np.str_(encoder.fingerprint.weights), vectors=vectors_of(encoder))


def apart(left: Vectors, right: Vectors) -> float:
    """1 - cosine of the two rows that are farthest apart; both (B, D) with unit rows."""
    cosines: Sequence[float] = (left.astype(np.float64) * right.astype(np.float64)).sum(axis=1)
    return max(0.0, 1.0 - float(np.min(cosines)))
