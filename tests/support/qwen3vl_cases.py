"""The inputs whose vectors Qwen3-VL-Embedding's own class gave: text, images, both, several images, and frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

INSTRUCTION = "Retrieve images or text relevant to the user's query"  # no full stop: the class adds one
LONG = " ".join(f"word{number}" for number in range(60))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input of the reference class."""

    text: str = ""
    images: tuple[Image.Image, ...] = ()
    frames: tuple[Image.Image, ...] = ()
    times_s: tuple[float, ...] = ()  # as a video file's frames have them; none: a list of frames
    instruction: str | None = None
    max_tokens: int = 8192


def waves(width: int, height: int, seed: int, mode: str = "RGB") -> Image.Image:
    """A smooth image with detail at every scale, from NumPy alone: no version of Pillow changes it."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    bands = []
    for _ in range(len(mode)):
        band = sum(
            np.sin(x * random.uniform(0.01, 0.9) + y * random.uniform(0.01, 0.9) + random.uniform(0, 6))
            for _ in range(6)
        )
        bands.append(np.clip(128 + 40 * band, 0, 255))
    return Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8), mode)


def cases() -> dict[str, Case]:
    """Name -> case, the same everywhere."""
    wide, tall, small = waves(500, 300, 1), waves(200, 430, 2), waves(20, 45, 3)
    return {
        "text": Case(text="a red car on a bridge"),
        "text with an instruction": Case(text="a red car", instruction=INSTRUCTION),
        "text in other scripts": Case(text="Grüße, 你好 world"),
        "text cut at 64 tokens": Case(text=LONG, max_tokens=64),
        "image": Case(images=(wide,)),
        "tall image": Case(images=(tall,)),
        "image of a few pixels": Case(images=(small,)),
        "image above the budget": Case(images=(waves(1700, 1400, 4),)),
        "image with transparency": Case(images=(waves(300, 200, 5, "RGBA"),)),
        "image and text": Case(images=(tall,), text="what is this?", instruction=INSTRUCTION),
        "two images": Case(images=(wide, small)),
        "three images and text": Case(images=(small, wide, tall), text="compare them"),
        "four frames": Case(frames=tuple(waves(320, 192, 10 + each) for each in range(4))),
        "five frames of odd sizes": Case(frames=tuple(waves(250, 190, 20 + each) for each in range(5))),
        "six large frames and text": Case(
            frames=tuple(waves(1300, 800, 30 + each) for each in range(6)), text="a storm", instruction=INSTRUCTION
        ),
        "frames of a file": Case(
            frames=tuple(waves(400, 225, 40 + each) for each in range(4)), times_s=(0.0, 1.04, 2.0, 3.04)
        ),
        "large frames of a file": Case(
            frames=tuple(waves(1280, 720, 50 + each) for each in range(6)),
            times_s=(0.0, 5.96, 12.0, 17.96, 24.0, 29.96),
            text="people",
        ),
    }
