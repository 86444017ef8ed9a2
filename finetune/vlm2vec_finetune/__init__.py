"""Train LoRA adapters (or whole small models) for vlm2vec-rag, and prove them on held-out data before they ship.

>>> from vlm2vec_finetune import load_recipe, train
>>> train(load_recipe("recipe.yaml"))

The command line is `vlm2vec-finetune`. Importing this is quick: torch is loaded when training starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlm2vec_finetune.datasets.base import VisDocDataset
from vlm2vec_finetune.datasets.registry import register_dataset
from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_finetune.recipe import DatasetEntry, Recipe, load_recipe

if TYPE_CHECKING:
    from vlm2vec_finetune.trainer import train

__all__ = ["Content", "DatasetEntry", "Pair", "Recipe", "VisDocDataset", "load_recipe", "register_dataset", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from vlm2vec_finetune.trainer import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
