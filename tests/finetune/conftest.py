"""What the training tests share: pairs of words that a tiny model can learn, and a recipe for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vlm2vec_finetune import Content, Pair, Recipe
from vlm2vec_finetune.pairs import write_pairs
from vlm2vec_finetune.recipe import recipe_from

WORDS = ("red", "green", "blue", "cat", "dog", "house", "tree", "car", "sun", "moon", "river", "stone")


def word_pairs() -> list[Pair]:
    """144 questions, each with a text of its own that holds the same two words."""
    return [
        Pair(query=Content(text=f"{first} {second}"), target=Content(text=f"a {second} with {first}"))
        for first in WORDS
        for second in WORDS
    ]


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    write_pairs(word_pairs(), path)
    return path


@pytest.fixture
def make_recipe(tmp_path: Path, tiny_base: Path, pairs_file: Path) -> Callable[..., Recipe]:
    """A recipe that runs in a second; keyword arguments change it."""

    def make(**changes: Any) -> Recipe:
        values: dict[str, Any] = {
            "model_name": str(tiny_base),
            "output_dir": str(tmp_path / "run"),
            "datasets": [{"name": "words", "path": str(pairs_file)}],
            "batch_size": 8,
            "sub_batch_size": 4,
            "chunk_size": 4,
            "max_steps": 4,
            "warmup_steps": 1,
            "learning_rate": 1e-3,
            "precision": "float32",
            "workers": 2,
            "device": "cpu",
        }
        return recipe_from({**values, **changes})

    return make
