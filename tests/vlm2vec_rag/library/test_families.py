"""A library keeps to its model's family: vectors that were cut, budgets that follow a change of model."""

import numpy as np
import pytest
from PIL import Image as PILImage
from tiny_models import tiny_embedding_gemma2, tiny_qwen3vl

import vlm2vec_rag as vr
from vlm2vec_rag.errors import FingerprintMismatch, InvalidInput


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory):
    return tiny_qwen3vl(tmp_path_factory.mktemp("models") / "qwen3", hidden_size=128)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return tiny_embedding_gemma2(tmp_path_factory.mktemp("models") / "gemma")


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "note.md").write_text("a red car on a bridge")
    return folder


def test_cut_vectors_are_kept_and_searched_without_naming_their_width(tmp_path, qwen3, files):
    with vr.open(tmp_path / "c", model=qwen3, dim=64, device="cpu") as library:
        library.index(files)
        assert library.collection.dim == 64
    with vr.open(tmp_path / "c", device="cpu") as library:
        assert library.encoder.dim == 64
        [hit] = library.search("a red car", mode="dense")
        question = vr.load_encoder(qwen3, device="cpu").encode_queries(["a red car"])[0, :64]
        answer = vr.load_encoder(qwen3, device="cpu").encode_items(["a red car on a bridge"])[0, :64]
        cosine = question @ answer / np.linalg.norm(question) / np.linalg.norm(answer)
        assert hit.score == pytest.approx(cosine, abs=1e-2)


def test_another_width_is_refused_with_the_way_to_convert(tmp_path, qwen3, files):
    with vr.open(tmp_path / "c", model=qwen3, dim=64, device="cpu") as library:
        library.index(files)
    with pytest.raises(FingerprintMismatch, match=r"built with dim=64, and dim=100 is asked for.*reindex --dim 100"):
        vr.open(tmp_path / "c", dim=100, device="cpu")
    with vr.open(tmp_path / "c", device="cpu") as library:
        library.reindex(dim=100)
        assert library.collection.dim == library.encoder.dim == 100
        library.reindex()
        assert library.collection.dim == 100  # kept
        assert [hit.source for hit in library.search("red")] == [str(files / "note.md")]


def test_a_width_the_model_was_not_trained_for_makes_no_library(tmp_path, gemma):
    with pytest.raises(InvalidInput, match="gemma gives 96 numbers"):
        vr.open(tmp_path / "c", model=gemma, dim=50, device="cpu")
    assert not (tmp_path / "c").exists()


def test_another_family_takes_its_own_budget_and_frames(tmp_path, qwen3, gemma, files):
    with vr.open(tmp_path / "c", model=qwen3, dim=64, max_pixels=32 * 32 * 100, device="cpu") as library:
        library.index(files)
        library.reindex(model=gemma)
        built_with = library.fingerprint
        assert (built_with.dim, built_with.max_pixels, built_with.frames) == (96, 280 * 48 * 48, 16)
    with pytest.raises(FingerprintMismatch, match=r"gives other vectors.*reindex --model .*qwen3"):
        vr.open(tmp_path / "c", model=qwen3, device="cpu")


@pytest.mark.parametrize("family", ["qwen3", "gemma"])
def test_images_are_indexed_and_found_by_themselves(tmp_path, files, family, request):
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        gradient = np.linspace(0.2, 1, 400)[None, :, None] * np.array(colour)[None, None] * np.ones((300, 1, 1))
        PILImage.fromarray(gradient.astype(np.uint8)).save(files / f"{name}.png")
    with vr.open(tmp_path / "c", model=request.getfixturevalue(family), device="cpu", dtype="float32") as library:
        report = library.index(files)
        assert not report.failures
        encoder = library.encoder
        with PILImage.open(files / "red.png") as image:
            red = encoder.encode_items([vr.Image(image=image.convert("RGB"))])[0]
        found = library.collection.search(red, None, mode="dense", limit=1)
        assert found[0].payload.source.endswith("red.png")
        assert found[0].dense_score == pytest.approx(1, abs=1e-3)
