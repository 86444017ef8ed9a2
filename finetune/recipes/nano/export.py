"""Put the tower of one run and the language model of another together, as a folder in hub layout, float16.

python export.py runs/nano --vision-run vision --retrieval-run retrieval --to runs/nano/export
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from crops import PAGE_PIXELS
from model import CELL, MEAN, PATCH, STD, new_model
from safetensors.torch import save_file
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLModel


def assemble(folder: Path, read: str, match: str) -> Qwen2VLModel:
    """The model as trained, float32."""
    model = new_model(np.load(folder / "tokenizer" / "subword_idf.npy"))
    seen = torch.load(folder / f"{read}.pt", weights_only=True)["model"]
    model.load_state_dict(
        {name: value.float() for name, value in seen.items() if name.startswith("visual.")}, strict=False
    )
    language = torch.load(folder / f"{match}.pt", weights_only=True)["model"]
    model.language_model.load_state_dict({name: value.float() for name, value in language.items()})
    return model.eval()


def save(model: Qwen2VLModel, tokenizer: Path, target: Path, dense_weight: float = 1.0) -> None:
    """Write config, weights, tokenizer and preprocessor; the model is left in float16.

    Args:
        model: As `assemble` gives it.
        tokenizer: Folder of its tokenizer.
        target: Folder to write.
        dense_weight: What its ranking counts beside that of words when the library fuses both.
    """
    whole = Qwen2VLForConditionalGeneration(model.config)
    whole.model = model
    whole.tie_weights()
    target.mkdir(parents=True, exist_ok=True)
    whole.config.dense_weight = dense_weight
    whole.config.sees = ["print"]  # it was taught to read, and knows no scenes
    whole.config.matches_words = True
    whole.half().save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, target / name)
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "min_pixels": 4 * CELL * CELL,
        "max_pixels": PAGE_PIXELS,
        "patch_size": PATCH,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (target / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def save_heads(folder: Path, read: str, target: Path) -> None:
    """Write what a run learnt to read with beside the model, float16; `resume.py` goes on from it."""
    train = torch.load(folder / f"{read}.pt", weights_only=True)["train"]
    masters = dict(zip(train["names"], train["masters"], strict=True))
    heads = ("head", "around", "teller.weight", "teller.bias")
    save_file({name: masters[name].detach().half().contiguous() for name in heads}, target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vision-run", default="vision")
    parser.add_argument("--retrieval-run", default="retrieval")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--dense-weight", type=float, default=1.0, help="of its ranking beside that of words")
    parser.add_argument("--heads", type=Path, help="file for the heads that only training needs")
    args = parser.parse_args()
    if args.heads:
        save_heads(args.folder, args.vision_run, args.heads)
    save(
        assemble(args.folder, args.vision_run, args.retrieval_run),
        args.folder / "tokenizer",
        args.to,
        args.dense_weight,
    )
