"""Random checkpoints of a few thousand parameters, in the hub's layout, the same on every machine and version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

QWEN_TOKENIZER = Path(__file__).parents[1] / "data" / "conformance" / "tiny" / "base"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
GEMMA_TOKENS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
PATCHES = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}


def tiny_qwen3vl(folder: Path, **text: Any) -> Path:
    """A Qwen3-VL of 3 layers, with two layers of the vision tower fed into the first two of the language model."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig(
        text_config={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": 1214,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2]},
            "tie_word_embeddings": True,
            **text,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": text.get("hidden_size", 64),
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=1212,
        video_token_id=1213,
        vision_start_token_id=1209,
        vision_end_token_id=1210,
        tie_word_embeddings=True,
    )
    _save(Qwen3VLForConditionalGeneration, config, folder)
    for name in TOKENIZER_FILES:
        if (QWEN_TOKENIZER / name).is_file():
            shutil.copy(QWEN_TOKENIZER / name, folder / name)
    limits = {"size": {"shortest_edge": 65536, "longest_edge": 16777216}}
    normal = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    image = {"image_processor_type": "Qwen2VLImageProcessorFast", **PATCHES, **limits, **normal}
    limits = {"size": {"shortest_edge": 4096, "longest_edge": 25165824}}
    video = {"video_processor_type": "Qwen3VLVideoProcessor", **PATCHES, **limits, **normal}
    (folder / "preprocessor_config.json").write_text(json.dumps(image))
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video))
    return folder


def tiny_embedding_gemma2(folder: Path) -> Path:
    """An EmbeddingGemma 2 of 3 layers, the last one attending to everything, with a vision tower of 2 layers."""
    from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model

    tokenizer = _gemma_tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in GEMMA_TOKENS.items()}
    config = EmbeddingGemma2Config(
        text_config={
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_global_key_value_heads": 1,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "sliding_window": 40,
            "hidden_size_per_layer_input": 16,
            "embedding_dim": 96,
            "vocab_size": len(tokenizer) + 1,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "position_embedding_size": 1024,
            "pooling_kernel_size": 3,
            "patch_size": 16,
        },
        audio_config=None,
        image_token_id=ids["image_token"],
        boi_token_id=ids["boi_token"],
        eoi_token_id=ids["eoi_token"],
        audio_token_id=ids["audio_token"],
        boa_token_id=ids["boa_token"],
        eoa_token_index=ids["eoa_token"],
        video_token_id=len(tokenizer),  # the processor adds it to the tokenizer, as does the encoder
    )
    _save(EmbeddingGemma2Model, config, folder)
    tokenizer.save_pretrained(folder)
    sizes = {"patch_size": 16, "pooling_kernel_size": 3, "max_soft_tokens": 280}
    image = {"image_processor_type": "Gemma4ImageProcessor", **sizes}
    (folder / "preprocessor_config.json").write_text(json.dumps(image))
    return folder


def _gemma_tokenizer() -> Any:
    """Pieces of the Qwen tokenizer, Gemma's special tokens, and <bos> and <eos> around every text."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    description = json.loads((QWEN_TOKENIZER / "tokenizer.json").read_text(encoding="utf-8"))
    description["added_tokens"] = []
    backend = Tokenizer.from_str(json.dumps(description))
    backend.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", *GEMMA_TOKENS.values()])
    backend.post_processor = TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("<bos>", "<eos>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens=GEMMA_TOKENS,
    )


def _save(architecture: Any, config: Any, folder: Path) -> None:
    """Write the checkpoint with weights from NumPy's legacy generator, whose stream is promised never to change."""
    import torch
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model = architecture(config)
    random = np.random.RandomState(20261130)
    shared: set[int] = set()
    with torch.no_grad():
        for name, tensor in sorted({**dict(model.named_parameters()), **dict(model.named_buffers())}.items()):
            persistent = name in model.state_dict()
            if not persistent or tensor.data_ptr() in shared:
                continue
            shared.add(tensor.data_ptr())
            values = torch.from_numpy(random.standard_normal(tensor.shape)).to(tensor.dtype)
            around_one = ("norm" in name and name.endswith("weight")) or name.endswith("layer_scalar")
            # large enough that a wrong token, position or pixel shows in the vector
            tensor.copy_(1 + 0.1 * values if around_one else values * (0.3 if tensor.ndim > 1 else 0.1))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if was_enabled:
        logging.enable_progress_bar()
