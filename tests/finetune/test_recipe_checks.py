"""Recipes: the paper's defaults, and one error that names everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vlm2vec_finetune.recipe import load_recipe, recipe_from

from vlm2vec_rag.errors import InvalidInput

LEAST: dict[str, Any] = {"model_name": "m", "output_dir": "o", "datasets": [{"path": "p.jsonl"}]}


def test_defaults_are_the_papers() -> None:
    r = recipe_from(LEAST)
    assert (r.lora_rank, r.lora_alpha, r.lora_dropout, r.use_dora) == (16, 64, 0.1, True)
    assert set(r.lora_target_modules) == {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}
    assert (r.batch_size, r.sub_batch_size, r.chunk_size, r.max_steps) == (1024, 64, 8, 5000)
    assert (r.learning_rate, r.warmup_steps, r.temperature, r.precision) == (5e-5, 100, 0.02, "bf16")
    assert r.freeze_vision and not (r.both_directions or r.mask_duplicates or r.negatives_per_query)


def test_every_wrong_key_is_named_in_one_error() -> None:
    wrong = {
        **LEAST,
        "lora_rnak": 8,
        "batch_size": 100,
        "sub_batch_size": 64,
        "max_steps": "many",
        "freeze_vision": False,
        "temperature": 0,
        "lora_target_modules": ["q_proj", "qkv"],
        "datasets": [{"path": "a.jsonl", "wieght": 2}, {"path": "b.jsonl", "weight": -1, "name": "b"}, {"name": "c"}],
    }
    with pytest.raises(InvalidInput) as caught:
        recipe_from(wrong)
    for words in (
        "lora_rnak is no key; did you mean lora_rank?",
        "sub_batch_size 64 does not divide batch_size 100",
        "max_steps is 'many': expected int",
        "freeze_vision: false needs mode: full",
        "temperature is 0; expected more than 0",
        "lora_target_modules has qkv",
        "entry 1: wieght is no key; did you mean weight?",
        "entry 2: weight is -1.0",
        "entry 3: no path",
    ):
        assert words in str(caught.value), words
    assert "9 problems" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"datasets": "a.jsonl"}, "datasets is no list"),
        ({"datasets": []}, "datasets is empty"),
        ({"datasets": ["a.jsonl"]}, "entry 1 is 'a.jsonl'; expected `name`"),
        ({"datasets": [{"path": "a.jsonl"}, {"path": "b/a.jsonl"}]}, "two data sets are called a"),
        ({"datasets": [{"path": "a.jsonl", "cap": 0}]}, "entry 1: cap is 0; expected 1 or more"),
        ({"lora_dropout": 1}, "lora_dropout is 1; expected less than 1"),
        ({"learning_rate": True}, "learning_rate is True: expected float"),
        ({"learning_rate": ".nan"}, "learning_rate is '.nan': expected float"),
        ({"batch_size": 63.5}, "batch_size is 63.5: expected int"),
        ({"use_dora": "yes"}, "use_dora is 'yes': expected true or false"),
        ({"lora_target_modules": "q_proj"}, "lora_target_modules is 'q_proj': expected a list"),
        ({"lora_target_modules": []}, "lora_target_modules is empty"),
        ({"mode": "dora"}, "mode is 'dora'; expected 'lora' or 'full'"),
        ({"max_steps": 100}, "warmup_steps 100 leaves nothing of max_steps 100"),
        ({"evaluate_steps": 5}, "no held_out to evaluate on"),
        ({"mode": "full", "freeze_vision": False, "vision_cache": "seen"}, "freeze_vision is false"),
    ],
)
def test_what_is_wrong_is_said_once(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match="1 problem") as caught:
        recipe_from({**LEAST, **wrong})
    assert words in str(caught.value)


def test_numbers_that_yaml_writes_oddly_are_numbers() -> None:
    r = recipe_from({**LEAST, "weight_decay": "1e-2", "max_steps": 2000.0, "datasets": [{"path": "p", "weight": 2}]})
    assert (r.weight_decay, r.max_steps, r.datasets[0].weight) == (0.01, 2000, 2.0)


def test_keys_for_a_reader_of_ones_own_become_options() -> None:
    r = recipe_from({**LEAST, "datasets": [{"dataset": "invoices", "year": 2023, "options": {"month": 1}}]})
    assert (r.datasets[0].name, r.datasets[0].options) == ("invoices", {"year": 2023, "month": 1})


def test_lora_settings_contradict_full_training() -> None:
    with pytest.raises(InvalidInput, match="lora_rank, lora_alpha contradict it"):
        recipe_from({**LEAST, "mode": "full", "lora_rank": 8, "lora_alpha": 4})


def test_missing_keys_are_named_beside_all_else() -> None:
    words = r"(?s)4 problems.*model_name is missing.*output_dir is missing.*datasets is missing.*does not divide"
    with pytest.raises(InvalidInput, match=words):
        recipe_from({"batch_size": 10, "sub_batch_size": 4})


def test_yaml_is_read_with_its_odd_numbers(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model_name: m\noutput_dir: o\nlearning_rate: 5e-5\nmax_steps: 2e3\ndatasets: [{path: p.jsonl}]\n")
    with pytest.raises(InvalidInput, match="max_steps is '2e3'"):  # YAML reads 2e3 as words, and so do people
        load_recipe(path)
    recipe = load_recipe(path, {"max_steps": 2000})
    assert (recipe.learning_rate, recipe.max_steps, recipe.datasets[0].name) == (5e-5, 2000, "p")


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(InvalidInput, match="holds a list"):
        load_recipe(tmp_path / "list.yaml")
    for name in ("broken.yaml", "missing.yaml"):
        with pytest.raises(InvalidInput, match="cannot read the recipe"):
            load_recipe(tmp_path / name)


def test_settings_that_decide_nothing_leave_the_digest() -> None:
    digest = recipe_from(LEAST).digest
    assert recipe_from({**LEAST, "workers": 9, "save_steps": 7, "output_dir": "elsewhere"}).digest == digest
    assert recipe_from({**LEAST, "seed": 7}).digest != digest
