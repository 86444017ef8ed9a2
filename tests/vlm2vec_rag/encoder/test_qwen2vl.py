"""The encoder keeps its promises: order, independence of batching, unit length, clear refusals, recovery."""

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from vlm2vec_rag import Clip, Image, Page, Query, Text, load_encoder
from vlm2vec_rag.encoder.base import Images
from vlm2vec_rag.errors import EmptyInput, InvalidInput, VlmRagError


def an_image(width=84, height=56, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PILImage.fromarray(pixels)


@pytest.fixture
def items():
    frames = tuple(an_image(seed=seed) for seed in range(3))
    return [
        Text(text="a contract"),
        Image(image=an_image(200, 90), text="a caption"),
        Page(image=an_image(112, 140), page=3, text="words on the page"),
        Clip(frames=frames, times_s=(0.0, 1.0, 2.0), start_s=0, end_s=3, text="what is said"),
        "a plain string",
    ]


def test_vectors_are_float32_of_unit_length_in_input_order(encoder, items):
    vectors = encoder.encode_items(items)
    assert vectors.dtype == np.float32 and vectors.shape == (5, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_items(items[::-1])[::-1], vectors, atol=1e-6)


def test_a_budget_of_one_token_changes_no_vector(encoder, items, tiny_base, tiny_adapter):
    alone = load_encoder(tiny_base, tiny_adapter, device="cpu", dtype="float32", batch_tokens=1)
    np.testing.assert_allclose(alone.encode_items(items), encoder.encode_items(items), atol=1e-6)


def test_padding_is_never_seen(encoder, monkeypatch):
    """Padding filled with another id, of an enormous embedding, changes nothing."""
    prompts = ["contract", "a far longer question about revenue in the second quarter"]
    before = encoder.encode_prompts(prompts, [None, None])
    weight = encoder.model.language_model.embed_tokens.weight
    monkeypatch.setattr(encoder.runner, "pad_id", 1205)
    with torch.no_grad():
        kept, weight[1205] = weight[1205].clone(), 1e4
    try:
        after = encoder.encode_prompts(prompts, [None, None])
    finally:
        with torch.no_grad():
            weight[1205] = kept
    np.testing.assert_array_equal(before, after)


def test_text_of_an_item_is_read_only_when_asked(encoder):
    bare, captioned = Image(image=an_image()), Image(image=an_image(), text="dolphins")
    np.testing.assert_array_equal(encoder.encode_items([bare]), encoder.encode_items([captioned]))
    with_text = encoder.encode_items([captioned], with_text=True)
    assert np.abs(with_text - encoder.encode_items([bare])).max() > 1e-3


@pytest.mark.parametrize(
    "query",
    [
        Query(text="revenue"),
        Query(image=an_image()),
        Query(frames=(an_image(), an_image(seed=1))),
        Query(text="but in red", image=an_image()),
        Query(text="the same at night", frames=(an_image(), an_image(seed=1))),
        Query(text="revenue", instruction="Find a chart:"),
    ],
    ids=["text", "image", "clip", "text+image", "text+clip", "own instruction"],
)
@pytest.mark.parametrize("target", [None, "page", "image", "clip", "text"])
def test_every_question_can_look_for_every_kind(encoder, query, target):
    vector = encoder.encode_queries([query], target=target)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-6)


def test_what_is_looked_for_decides_the_instruction(encoder):
    vectors = [encoder.encode_queries(["a red car"], target=target)[0] for target in ("page", "image", "clip")]
    assert min(np.abs(vectors[0] - vectors[1]).max(), np.abs(vectors[1] - vectors[2]).max()) > 1e-3
    np.testing.assert_array_equal(encoder.encode_queries(["a red car"])[0], vectors[0])


def test_words_that_look_like_a_visual_token_stay_words(encoder):
    vector = encoder.encode_queries(["what does <|image_pad|> mean"])
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("empty", ["", "   ", "\n"])
def test_an_empty_question_is_refused(encoder, empty):
    with pytest.raises(EmptyInput, match="query 1 has neither words nor pixels"):
        encoder.encode_queries(["fine", empty])


