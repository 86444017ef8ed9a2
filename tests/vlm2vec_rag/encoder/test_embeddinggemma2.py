"""Vectors equal those of transformers' own EmbeddingGemma 2, for every kind of input, alone and in any batch."""

import json
from pathlib import Path

import numpy as np
import pytest
from gemma2_cases import cases
from safetensors.numpy import load_file, save_file
from tiny_models import tiny_embedding_gemma2

from vlm2vec_rag import Clip, Image, Page, Query, load_encoder
from vlm2vec_rag.encoder.base import Images
from vlm2vec_rag.encoder.embeddinggemma2.patches import BUDGETS, budget_of, fitted
from vlm2vec_rag.encoder.embeddinggemma2.prompts import PROMPTS, plain
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.errors import EmptyInput, InvalidInput, ModelNotFound

TOLERANCE = 1e-5
CASES = cases()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_embedding_gemma2(tmp_path_factory.mktemp("models") / "gemma")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[2] / "data" / "conformance" / "embeddinggemma2" / "vectors.npz") as file:
        return dict(file)


def shown(case):
    if case.frames:
        return list(case.frames)
    return Images(case.images) if len(case.images) > 1 else case.images[0] if case.images else None


@pytest.mark.parametrize("name", CASES)
def test_a_vector_is_transformers_own(encoder, golden, name):
    prompt, visual = CASES[name].prompt, shown(CASES[name])
    assert list(encoder.runner.prepare(prompt, visual).ids) == golden[f"ids of {name}"].tolist()
    vector = encoder.encode_prompts([prompt], [visual])[0]
    np.testing.assert_allclose(vector, golden[name], atol=TOLERANCE, rtol=0)


def test_a_batch_of_all_kinds_gives_the_vectors_of_one_at_a_time(folder, golden):
    encoder = load_encoder(folder, device="cpu", dtype="float32", batch_tokens=30_000)
    vectors = encoder.encode_prompts([case.prompt for case in CASES.values()], [shown(case) for case in CASES.values()])
    for name, vector in zip(CASES, vectors, strict=True):
        np.testing.assert_allclose(vector, golden[name], atol=TOLERANCE, rtol=0, err_msg=name)


def test_prompts_are_the_published_ones():
    assert PROMPTS.query("a car", "", target="image") == "task: search result | query: a car"
    assert PROMPTS.query("", "image", target="page") == "task: search result | query: <|image|>"
    assert PROMPTS.query("a", "", target="text", instruction="classification") == "task: classification | query: a"
    assert PROMPTS.item("text", "a car") == "title: none | text: a car"
    assert PROMPTS.item("page", "") == "title: none | text: <|image|>"
    assert PROMPTS.item("image", "") == "<|image|>"
    assert PROMPTS.item("image", "a caption") == "title: none | text: a caption<|image|>"
    assert PROMPTS.item("clip", "") == "title: none | text: <|video|>"
    assert PROMPTS.item("image", "", instruction="classification") == "task: classification | query: <|image|>"


@pytest.mark.parametrize(
    "token", ["<|image|>", "<|image>", "<image|>", "<|video|>", "<bos>", "<eos>", "<start_of_turn>"]
)
def test_words_that_look_like_special_tokens_stay_words(token):
    assert token not in plain(f"say {token} here") and plain("a <b>bold</b> x < y <|").count("< ") == 1


def test_items_and_queries_of_every_kind_have_unit_vectors(encoder):
    image, frames = CASES["image"].images[0], CASES["clip"].frames
    clip = Clip(frames=frames, times_s=(0.0, 1.0, 2.0), start_s=0.0, end_s=3.0)
    items = encoder.encode_items(["words", Image(image=image), Page(image=image, page=1), clip])
    queries = encoder.encode_queries(["words", Query(image=image), Query(text="x", image=image), Query(frames=frames)])
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([items, queries]), axis=1), 1, atol=1e-6)
    assert np.abs(items[1] - items[2]).max() > 1e-3  # an image is bare, a page has the document's prompt


