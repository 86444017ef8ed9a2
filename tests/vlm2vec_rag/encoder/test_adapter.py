"""An adapter is folded in whole, as peft itself would apply it, or it is refused by name."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.adapter import adapter_digest
from vlm2vec_rag.errors import AdapterMismatch, ModelNotFound


@pytest.fixture
def adapter(tiny_adapter, tmp_path):
    """A copy of the adapter, to be broken."""
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_adapter, folder)
    return folder


def edit(folder, change):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def load(base, adapter):
    return load_encoder(base, adapter, device="cpu", dtype="float32")


def dora_by_hand(weight, a, b, magnitude, scale):
    """The definition: each row of the adapted weight is brought to its learned length (arXiv:2402.09353, eq. 5)."""
    adapted = weight + scale * b @ a
    return magnitude[:, None] * adapted / adapted.norm(dim=1, keepdim=True)


def test_the_merged_weight_is_doras_definition(tiny_base, tiny_adapter):
    merged = load(tiny_base, tiny_adapter).model.language_model.layers[1].self_attn.q_proj.weight
    base, tensors = load_file(tiny_base / "model.safetensors"), load_file(tiny_adapter / "adapter_model.safetensors")
    config = json.loads((tiny_adapter / "adapter_config.json").read_text())
    stem = "base_model.model.model.layers.1.self_attn.q_proj"
    expected = dora_by_hand(
        base["model.layers.1.self_attn.q_proj.weight"],
        tensors[f"{stem}.lora_A.weight"],
        tensors[f"{stem}.lora_B.weight"],
        tensors[f"{stem}.lora_magnitude_vector"],
        config["lora_alpha"] / config["r"],
    )
    torch.testing.assert_close(merged, expected, atol=1e-6, rtol=1e-5)


def test_todays_key_names_load_as_well_as_yesterdays(tiny_base, adapter, encoder, golden):
    def rename(tensors):
        for name in list(tensors):
            tensors[name.replace("model.model.layers", "model.model.language_model.layers")] = tensors.pop(name)

    edit(adapter, rename)
    vectors = load(tiny_base, adapter).encode_prompts(golden["prompts"][:3], [None] * 3)
    np.testing.assert_allclose(vectors, golden["adapted"][:3], atol=1e-5, rtol=0)


def test_a_tensor_that_fits_nothing_is_named(tiny_base, adapter):
    def rename(tensors):
        for name in [each for each in tensors if ".layers.2." in each]:
            tensors[name.replace(".layers.2.", ".layers.7.")] = tensors.pop(name)

    edit(adapter, rename)
    with pytest.raises(AdapterMismatch, match=r"fit nothing in this model: language_model\.layers\.7\."):
        load(tiny_base, adapter)


def test_a_missing_tensor_is_named(tiny_base, adapter):
    gone = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    edit(adapter, lambda tensors: tensors.pop(gone))
    with pytest.raises(AdapterMismatch, match=r"lora_B of language_model\.layers\.0\.self_attn\.q_proj as nothing"):
        load(tiny_base, adapter)


def test_an_adapter_of_another_rank_is_refused(tiny_base, adapter):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"r": 4}))
    with pytest.raises(AdapterMismatch, match="lora_A"):
        load(tiny_base, adapter)


def test_a_folder_without_an_adapter_is_refused(tiny_base, tmp_path):
    with pytest.raises(ModelNotFound, match="is no adapter"):
        load(tiny_base, tmp_path)


def test_the_digest_follows_weights_and_settings(adapter):
    before = adapter_digest(adapter)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 64}))
    scaled = adapter_digest(adapter)
    edit(adapter, lambda tensors: tensors.update({name: tensor + 1e-3 for name, tensor in tensors.items()}))
    assert len({before, scaled, adapter_digest(adapter)}) == 3
