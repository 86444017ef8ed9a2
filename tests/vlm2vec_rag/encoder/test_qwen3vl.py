"""Vectors equal those of Qwen3-VL-Embedding's own class, for every kind of input, alone and in any batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from qwen3vl_cases import cases
from safetensors.torch import save_file
from tiny_models import tiny_qwen3vl

from vlm2vec_rag import Clip, load_encoder
from vlm2vec_rag.encoder.base import Frames, Images
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.encoder.qwen3vl.prompts import IMAGE, ITEM_INSTRUCTION, PROMPTS, VIDEO, chat
from vlm2vec_rag.errors import InvalidInput

TOLERANCE = 1e-5
CASES = cases()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_qwen3vl(tmp_path_factory.mktemp("models") / "qwen3vl")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[2] / "data" / "conformance" / "qwen3vl" / "vectors.npz") as file:
        return dict(file)


def given(case):
    """A case as a prompt and a visual."""
    instruction = ITEM_INSTRUCTION if case.instruction is None else case.instruction
    tokens = IMAGE * len(case.images) + (VIDEO if case.frames else "")
    visual = Images(case.images) if len(case.images) > 1 else case.images[0] if case.images else None
    if case.frames:
        visual = Frames(case.frames, case.times_s) if case.times_s else list(case.frames)
    return chat(instruction, case.text, tokens), visual


@pytest.mark.parametrize("name", CASES)
def test_a_vector_is_the_reference_classs(encoder, golden, name, monkeypatch):
    monkeypatch.setattr(encoder.runner, "max_tokens", CASES[name].max_tokens)
    prompt, visual = given(CASES[name])
    assert list(encoder.runner.prepare(prompt, visual).ids) == golden[f"ids of {name}"].tolist()
    vector = encoder.encode_prompts([prompt], [visual])[0]
    np.testing.assert_allclose(vector, golden[name], atol=TOLERANCE, rtol=0)


def test_a_batch_of_all_kinds_gives_the_vectors_of_one_at_a_time(folder, golden):
    names = [name for name, case in CASES.items() if case.max_tokens == 8192]
    prompts, visuals = zip(*(given(CASES[name]) for name in names), strict=True)
    encoder = load_encoder(folder, device="cpu", dtype="float32", batch_tokens=30_000)
    vectors = encoder.encode_prompts(prompts, visuals)
    for name, vector in zip(names, vectors, strict=True):
        np.testing.assert_allclose(vector, golden[name], atol=TOLERANCE, rtol=0, err_msg=name)


def test_a_clip_is_read_with_its_own_times(encoder):
    case = CASES["frames of a file"]
    clip = Clip(frames=case.frames, times_s=tuple(60 + time_s for time_s in case.times_s), start_s=60.0, end_s=65.0)
    prompt, visual = given(case)
    np.testing.assert_allclose(encoder.encode_items([clip]), encoder.encode_prompts([prompt], [visual]), atol=1e-6)
    faster = Clip(frames=case.frames, times_s=(60.0, 60.1, 60.2, 60.3), start_s=60.0, end_s=65.0)
    assert np.abs(encoder.encode_items([faster]) - encoder.encode_items([clip])).max() > 1e-4


@pytest.mark.parametrize("dim", [64, 65, 100])
def test_a_prefix_is_cut_and_has_unit_length_again(tmp_path, dim):
    """Matryoshka: by definition the first numbers of the whole vector, renormalised."""
    folder = tiny_qwen3vl(tmp_path / "wide", hidden_size=128)
    whole = load_encoder(folder, device="cpu", dtype="float32")
    short = load_encoder(folder, device="cpu", dtype="float32", dim=dim)
    texts = ["a red car", "two words"]
    expected = whole.encode_items(texts)[:, :dim]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode_items(texts), expected, atol=1e-6)
    assert short.fingerprint.difference(whole.fingerprint) == {"dim": (dim, 128)}
    assert find_model(folder).fingerprint(dim=dim) == short.fingerprint


@pytest.mark.parametrize("dim", [0, 63, 129])
def test_a_prefix_the_model_was_not_trained_for_is_refused(tmp_path, dim):
    folder = tiny_qwen3vl(tmp_path / "wide", hidden_size=128)
    with pytest.raises(InvalidInput, match="64 to 128 numbers"):
        load_encoder(folder, device="cpu", dim=dim)


@pytest.mark.parametrize("head", ["base_model.model.", "base_model.model.model."], ids=["backbone", "with a head"])
def test_an_adapter_is_folded_in(folder, tmp_path, head):
    """By hand: each adapted weight becomes W + alpha / r * B A."""
    random = np.random.RandomState(0)
    base = load_encoder(folder, device="cpu", dtype="float32")
    names = [
        name
        for name, module in base.model.named_modules()
        if name.startswith("language_model.layers.") and name.rpartition(".")[2] in ("q_proj", "up_proj", "down_proj")
    ]
    tensors = {}
    for name in names:
        weight = base.model.get_submodule(name).weight
        down = torch.from_numpy(random.standard_normal((4, weight.shape[1]))).float()
        up = torch.from_numpy(random.standard_normal((weight.shape[0], 4))).float() * 0.1
        tensors[f"{head}{name}.lora_A.weight"], tensors[f"{head}{name}.lora_B.weight"] = down, up
        weight.data += 8 / 4 * up @ down
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file(tensors, adapter / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj", "down_proj"]}
    config["base_model_name_or_path"] = str(folder)
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    adapted = load_encoder(adapter, device="cpu", dtype="float32")
    expected = base.encode_items(["a red car", "a dog"])
    np.testing.assert_allclose(adapted.encode_items(["a red car", "a dog"]), expected, atol=1e-5)
    plain = load_encoder(folder, device="cpu", dtype="float32")
    assert np.abs(plain.encode_items(["a red car", "a dog"]) - expected).max() > 0.01
    assert adapted.fingerprint.difference(plain.fingerprint).keys() == {"adapter"}


def test_words_that_look_like_special_tokens_stay_words():
    prompt = PROMPTS.query("say <|im_end|> and <|image_pad|>", "", target="page", instruction="Be <|im_end|> kind")
    assert prompt.count("<|im_end|>") == 2 and "<|image_pad|>" not in prompt
    assert prompt.startswith("<|im_start|>system\nBe < |im_end|> kind.<|im_end|>\n")


@pytest.mark.parametrize(
    ("instruction", "read"),
    [("Find it", "Find it."), (" Find it? ", "Find it?"), ("找到它。", "找到它。"), ("", ITEM_INSTRUCTION)],
)
def test_an_instruction_ends_in_a_mark(instruction, read):
    assert chat(instruction, "x").startswith(f"<|im_start|>system\n{read}<|im_end|>\n")


def test_neither_text_nor_pixels_reads_as_the_references_null():
    assert "<|im_start|>user\nNULL<|im_end|>" in chat(ITEM_INSTRUCTION, "")


def test_pixels_are_never_cut(encoder, monkeypatch):
    monkeypatch.setattr(encoder.runner, "max_tokens", 100)
    prompt, visual = given(CASES["image"])
    with pytest.raises(InvalidInput, match="shows more than the 100 tokens"):
        encoder.encode_prompts([prompt], [visual])


@pytest.mark.parametrize(
    ("tokens", "visual"),
    [
        ("", CASES["image"].images[0]),
        (IMAGE * 2, CASES["image"].images[0]),
        (IMAGE, Images(CASES["two images"].images)),
        (IMAGE, CASES["four frames"].frames),
        (VIDEO, CASES["image"].images[0]),
        (IMAGE, None),
        (VIDEO, None),
    ],
    ids=[
        "none for an image",
        "two for one",
        "one for two",
        "image for video",
        "video for image",
        "no image",
        "no clip",
    ],
)
def test_a_prompt_that_does_not_fit_its_visual_is_refused(encoder, tokens, visual):
    with pytest.raises(InvalidInput, match="visual tokens"):
        encoder.encode_prompts([chat(ITEM_INSTRUCTION, "x", tokens)], [visual])


def test_a_smaller_budget_gives_fewer_tokens(folder):
    small = load_encoder(folder, device="cpu", max_pixels=64 * 32 * 32)
    for name in ("image above the budget", "large frames of a file"):
        prompt, visual = given(CASES[name])
        prepared = small.runner.prepare(prompt, visual)
        rows, columns = prepared.plans[0].grid[1:]
        assert rows * columns / 4 <= 64
        assert np.isfinite(small.encode_prompts([prompt], [visual])).all()


def test_one_frame_alone_is_a_clip(encoder):
    frame = CASES["four frames"].frames[0]
    vectors = encoder.encode_items([Clip(frames=(frame,), times_s=(0.0,), start_s=0.0, end_s=1.0)])
    assert vectors.shape == (1, encoder.dim) and np.isfinite(vectors).all()
