"""The inputs whose vectors transformers' own EmbeddingGemma 2 gave: text, images, pages, both, and frames."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from qwen3vl_cases import waves


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input of transformers' processor: the prompt as it takes it, and what it shows."""

    prompt: str
    images: tuple[Image.Image, ...] = ()
    frames: tuple[Image.Image, ...] = ()


def cases() -> dict[str, Case]:
    """Name -> case, the same everywhere."""
    wide, tall = waves(500, 300, 1), waves(200, 430, 2)
    return {
        "question": Case(prompt="task: search result | query: a red car on a bridge"),
        "text": Case(prompt="title: none | text: Grüße, 你好 world"),
        "long text": Case(prompt="title: none | text: " + " ".join(f"word{number}" for number in range(200))),
        "image": Case(prompt="<|image|>", images=(wide,)),
        "tall page": Case(prompt="title: none | text: <|image|>", images=(tall,)),
        "small image": Case(prompt="<|image|>", images=(waves(40, 30, 3),)),
        "large image": Case(prompt="<|image|>", images=(waves(1700, 1400, 4),)),
        "sliver": Case(prompt="<|image|>", images=(waves(1500, 4, 6),)),
        "image with transparency": Case(prompt="<|image|>", images=(waves(300, 200, 5, "RGBA"),)),
        "words and image": Case(prompt="task: search result | query: what is this?<|image|>", images=(tall,)),
        "two images": Case(prompt="<|image|> and <|image|>", images=(wide, tall)),
        "clip": Case(prompt="title: none | text: <|video|>", frames=tuple(waves(400, 225, 40 + i) for i in range(3))),
        "large clip": Case(prompt="<|video|>", frames=tuple(waves(1280, 720, 50 + i) for i in range(2))),
    }
