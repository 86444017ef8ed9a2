"""GradCache gives the gradient of one big batch, however it is chunked, and the frozen tower looks once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vlm2vec_finetune import Content, Recipe
from vlm2vec_finetune.gradcache import GradCache, Seen, Slot
from vlm2vec_finetune.loss import info_nce
from vlm2vec_finetune.model import Trainee, load_trainee
from vlm2vec_finetune.spool import Spool

from vlm2vec_rag import load_encoder

TEXTS = ("red", "a longer text about green houses and trees", "blue moon", "cat and dog")
SIZES = ((60, 90), (140, 70), (33, 35), (112, 112))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def open_noise(content: Content) -> Image.Image | None:
    """`140x70` is an image of that size."""
    return noise(*(int(side) for side in content.image.split("x"))) if content.image else None


def slots(trainee: Trainee) -> list[Slot]:
    """Four texts, then the four images that answer them."""
    sides = [(text, Content(text=text)) for text in TEXTS]
    sides += [("<|image_pad|> Understand it.", Content(image=f"{w}x{h}")) for w, h in SIZES]
    return [
        Slot(slot=at, key=1000 + at, prepared=trainee.inputs.prepare(prompt, content))
        for at, (prompt, content) in enumerate(sides)
    ]


def gradients(trainee: Trainee, chunk_size: int | None = None) -> dict[str, torch.Tensor]:
    """Of one step by GradCache."""
    engine = trainee.engine
    engine.chunk_size = chunk_size or engine.chunk_size
    trainee.model.train()
    trainee.model.zero_grad()
    with Spool() as spool:
        seen = engine.look(slots(trainee), spool)
        vectors = engine.encode(seen, spool).requires_grad_(True)
        info_nce(vectors[:4], vectors[4:], temperature=0.05).backward()
        assert vectors.grad is not None
        engine.backpropagate(seen, spool, vectors.grad)
    return {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}


def gradients_of_one_batch(trainee: Trainee) -> dict[str, torch.Tensor]:
    """By the definition: all inputs in one forward pass with a graph."""
    inputs = slots(trainee)
    trainee.model.train()
    trainee.model.zero_grad()
    prepared = [each.prepared for each in inputs]
    engine = trainee.engine
    batch = engine.runner.collate(
        [each.ids for each in prepared],
        [[each.grid] if each.grid else [] for each in prepared],
        [each.patches for each in prepared if each.patches is not None],
    )
    engine._keys.of_rows = [each.key for each in inputs]
    engine._keys.lengths = batch.lengths.tolist()
    vectors = engine.runner.vectors(trainee.model, batch, trainee.files.family.dim(trainee.files))
    info_nce(vectors[:4], vectors[4:], temperature=0.05).backward()
    return {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}


def assert_close(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """To 1e-5 of the largest gradient."""
    assert got.keys() == expected.keys() and got
    largest = max(float(each.abs().max()) for each in expected.values())
    for name, each in expected.items():
        torch.testing.assert_close(
            got[name], each, atol=1e-5 * largest, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("chunk_size", [1, 3, 8])
@pytest.mark.parametrize("use_dora", [True, False], ids=["dora", "lora"])
def test_an_adapters_gradient_is_that_of_one_batch(
    make_recipe: Callable[..., Recipe], chunk_size: int, use_dora: bool
) -> None:
    trainee = load_trainee(make_recipe(use_dora=use_dora), torch.device("cpu"), open_noise)
    with torch.no_grad():  # B begins as zero, where A has no gradient to compare
        for name, parameter in trainee.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    assert_close(gradients(trainee, chunk_size), gradients_of_one_batch(trainee))


@pytest.mark.parametrize("freeze_vision", [True, False], ids=["frozen-vision", "trained-vision"])
def test_the_whole_models_gradient_is_that_of_one_batch(
    make_recipe: Callable[..., Recipe], freeze_vision: bool
) -> None:
    recipe = make_recipe(mode="full", freeze_vision=freeze_vision)
    trainee = load_trainee(recipe, torch.device("cpu"), open_noise)
    got = gradients(trainee, chunk_size=3)
    assert any(name.startswith("visual.") for name in got) is not freeze_vision
    assert_close(got, gradients_of_one_batch(trainee))


def test_gradient_checkpointing_changes_no_gradient(make_recipe: Callable[..., Recipe]) -> None:
    plain = gradients(load_trainee(make_recipe(), torch.device("cpu"), open_noise))
    trainee = load_trainee(make_recipe(gradient_checkpointing=True), torch.device("cpu"), open_noise)
    layers = trainee.model.language_model.layers
    assert all(layer.gradient_checkpointing for layer in layers)
    assert_close(gradients(trainee), plain)


def test_the_frozen_tower_looks_once_and_a_trained_one_twice(make_recipe: Callable[..., Recipe]) -> None:
    looked = {}
    for frozen in (True, False):
        trainee = load_trainee(make_recipe(mode="full", freeze_vision=frozen), torch.device("cpu"), open_noise)
        patches: list[int] = []
        trainee.model.visual.patch_embed.register_forward_hook(lambda m, given, out, p=patches: p.append(len(given[0])))
        gradients(trainee)
        looked[frozen] = sum(patches)
    once = sum(len(each.prepared.patches) for each in slots(trainee) if each.prepared.patches is not None)
    assert looked == {True: once, False: 2 * once}


def test_states_kept_on_disk_are_not_made_again(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = make_recipe(vision_cache=str(tmp_path / "states"))
    first = gradients(load_trainee(recipe, torch.device("cpu"), open_noise))
    trainee = load_trainee(recipe, torch.device("cpu"), open_noise)
    trainee.model.visual.register_forward_hook(lambda *_: pytest.fail("the tower ran"))
    assert_close(gradients(trainee), first)


def test_training_sees_the_vectors_that_serving_gives(make_recipe: Callable[..., Recipe], tiny_base: Path) -> None:
    trainee = load_trainee(make_recipe(), torch.device("cpu"), open_noise)
    trainee.model.eval()
    with Spool() as spool:
        got = trainee.engine.encode(trainee.engine.look(slots(trainee), spool), spool).numpy()
    prompts = [*TEXTS, *["<|image_pad|> Understand it."] * 4]
    visuals = [*[None] * 4, *[noise(*size) for size in SIZES]]
    expected = load_encoder(tiny_base, device="cpu", dtype="float32").encode_prompts(prompts, visuals)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_out_of_memory_halves_the_chunk_and_changes_no_gradient(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainee = load_trainee(make_recipe(chunk_size=8), torch.device("cpu"), open_noise)
    expected = gradients(trainee, 2)
    whole = GradCache._vectors
    calls = []

    def full_above_two(self: GradCache, seen: list[Seen], spool: Spool) -> torch.Tensor:
        calls.append(len(seen))
        if len(seen) > 2 or (torch.is_grad_enabled() and len(calls) == 8):  # once more in the middle of the last pass
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, seen, spool)

    monkeypatch.setattr(GradCache, "_vectors", full_above_two)
    assert_close(gradients(trainee, 8), expected)
    assert calls[:3] == [8, 4, 2]
    assert trainee.engine.chunk_size == 1
