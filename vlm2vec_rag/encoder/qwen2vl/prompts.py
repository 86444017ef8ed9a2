"""The instructions that VLM2Vec-V2 was trained with, a plain default for each kind.

A prompt is `[visual token][separator]INSTRUCTION[ TEXT]`, complete as the model reads it: no chat template, no
system prompt, no end token. Image tasks separate with a line break and end in one; video and page tasks use a space
(public code: `src/model/processor.py:650-673` and the parsers under `src/data/eval_dataset` at 6e1e1d4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from vlm2vec_rag.encoder.base import SHOWN_BY, Prompts, Shown
from vlm2vec_rag.items import Kind

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  a token of the vocabulary, not a secret
VIDEO_TOKEN = "<|video_pad|>"  # noqa: S105

VISUAL_TOKENS: Mapping[Shown, str] = MappingProxyType({"": "", "image": IMAGE_TOKEN, "video": VIDEO_TOKEN})

# What a question asks for decides its instruction. Each is one of the training or evaluation instructions of the
# nearest task: MSCOCO_t2i, NIGHTS and CIRR for images, ViDoRe for pages, MSR-VTT and MomentSeeker for clips.
QUERY_INSTRUCTIONS: Mapping[tuple[Shown, bool, Kind], str] = MappingProxyType(
    {
        # (what the question shows, whether it has words, what it looks for)
        ("", True, "page"): "Find a document image that matches the given query:",
        ("", True, "image"): "Find me an everyday image that matches the given caption:",
        ("", True, "clip"): "Find a video that contains the following visual content:",
        ("", True, "text"): "",
        ("image", False, "page"): "Find a document image that matches the given query:",
        ("image", False, "image"): "Find a day-to-day image that looks similar to the provided image.",
        ("image", False, "clip"): "Select the video clip that aligns with the given text and image:",
        ("image", False, "text"): "Find an image caption describing the given everyday image.",
        ("image", True, "page"): "Represent the given image with the following question:",
        ("image", True, "image"): "Given an image, find a similar everyday image with the described changes:",
        ("image", True, "clip"): "Select the video clip that aligns with the given text and image:",
        ("image", True, "text"): "Represent the given image with the following question:",
        ("video", False, "page"): "Understand the content of the provided video.",
        ("video", False, "image"): "Understand the content of the provided video.",
        ("video", False, "clip"): "Understand the content of the provided video.",
        ("video", False, "text"): "Understand the content of the provided video.",
        ("video", True, "page"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "image"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "clip"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "text"): "Find the clip that corresponds to the given sentence and video segment:",
    }
)
ITEM_INSTRUCTIONS: Mapping[tuple[Kind, bool], str] = MappingProxyType(
    {
        # (kind, whether its words are read together with its pixels)
        ("text", True): "",
        ("page", False): "Understand the content of the provided document image.",
        ("page", True): "Understand the content of the provided document image.",
        ("image", False): "Represent the given image.",
        ("image", True): "Represent the given image with related text information:",
        ("clip", False): "Understand the content of the provided video.",
        ("clip", True): "Understand the content of the provided video.",
    }
)


class VLM2VecPrompts(Prompts):
    """The prompts of VLM2Vec-V2, of its adapters, and of nano."""

    def query(self, text: str, shown: Shown, *, target: Kind, instruction: str | None = None) -> str:
        """See `Prompts.query`."""
        if instruction is None:
            instruction = QUERY_INSTRUCTIONS[shown, bool(text.strip()) or not shown, target]
        return layout(instruction, plain(text), shown, lines=target == "image")

    def item(self, kind: Kind, text: str, *, instruction: str | None = None) -> str:
        """See `Prompts.item`."""
        if instruction is None:
            instruction = ITEM_INSTRUCTIONS[kind, bool(text)]
        return layout(instruction, plain(text), SHOWN_BY[kind], lines=kind == "image")


PROMPTS = VLM2VecPrompts()


def layout(instruction: str, text: str, shown: Shown, *, lines: bool, final_newline: bool = True) -> str:
    """Put token, instruction and text together, with line breaks (`lines`, image tasks) or with spaces."""
    words = f"{instruction} {text}" if instruction and text else instruction or text
    token = VISUAL_TOKENS[shown]
    if lines:
        return (f"{token}\n" if token else "") + words + ("\n" if final_newline else "")
    return f"{token} {words}" if token and words else token or words


def plain(text: str) -> str:
    """Break every special token in text from outside, so that words can never pass for pixels or turns.

    The vocabulary's special tokens all look like `<|name|>`; a space after the bracket makes one ordinary text.
    """
    return re.sub(r"<(?=\|[a-z_]+\|>)", "< ", text)
