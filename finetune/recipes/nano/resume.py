"""Go on from the model in the package: its weights and the heads it learnt to read with, as a run to `--start` from.

`export.py --heads` keeps the heads, which the model itself has no use for. The tokenizer must be the package's own.

    python resume.py runs/nano        # then: train_vision.py runs/nano --start shipped …
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from model import fold_to_grey
from safetensors.torch import load_file

from vlm2vec_rag.encoder.locate import NANO_FOLDER

HEADS = Path(__file__).parent / "heads.safetensors"


def shipped(model: Path, heads: Path) -> dict[str, Any]:
    """Names and float32 weights of the model and the auxiliary heads, as `MasterWeights.start` takes them.

    Args:
        model: A folder that `export.save` wrote.
        heads: A file that `export.save_heads` wrote.
    """
    found = {}
    for name, weight in load_file(model / "model.safetensors").items():
        # a model in the hub's layout calls its language model "model"
        found[name.removeprefix("visual.").removeprefix("model.")] = weight.float()
    found["grey"] = fold_to_grey(found.pop("patch_embed.proj.weight"))
    found |= {name: weight.float() for name, weight in load_file(heads).items()}
    return {"names": list(found), "masters": list(found.values())}


if __name__ == "__main__":
    torch.save({"train": shipped(NANO_FOLDER, HEADS)}, Path(sys.argv[1]) / "shipped.pt")
