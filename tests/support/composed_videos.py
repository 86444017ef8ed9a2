"""A video of known scenes, one after the other: each has an image of its own that sways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

SWAY_PX = 6


def scene_image(seed: int, height: int = 112, width: int = 168) -> Image.Image:
    """An image of coarse coloured blocks, another one for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def compose(path: Path, scenes: Sequence[tuple[int, float]], rate: int = 5, *, sound: bool = False) -> Path:
    """Write scenes of (seed, seconds) as one H.264 video, with a tone of 440 Hz if asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 168, 112, "yuv420p"
        tone = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        number = 0
        for seed, seconds in scenes:
            image = np.asarray(scene_image(seed))
            for index in range(round(seconds * rate)):
                frame = av.VideoFrame.from_ndarray(
                    np.roll(image, SWAY_PX * (index // rate % 2), axis=1), format="rgb24"
                )
                frame.pts = number
                number += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            samples = np.arange(round(number / rate * 44100))
            wave = (np.sin(2 * np.pi * 440 * samples / 44100) * 8000).astype(np.int16)
            for start in range(0, len(wave), 1024):
                block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
                block.rate, block.pts = 44100, start
                container.mux(tone.encode(block))
            container.mux(tone.encode())
    return path