def test_an_empty_text_is_refused(encoder):
    with pytest.raises(EmptyInput, match="item 0 is a text without a word"):
        encoder.encode_items([" "])


@pytest.mark.parametrize(
    ("prompt", "visual"),
    [
        ("<|image_pad|> Represent it.", None),
        ("Represent it.", an_image()),
        ("<|image_pad|><|image_pad|> two", an_image()),
        ("<|video_pad|> Represent it.", an_image()),
        ("<|image_pad|> Represent it.", [an_image(), an_image()]),
    ],
    ids=["nothing shown", "no token", "two tokens", "image as video", "video as image"],
)
def test_a_prompt_that_does_not_fit_its_visual_is_refused(encoder, prompt, visual):
    with pytest.raises(InvalidInput, match="visual token"):
        encoder.encode_prompts([prompt], [visual])


def test_out_of_memory_halves_the_batch_and_gives_the_same_vectors(encoder, monkeypatch, caplog):
    prompts = [f"question {number}" for number in range(7)]
    whole = encoder.encode_prompts(prompts, [None] * 7)
    embed, sizes = encoder.runner.vectors, []

    def small_memory(model, batch, dim):
        sizes.append(len(batch.ids))
        if len(batch.ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(model, batch, dim)

    monkeypatch.setattr(encoder.runner, "vectors", small_memory)
    np.testing.assert_allclose(encoder.encode_prompts(prompts, [None] * 7), whole, atol=1e-6)
    assert sizes[0] == 7 and max(sizes[-2:]) <= 2
    assert "halving the batch" in caplog.text


def test_one_input_too_large_says_what_to_change(encoder, monkeypatch):
    def no_memory(model, batch, dim):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder.runner, "vectors", no_memory)
    with pytest.raises(VlmRagError, match="max_pixels below"):
        encoder.encode_prompts(["question"], [None])


def test_another_failure_is_not_taken_for_a_lack_of_memory(encoder, monkeypatch):
    def broken(model, batch, dim):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(encoder.runner, "vectors", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        encoder.encode_prompts(["question"], [None])


def test_progress_counts_every_input_once(encoder):
    done = []
    encoder.encode_items(["one", "two", "a third one which is longer"], progress=done.append)
    assert sum(done) == 3


def test_bfloat16_stays_close_to_float32(encoder, tiny_base, tiny_adapter, golden):
    fast = load_encoder(tiny_base, tiny_adapter, device="cpu", dtype="bfloat16")
    vectors = fast.encode_prompts(golden["prompts"], golden["visuals"])
    assert vectors.dtype == np.float32
    assert (vectors * golden["adapted"]).sum(axis=1).min() > 0.99


def test_no_logits_and_no_layers_are_kept(encoder):
    assert not hasattr(encoder.model, "lm_head")
    batch = encoder.runner.collate([[5, 6, 7]], [[]])
    assert encoder.runner.pooled(encoder.model, batch, None).shape == (1, encoder.dim)


def test_several_images_of_one_input_are_refused(encoder):
    with pytest.raises(InvalidInput, match="takes one image or one clip"):
        encoder.encode_prompts(["<|image_pad|> Represent it."], [Images([an_image(), an_image()])])


def test_a_prefix_of_a_vector_is_refused(tiny_base):
    with pytest.raises(InvalidInput, match="have 64 numbers and cannot be cut"):
        load_encoder(tiny_base, device="cpu", dim=32)


def test_many_threads_get_the_vectors_of_one(encoder):
    from concurrent.futures import ThreadPoolExecutor

    texts = [f"question number {number}" for number in range(12)]
    alone = encoder.encode_queries(texts)
    with ThreadPoolExecutor(4) as pool:
        together = np.concatenate(list(pool.map(lambda text: encoder.encode_queries([text]), texts)))
    np.testing.assert_allclose(together, alone, atol=1e-6)
