"""What was trained is what the library loads: same files, same prompts, same vectors."""

import json

import numpy as np
import pytest
import torch
from export import save
from model import grey_patch_embedding, merge_patches, new_model, patch_positions, to_patches, vision_forward
from PIL import Image
from safetensors import safe_open
from tokenizer import IMAGE_TOKEN, SPECIAL, VOCABULARY, Subwords, build
from tokenizer import save as save_tokenizer
from torch import nn
from train_retrieval import PAGE_PROMPT, PAGE_QUESTION, encode

from vlm2vec_rag.encoder import load_encoder
from vlm2vec_rag.items import Page

TEXTS = [
    "Understand the content of the provided document image. Find a document image that matches the given query: tea"
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nano")
    save_tokenizer(build(TEXTS), folder / "tokenizer")
    model = new_model(np.linspace(0.1, 9, VOCABULARY, dtype=np.float32)).eval().requires_grad_(False)
    for layer in model.language_model.layers:
        nn.init.normal_(layer.mlp.down_proj.weight, std=0.02)
    model = model.half().float()  # as the file will hold it
    save(model, folder / "tokenizer", folder / "export")
    model.float()
    return folder / "export", model, Subwords(folder / "tokenizer")


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return load_encoder(checkpoint[0], device="cpu", dtype="float32")


def test_a_question_has_the_vector_it_was_trained_with(checkpoint, encoder):
    _, model, subwords = checkpoint
    expected = encode(model.language_model, [(subwords.ids(PAGE_QUESTION.format("Green TEA")), None)])
    np.testing.assert_allclose(encoder.encode_queries(["Green TEA"], target="page"), expected, atol=1e-5)


def test_a_page_has_the_vector_it_was_trained_with(checkpoint, encoder):
    _, model, subwords = checkpoint
    pixels = np.random.default_rng(0).integers(0, 256, (112, 168), dtype=np.uint8)
    patches = torch.from_numpy(to_patches(pixels[None]))
    cells = merge_patches(
        model.visual, vision_forward(model.visual, grey_patch_embedding(model), patches, patch_positions(4, 6)[None])
    )[0]
    expected = encode(model.language_model, [([IMAGE_TOKEN, *subwords.ids(PAGE_PROMPT)], cells)])
    page = Page(image=Image.fromarray(pixels).convert("RGB"), page=1)
    np.testing.assert_allclose(encoder.encode_items([page]), expected, atol=1e-5)


def test_the_file_is_a_whole_qwen2_vl_under_30_mb(checkpoint):
    from transformers import Qwen2VLForConditionalGeneration

    folder = checkpoint[0]
    assert (folder / "model.safetensors").stat().st_size < 30e6
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    _, report = Qwen2VLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_special_tokens_are_qwen2_vls(checkpoint):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint[0])
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    config = json.loads((checkpoint[0] / "config.json").read_text())
    assert config["image_token_id"] == IMAGE_TOKEN
