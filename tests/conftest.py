"""What every test shares: no network, the tiny checkpoint, and the golden cases of the public code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# set before anything imports the hub's client, which reads it once
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parent / "data"
CONFORMANCE = DATA / "conformance"
TINY_BASE = CONFORMANCE / "tiny" / "base"
TINY_ADAPTER = CONFORMANCE / "tiny" / "adapter"


@pytest.fixture(scope="session")
def tiny_base() -> Path:
    """A random Qwen2-VL of 316 K parameters in the hub's layout."""
    return TINY_BASE


@pytest.fixture(scope="session")
def tiny_adapter() -> Path:
    """A random DoRA adapter in the layout of VLM2Vec-V2.0."""
    return TINY_ADAPTER


@pytest.fixture(scope="session")
def encoder() -> Any:
    """The tiny checkpoint with its adapter, in float32 on the CPU."""
    from vlm2vec_rag import load_encoder

    return load_encoder(TINY_BASE, TINY_ADAPTER, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Prompts, visuals, token ids, patch grids and vectors that the public code gave (commit 6e1e1d4)."""
    cases = json.loads((CONFORMANCE / "open" / "cases.json").read_text(encoding="utf-8"))

    def an_image(name: str) -> Image.Image:
        with Image.open(CONFORMANCE / "open" / name) as image:
            return image.copy()

    def visual(case: dict[str, Any]) -> Any:
        if case["kind"] == "image":
            return an_image(case["images"][0])
        return [an_image(name) for name in case.get("frames", [])] or None

    tokens = json.loads((CONFORMANCE / "open_tokens.json").read_text(encoding="utf-8"))
    with np.load(CONFORMANCE / "open.npz") as vectors:
        return {
            "prompts": [case["text"] for case in cases],
            "visuals": [visual(case) for case in cases],
            "ids": tokens["input_ids"],
            "grids": [grid[0] if grid else None for grid in tokens["grid_thw"]],
            **{name: vectors[name] for name in vectors.files},
        }
