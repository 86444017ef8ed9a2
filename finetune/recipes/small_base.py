"""A small Qwen2-VL with random weights, to try a recipe on a CPU: 0.5 M parameters, vision 1 x 64, language 2 x 128.

Random weights know no word and no letter, so scores begin near chance; what rises above them was learnt. Each matrix
has a standard deviation of 1 / sqrt(inputs), so that what is in an image reaches the last token (with the usual 0.02,
every input gets the same vector in so small a model).

    python finetune/recipes/small_base.py tests/data/conformance/tiny/base runs/small_base    # tokenizer from, model to
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

WIDTH, HEADS = 128, 4


def make(tokenizer: Path, to: Path, seed: int = 0) -> None:
    """Write the model beside a copy of the tokenizer's files."""
    to.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.json", "*.txt"):
        for file in tokenizer.glob(pattern):
            shutil.copy(file, to / file.name)
    values = json.loads((tokenizer / "config.json").read_text(encoding="utf-8"))
    values |= {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2}
    values |= {"num_attention_heads": HEADS, "num_key_value_heads": HEADS}
    values["rope_scaling"] = {"type": "mrope", "mrope_section": [4, 6, 6]}
    values["vision_config"] |= {"depth": 1, "embed_dim": 64, "hidden_size": WIDTH, "num_heads": 2}
    (to / "config.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_pretrained(to))
    stream = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            deviation = 0.3 if "embed_tokens" in name else 1 / math.sqrt(parameter[0].numel())
            parameter.data.normal_(0, deviation, generator=stream)
    model.save_pretrained(to)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("to", type=Path)
    arguments = parser.parse_args()
    make(arguments.tokenizer, arguments.to)
