"""The adapter's folder: the encoder and peft both load all of it, and get the trained model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from vlm2vec_finetune import Recipe, train
from vlm2vec_finetune.model import load_trainee

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.adapter import WEIGHTS
from vlm2vec_rag.errors import AdapterMismatch

TEXTS = ["red cat", "a stone with moon", "river"]


@pytest.fixture(params=[True, False], ids=["dora", "lora"])
def recipe(request: pytest.FixtureRequest, make_recipe: Callable[..., Recipe]) -> Recipe:
    return make_recipe(use_dora=request.param, lora_target_modules=["q_proj", "v_proj", "up_proj"])


def served(model: str | Path | None, adapter: Path | None = None) -> np.ndarray:
    return load_encoder(model, adapter, device="cpu", dtype="float32").encode_prompts(TEXTS, [None] * 3)


def test_the_encoder_serves_what_was_trained(recipe: Recipe) -> None:
    folder = train(recipe).folder
    with_flag = served(recipe.model_name, folder)
    assert np.abs(with_flag - served(recipe.model_name)).max() > 1e-3
    np.testing.assert_array_equal(served(folder), with_flag)  # its config names its base
    np.testing.assert_array_equal(served(None, folder), with_flag)  # and `--adapter` alone is enough


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_loads_every_tensor_and_gives_the_same_vectors(recipe: Recipe) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from transformers import Qwen2VLForConditionalGeneration

    folder = train(recipe).folder
    base = Qwen2VLForConditionalGeneration.from_pretrained(recipe.model_name, attn_implementation="sdpa")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys")
        model = PeftModel.from_pretrained(base, str(folder))
    loaded = get_peft_model_state_dict(model)
    expected = load_file(folder / WEIGHTS)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], each) for name, each in expected.items())

    encoder = load_encoder(recipe.model_name, device="cpu", dtype="float32")
    runner = encoder.runner  # type: ignore[attr-defined]
    batch = runner.collate([runner.prepare(text, None).ids for text in TEXTS], [[]] * len(TEXTS))
    with torch.no_grad():
        got = runner.vectors(model.base_model.model.model, batch, encoder.dim).numpy()
    np.testing.assert_allclose(got, served(recipe.model_name, folder), atol=1e-5)


def test_an_adapter_is_trained_further_from_where_it_is(
    make_recipe: Callable[..., Recipe], tiny_adapter: Path, tmp_path: Path
) -> None:
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    recipe = make_recipe(
        model_name=str(tiny_adapter), lora_rank=8, lora_alpha=32, lora_target_modules=modules, learning_rate=1e-9
    )
    outcome = train(recipe, stop_at=1)
    np.testing.assert_allclose(served(outcome.folder), served(tiny_adapter), atol=1e-4)


def test_an_adapter_of_other_settings_is_not_trained_further(
    make_recipe: Callable[..., Recipe], tiny_adapter: Path
) -> None:
    recipe = make_recipe(model_name=str(tiny_adapter), lora_rank=4)
    with pytest.raises(AdapterMismatch, match="set lora_rank, use_dora and lora_target_modules"):
        load_trainee(recipe, torch.device("cpu"), lambda _: None)
