"""Every family is trained alike: one gradient however it is chunked, a tower that looks once, adapters that serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_models import tiny_embedding_gemma2, tiny_qwen3vl
from vlm2vec_finetune import Content, Recipe
from vlm2vec_finetune.gradcache import Slot
from vlm2vec_finetune.loss import info_nce
from vlm2vec_finetune.model import Trainee, load_trainee
from vlm2vec_finetune.spool import Spool
from vlm2vec_finetune.trainer import train

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.adapter import WEIGHTS

TEXTS = ("red", "a longer text about green houses and trees", "blue moon")
SIZES = ((60, 90), (140, 70), (112, 112))


@pytest.fixture(scope="module", params=[tiny_qwen3vl, tiny_embedding_gemma2], ids=["qwen3vl", "embeddinggemma2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = request.param(tmp_path_factory.mktemp("models") / "base")
    return made


@pytest.fixture
def recipe_of(make_recipe: Callable[..., Recipe], base: Path) -> Callable[..., Recipe]:
    settings = {"lora_rank": 4, "lora_alpha": 4, "use_dora": False, "max_pixels": 70 * 48 * 48}
    modules = ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj"]
    return lambda **changes: make_recipe(
        **{"model_name": str(base), "lora_target_modules": modules, **settings, **changes}
    )


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def open_noise(content: Content) -> Image.Image | None:
    """`140x70` is an image of that size."""
    return noise(*(int(side) for side in content.image.split("x"))) if content.image else None


def slots(trainee: Trainee) -> list[Slot]:
    """Three texts, then the three images that answer them."""
    prompts = trainee.inputs.prompts
    sides = [(prompts.query(text, "", target="image"), Content(text=text)) for text in TEXTS]
    sides += [(prompts.item("image", ""), Content(image=f"{width}x{height}")) for width, height in SIZES]
    return [
        Slot(slot=at, key=1000 + at, prepared=trainee.inputs.prepare(prompt, content))
        for at, (prompt, content) in enumerate(sides)
    ]


def begun(trainee: Trainee) -> Trainee:
    """B begins as zero, where A has no gradient to compare."""
    with torch.no_grad():
        for name, parameter in trainee.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    trainee.model.train()
    trainee.model.zero_grad()
    return trainee


def taken(trainee: Trainee) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk_size", [1, 4])
@pytest.mark.parametrize("use_dora", [True, False], ids=["dora", "lora"])
def test_the_gradient_is_that_of_one_batch(recipe_of: Callable[..., Recipe], chunk_size: int, use_dora: bool) -> None:
    trainee = begun(load_trainee(recipe_of(use_dora=use_dora), torch.device("cpu"), open_noise))
    engine, inputs = trainee.engine, slots(trainee)
    prepared = [each.prepared for each in inputs]
    batch = engine.runner.collate(
        [each.ids for each in prepared],
        [[each.grid] if each.grid else [] for each in prepared],
        [each.patches for each in prepared if each.patches is not None],
    )
    engine._keys.of_rows = [each.key for each in inputs]
    engine._keys.lengths = batch.lengths.tolist()
    vectors = engine.runner.vectors(trainee.model, batch, trainee.files.family.dim(trainee.files))
    info_nce(vectors[:3], vectors[3:], temperature=0.05).backward()
    expected = taken(trainee)

    trainee.model.zero_grad()
    engine.chunk_size = chunk_size
    with Spool() as spool:
        seen = engine.look(inputs, spool)
        vectors = engine.encode(seen, spool).requires_grad_(True)
        info_nce(vectors[:3], vectors[3:], temperature=0.05).backward()
        assert vectors.grad is not None
        engine.backpropagate(seen, spool, vectors.grad)
    got = taken(trainee)
    assert got.keys() == expected.keys() and got
    largest = max(float(each.abs().max()) for each in expected.values())
    for name, each in expected.items():
        torch.testing.assert_close(got[name], each, atol=1e-5 * largest, rtol=0)


def test_the_frozen_tower_looks_once_a_step(recipe_of: Callable[..., Recipe]) -> None:
    trainee = begun(load_trainee(recipe_of(), torch.device("cpu"), open_noise))
    looked = []
    tower = trainee.model.get_submodule(trainee.files.family.vision[0])
    tower.register_forward_hook(lambda module, given, out: looked.append(1))
    with Spool() as spool:
        seen = trainee.engine.look(slots(trainee), spool)
        before = len(looked)
        vectors = trainee.engine.encode(seen, spool)
        trainee.engine.backpropagate(seen, spool, torch.ones_like(vectors))
    assert 0 < before == len(looked)
    assert not any(name.startswith(trainee.files.family.vision) for name in taken(trainee))


def test_training_sees_the_vectors_that_serving_gives(recipe_of: Callable[..., Recipe], base: Path) -> None:
    trainee = load_trainee(recipe_of(), torch.device("cpu"), open_noise)
    trainee.model.eval()
    with Spool() as spool:
        got = trainee.engine.encode(trainee.engine.look(slots(trainee), spool), spool).numpy()
    encoder = load_encoder(base, device="cpu", dtype="float32", max_pixels=70 * 48 * 48)
    prompts = [encoder.prompts.query(text, "", target="image") for text in TEXTS]
    prompts += [encoder.prompts.item("image", "")] * 3
    expected = encoder.encode_prompts(prompts, [*[None] * 3, *[noise(*size) for size in SIZES]])
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_an_adapter_is_trained_saved_and_served(recipe_of: Callable[..., Recipe], base: Path) -> None:
    folder = train(recipe_of()).folder
    plain = load_encoder(base, device="cpu", dtype="float32").encode_queries(["red cat"])
    adapted = load_encoder(folder, device="cpu", dtype="float32").encode_queries(["red cat"])
    assert np.abs(adapted - plain).max() > 1e-4


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_finds_every_tensor_of_the_adapter(recipe_of: Callable[..., Recipe], base: Path) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from transformers import AutoConfig, EmbeddingGemma2Model, Qwen3VLForConditionalGeneration

    folder = train(recipe_of()).folder
    kinds = {"qwen3_vl": Qwen3VLForConditionalGeneration, "embedding_gemma2": EmbeddingGemma2Model}
    model = PeftModel.from_pretrained(kinds[AutoConfig.from_pretrained(base).model_type].from_pretrained(base), folder)
    loaded, saved = get_peft_model_state_dict(model), load_file(folder / WEIGHTS)
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], each) for name, each in saved.items())


def test_the_whole_model_is_trained_and_written_under_the_bases_own_names(
    recipe_of: Callable[..., Recipe], base: Path, make_recipe: Callable[..., Recipe]
) -> None:
    recipe = make_recipe(model_name=str(base), mode="full", max_pixels=70 * 48 * 48)
    folder = train(recipe).folder
    names = [load_file(each / "model.safetensors").keys() for each in (folder, base)]
    assert set(names[0]) == set(names[1])
    changed = load_encoder(folder, device="cpu", dtype="float32").encode_queries(["red cat"])
    assert np.abs(changed - load_encoder(base, device="cpu", dtype="float32").encode_queries(["red cat"])).max() > 1e-4