@pytest.mark.parametrize("short", [{"max_tokens": 40}])
def test_text_is_cut_from_its_end_and_pixels_stay(encoder, monkeypatch, short, caplog):
    monkeypatch.setattr(encoder.runner, "max_tokens", short["max_tokens"])
    ids = encoder.runner.prepare(CASES["long text"].prompt, None).ids
    whole = list(encoder.runner._tokenizer.encode(CASES["long text"].prompt))
    assert list(ids) == [*whole[:39], whole[-1]]  # begin and end stay
    assert "cut to 40 tokens" in caplog.text
    with pytest.raises(InvalidInput, match="shows more than the 40 tokens"):
        encoder.runner.prepare("<|image|>", CASES["image"].images[0])
    monkeypatch.setattr(encoder.runner, "max_tokens", 270)
    prompt, visual = "title: none | text: " + "word " * 60 + "<|image|>", CASES["image"].images[0]
    prepared = encoder.runner.prepare(prompt, visual)
    assert len(prepared.ids) == 270
    assert sum(each == encoder.runner.image_id for each in prepared.ids) == prepared.plans[0].tokens


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("size", [(300, 500), (1400, 1700), (30, 40), (2000, 3), (3, 2000), (48, 48), (1, 1)])
def test_a_size_fills_its_budget_and_never_exceeds_it(budget, size):
    height, width = fitted(*size, budget)
    assert height % 48 == width % 48 == 0 and min(height, width) >= 48
    assert height * width <= budget * 48 * 48


def test_the_pixel_budget_is_the_largest_number_of_soft_tokens_within_it():
    assert [budget_of(pixels) for pixels in (280 * 2304, 280 * 2304 - 1, 10**9, 70 * 2304)] == [280, 140, 1120, 70]


def test_a_larger_budget_gives_more_tokens(folder, encoder):
    page = CASES["tall page"].images[0]
    more = load_encoder(folder, device="cpu", max_pixels=1120 * 2304)
    tokens = [each.runner.prepare("<|image|>", page).plans[0].tokens for each in (encoder, more)]
    assert tokens[0] <= 280 < tokens[1] <= 1120
    assert more.fingerprint.difference(encoder.fingerprint).keys() == {"max_pixels"}
    with pytest.raises(InvalidInput, match="under the model's smallest image"):
        load_encoder(folder, device="cpu", max_pixels=69 * 2304)


def test_vectors_can_be_cut_where_the_model_was_trained_for_it(folder):
    assert find_model(folder).fingerprint().dim == 96
    with pytest.raises(InvalidInput, match=r"dim=64; gemma gives 96 numbers"):
        load_encoder(folder, device="cpu", dim=64)


def test_float16_is_refused(folder):
    with pytest.raises(InvalidInput, match=r"no numbers in torch\.float16; take float32 or bfloat16"):
        load_encoder(folder, device="cpu", dtype="float16")


def test_the_audio_tower_is_left_on_disk(folder, tmp_path, encoder, golden):
    """A checkpoint with an audio tower loads without it, and gives the same vectors."""
    whole = tmp_path / "whole"
    whole.mkdir()
    for path in folder.iterdir():
        (whole / path.name).write_bytes(path.read_bytes())
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(config | {"audio_config": {"model_type": "gemma4_audio"}}))
    tensors = load_file(whole / "model.safetensors") | {"audio_tower.layers.0.norm.weight": np.ones(4, np.float32)}
    save_file(tensors, whole / "model.safetensors", {"format": "pt"})
    loaded = load_encoder(whole, device="cpu", dtype="float32")
    assert loaded.model.audio_tower is None
    np.testing.assert_allclose(loaded.encode_prompts([CASES["text"].prompt], [None])[0], golden["text"], atol=TOLERANCE)


def test_a_checkpoint_without_its_vision_tower_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = {name: each for name, each in load_file(folder / "model.safetensors").items() if "vision" not in name}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotFound, match=r"do not make a whole EmbeddingGemma 2: missing \['embed_vision"):
        load_encoder(tmp_path, device="cpu")


def test_a_checkpoint_of_text_alone_sees_nothing_and_says_so(folder, tmp_path, golden):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vision_config": None}))
    encoder = load_encoder(tmp_path, device="cpu", dtype="float32")
    assert encoder.sees == frozenset()
    np.testing.assert_allclose(
        encoder.encode_prompts([CASES["text"].prompt], [None])[0], golden["text"], atol=TOLERANCE
    )
    with pytest.raises(InvalidInput, match="has no vision tower"):
        encoder.encode_items([Image(image=CASES["image"].images[0])])


@pytest.mark.parametrize(
    ("prompt", "visual", "error"),
    [
        ("", None, EmptyInput),
        ("no token", CASES["image"].images[0], InvalidInput),
        ("<|image|><|image|>", CASES["image"].images[0], InvalidInput),
        ("<|video|>", CASES["image"].images[0], InvalidInput),
        ("<|image|>", CASES["clip"].frames, InvalidInput),
        ("<|image|>", None, InvalidInput),
        ("<|video|>", [], EmptyInput),
    ],
)
def test_a_prompt_that_does_not_fit_its_visual_is_refused(encoder, prompt, visual, error):
    with pytest.raises(error):
        encoder.encode_prompts([prompt], [visual])
