"""Checkpoints are found, told apart and loaded whole, or refused with what to do."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.errors import AdapterMismatch, InvalidInput, ModelNotFound


@pytest.fixture
def base(tiny_base, tmp_path):
    """A copy of the base, to be changed."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    return folder


def test_a_hub_id_is_loaded_from_the_hubs_cache(tiny_base, tmp_path, monkeypatch, golden):
    """The layout of the hub's own cache: blobs, snapshots and a ref; no network is asked."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    shutil.copytree(tiny_base, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    encoder = load_encoder("someone/tiny", device="cpu", dtype="float32")
    assert encoder.fingerprint.model == "someone/tiny"
    vectors = encoder.encode_prompts(golden["prompts"][:2], [None, None])
    np.testing.assert_allclose(vectors, golden["base"][:2], atol=1e-5)


def test_an_unreachable_hub_id_says_what_was_tried_and_what_to_do(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"cannot get the model 'VLM2Vec/VLM2Vec-V2\.0'.*local copy.*HF_ENDPOINT"):
        find_model("VLM2Vec/VLM2Vec-V2.0")


@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "just-a-word", ""])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ModelNotFound, match="no folder here and no hub id"):
        find_model(name)


def test_a_base_that_cannot_be_reached_names_who_wanted_it(tiny_adapter, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_adapter, folder)
    with pytest.raises(ModelNotFound, match=r"the base that .*adapter names"):
        find_model(folder)


def test_a_model_and_an_adapter_in_one_folder_are_ambiguous(base, tiny_adapter):
    shutil.copy(tiny_adapter / "adapter_config.json", base)
    with pytest.raises(AdapterMismatch, match="holds a full model and an adapter"):
        find_model(base)


def test_two_adapters_are_refused(tiny_adapter):
    with pytest.raises(AdapterMismatch, match="is an adapter already"):
        find_model(tiny_adapter, tiny_adapter)


def test_weights_with_a_hole_are_refused(base):
    path = base / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelNotFound, match=r"missing \['language_model\.layers\.1\.mlp\.up_proj\.weight'\]"):
        load_encoder(base, device="cpu")


def test_pickled_weights_are_not_read(base):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="reading them runs code"):
        load_encoder(base, device="cpu")


def test_another_architecture_is_refused(base):
    path = base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "llama"}))
    with pytest.raises(InvalidInput, match="'llama' model"):
        find_model(base)


def test_the_fingerprint_follows_weights_adapter_and_settings_but_not_the_folder(base, tiny_base, tiny_adapter):
    def digest(*paths, **settings):
        return load_encoder(*paths, device="cpu", **settings).fingerprint.digest

    same = digest(tiny_base)
    assert digest(base) == same
    path = base / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] += 0.5
    save_file(tensors, path, metadata={"format": "pt"})
    others = {digest(base), digest(tiny_base, tiny_adapter), digest(tiny_base, max_pixels=28 * 28 * 640)}
    others.add(digest(tiny_base, frames=4))
    assert len(others | {same}) == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "cuda:7"}, "torch sees none here"),
        ({"device": "gpu"}, "not one torch knows"),
        ({"dtype": "int8"}, "not one the model runs in"),
        ({"max_pixels": 100}, "smallest image"),
        ({"frames": 0}, "at least one"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tiny_base, settings, words):
    with pytest.raises(InvalidInput, match=words):
        load_encoder(tiny_base, **{"device": "cpu", **settings})


def test_a_budget_reduces_images_and_not_the_checkpoints_own_limit(tiny_base, golden):
    """The published preprocessor_config allows 12.8 M pixels; the encoder's budget is what counts."""
    small = load_encoder(tiny_base, device="cpu", dtype="float32", max_pixels=28 * 28 * 16)
    from vlm2vec_rag.encoder.qwen2vl.patches import plan

    assert plan(golden["visuals"][14], small.max_pixels, small.runner.settings).tokens <= 16


@pytest.mark.slow
def test_the_2b_architecture_encodes_a_page_in_bfloat16(tmp_path, tiny_base, capsys):
    """The real sizes with random weights: the same path loads them, in memory that fits, to finite vectors."""
    import resource

    import torch
    from PIL import Image
    from transformers import AutoConfig, Qwen2VLModel

    folder = tmp_path / "2b"
    shutil.copytree(tiny_base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text()) | {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "torch_dtype": "bfloat16",
    }
    config["vision_config"] |= {"depth": 32, "embed_dim": 1280, "num_heads": 16, "hidden_size": 1536, "mlp_ratio": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        shapes = Qwen2VLModel(AutoConfig.from_pretrained(folder)).state_dict()
    parameters = sum(each.numel() for each in shapes.values())
    assert 2.1e9 < parameters < 2.3e9
    # drawn once and repeated, which takes seconds where 2.2 billion draws take a minute
    drawn = torch.empty(1 << 20, dtype=torch.bfloat16).normal_(0, 0.02, generator=torch.Generator().manual_seed(0))
    tensors = {}
    for name, shape in shapes.items():
        is_norm = "norm" in name or "ln_q" in name
        flat = drawn.new_ones(shape.numel()) if is_norm else drawn.repeat(-(-shape.numel() // len(drawn)))
        tensors[name] = flat[: shape.numel()].reshape(shape.shape).clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    del tensors

    # few tokens: a CPU without bfloat16 of its own multiplies it a hundred times slower than one that has it
    encoder = load_encoder(folder, device="cpu", dtype="bfloat16", max_pixels=28 * 28 * 4)
    vectors = encoder.encode_prompts(["<|image_pad|>"], [Image.effect_noise((600, 800), 80)])
    assert vectors.shape == (1, 1536) and np.isfinite(vectors).all()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        print(f"\n2 B architecture: {parameters / 1e9:.2f} B parameters, peak memory of the process {peak_gb:.1f} GB")
    assert peak_gb < 14


def test_a_model_says_what_its_ranking_weighs_beside_that_of_words(base):
    assert load_encoder(base).fingerprint.dense_weight == 1
    config = json.loads((base / "config.json").read_text())
    assert load_encoder(base).fingerprint.matches_words is False
    (base / "config.json").write_text(json.dumps(config | {"dense_weight": 0.3, "matches_words": True}))
    stated = load_encoder(base).fingerprint
    assert (stated.dense_weight, stated.matches_words) == (0.3, True)
