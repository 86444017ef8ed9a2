"""Adapters of nano, whose language model was set by hand: each begins as nano itself and takes a step."""

import numpy as np
import pytest
import torch
from vlm2vec_finetune.lora import add_adapter
from vlm2vec_finetune.recipe import recipe_from

from vlm2vec_rag.encoder import load_encoder

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.mark.parametrize("use_dora", [True, False], ids=["DoRA", "LoRA"])
def test_an_adapter_on_every_layer_begins_as_nano_and_has_gradients(use_dora):
    encoder = load_encoder("nano", device="cpu", dtype="float32")
    question = ["Which colours do the slices of a pie chart have?"]
    before = encoder.encode_queries(question, target="page")
    recipe = recipe_from(
        {
            "model_name": "nano",
            "output_dir": "unused",
            "datasets": [{"name": "any", "path": "unused.jsonl"}],
            "lora_target_modules": LAYERS,
            "use_dora": use_dora,
            "lora_dropout": 0.0,
        }
    )
    model = encoder.model
    add_adapter(model, recipe)
    np.testing.assert_allclose(encoder.encode_queries(question, target="page"), before, atol=1e-5)
    ids = torch.tensor([[700, 900, 1200, 50]])
    states = model.language_model(input_ids=ids, use_cache=False).last_hidden_state
    states.square().sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if "lora_B" in name}
    assert len(gradients) == len(LAYERS)
    assert all(torch.isfinite(gradient).all() and gradient.abs().max() > 0 for gradient in gradients.values())
