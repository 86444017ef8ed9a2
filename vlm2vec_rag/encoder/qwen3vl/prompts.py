"""The prompts of Qwen3-VL-Embedding: a chat of the instruction and the input, left open where an answer would begin.

Pixels always come before text. An instruction ends in a punctuation mark; the default is the reference's own
(`format_model_input`, src/models/qwen3_vl_embedding.py of QwenLM/Qwen3-VL-Embedding at 8ce3aab).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from vlm2vec_rag.encoder.base import SHOWN_BY, Prompts, Shown
from vlm2vec_rag.items import Kind

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
VIDEO = "<|video_pad|>"  # becomes one such block for every two frames, each with its time
VISUALS: Mapping[Shown, str] = MappingProxyType({"": "", "image": IMAGE, "video": VIDEO})

ITEM_INSTRUCTION = "Represent the user's input."
QUERY_INSTRUCTION = "Retrieve images or text relevant to the user's query."  # the one of the model's README
EMPTY = "NULL"  # what the reference reads where there is neither text nor pixels


class Qwen3VLPrompts(Prompts):
    """The prompts of Qwen3-VL-Embedding: one instruction for questions, one for all that can be found."""

    def query(self, text: str, shown: Shown, *, target: Kind, instruction: str | None = None) -> str:
        """See `Prompts.query`; the instruction does not depend on what is looked for."""
        return chat(QUERY_INSTRUCTION if instruction is None else instruction, plain(text), VISUALS[shown])

    def item(self, kind: Kind, text: str, *, instruction: str | None = None) -> str:
        """See `Prompts.item`."""
        return chat(ITEM_INSTRUCTION if instruction is None else instruction, plain(text), VISUALS[SHOWN_BY[kind]])


PROMPTS = Qwen3VLPrompts()


def chat(instruction: str, text: str, visuals: str = "") -> str:
    """The conversation that the model reads; `visuals` are the tokens of what is shown."""
    instruction = instruction.strip()
    if instruction and not unicodedata.category(instruction[-1]).startswith("P"):
        instruction += "."
    return (
        f"<|im_start|>system\n{plain(instruction) or ITEM_INSTRUCTION}<|im_end|>\n"
        f"<|im_start|>user\n{visuals + text or EMPTY}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def plain(text: str) -> str:
    """Break every special token in text from outside (`<|name|>`), so that words never pass for pixels or turns."""
    return re.sub(r"<(?=\|[a-z_]+\|>)", "< ", text)
