"""Messages to the prompt that Qwen2-VL was trained to answer, and to the numbers its `generate` takes.

Equal to the chat template and the image processor that come with Qwen2-VL-2B-Instruct: each image stands between
`<|vision_start|>` and `<|vision_end|>`, so that positions run along its rows and columns (3-D M-RoPE), other than in
the encoder's bare prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.chat.messages import ImagePart, Message, TextPart
from vlm2vec_rag.encoder.patches import PatchSettings
from vlm2vec_rag.encoder.qwen2vl.patches import cut, plan
from vlm2vec_rag.encoder.qwen2vl.prompts import IMAGE_TOKEN, plain

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

DEFAULT_SYSTEM = "You are a helpful assistant."
_IMAGE = f"<|vision_start|>{IMAGE_TOKEN}<|vision_end|>"


def render(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> str:
    """The conversation as one prompt that ends where the answer begins, one visual token for each image.

    The checkpoint's own template is used where it has one. Special tokens in words are broken: no text can end its turn
    or pass for an image.
    """
    if tokenizer.chat_template:
        conversation = [{"role": message.role, "content": _content(message)} for message in messages]
        prompt: str = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        return prompt
    if not messages or messages[0].role != "system":
        messages = [Message.of("system", DEFAULT_SYSTEM), *messages]
    turns = [f"<|im_start|>{message.role}\n{_written(message)}<|im_end|>\n" for message in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


def inputs(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, settings: PatchSettings, max_pixels: int
) -> dict[str, torch.Tensor]:
    """What `Qwen2VLForConditionalGeneration.generate` takes: ids, mask, token types, and patches with their grids."""
    import torch

    images = [part.image for message in messages for part in message.parts if isinstance(part, ImagePart)]
    # a list of one frame: the rule for tiny images in a list is Qwen2-VL's own, that for single ones is VLM2Vec's
    plans = [plan([image], max_pixels, settings) for image in images]
    first, *rest = render(messages, tokenizer).split(IMAGE_TOKEN)
    prompt = first + "".join(IMAGE_TOKEN * each.tokens + after for each, after in zip(plans, rest, strict=True))
    ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    found = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == image_id).to(torch.int64),
    }
    if images:
        patches = [cut([image], each, settings) for image, each in zip(images, plans, strict=True)]
        found["pixel_values"] = torch.from_numpy(np.concatenate(patches))
        found["image_grid_thw"] = torch.tensor([each.grid for each in plans])
    return found


def _content(message: Message) -> list[dict[str, str]]:
    return [
        {"type": "text", "text": plain(part.text)} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.parts
    ]


def _written(message: Message) -> str:
    return "".join(plain(part.text) if isinstance(part, TextPart) else _IMAGE for part in message.parts)
