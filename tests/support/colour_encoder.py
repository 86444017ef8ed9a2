"""An encoder that tells scenes apart without a model: which colours are where. Words are not read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlm2vec_rag.encoder import Encoder
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.fingerprint import Fingerprint

GRID = (6, 4)


class ColourEncoder(Encoder):
    """Mean colours on a grid of 6 x 4, averaged over frames: 72 numbers. Counts what it encodes."""

    prompts = PROMPTS
    sees = frozenset({"photographs", "video"})

    def __init__(self) -> None:
        self.max_pixels, self.frames, self.encoded = 168 * 112, 8, 0
        self.fingerprint = Fingerprint(model="colours", weights="1", max_pixels=self.max_pixels, frames=8, dim=72)

    def encode_prompts(self, prompts, visuals, *, progress=None):
        self.encoded += len(visuals)
        rows = [self._row(visual) for visual in visuals]
        vectors = np.stack(rows).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _row(self, visual):
        if visual is None:
            return np.ones(72)
        frames = list(visual) if isinstance(visual, Sequence) else [visual]
        grids = [np.asarray(frame.convert("RGB").resize(GRID), dtype=float).ravel() - 128 for frame in frames]
        return np.mean(grids, axis=0) + 1e-3
