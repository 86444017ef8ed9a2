"""A collection is opened with the model that built it, refuses others, and asks no model for what it cannot see."""

import json
import shutil

import pytest
from PIL import Image as PILImage

import vlm2vec_rag as vr
from vlm2vec_rag import samples
from vlm2vec_rag.errors import (
    CollectionError,
    CollectionNotFound,
    EmptyInput,
    FingerprintMismatch,
    InvalidInput,
    ModelNotFound,
)

LOADING = {"device": "cpu", "dtype": "float32"}
SMALL = 28 * 28 * 16


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A page, a photograph and a note."""
    folder = tmp_path_factory.mktemp("files").resolve()
    shutil.copy(samples.folder() / "latexsheet.pdf", folder)
    PILImage.effect_noise((90, 60), 90).convert("RGB").save(folder / "noise.png")
    (folder / "notes.md").write_text("# Violins\n\nNotes on the violin.\n")
    return folder


@pytest.fixture(scope="module")
def place(files, tmp_path_factory, tiny_base):
    """Built with a model that is not the machine's default, from a folder."""
    place = tmp_path_factory.mktemp("library") / "c"
    with vr.open(place, tiny_base, max_pixels=SMALL, frames=2, **LOADING) as library:
        library.index(files)
    return place


def test_tomorrow_it_is_opened_with_the_model_that_built_it(place, tiny_base):
    with vr.open(place) as library:
        assert (library.model.model, library.fingerprint.max_pixels) == (str(tiny_base), SMALL)
        assert library._encoder is None  # not loaded until needed
        assert library.search("violin", mode="bm25") and library._encoder is None
        [hit] = library.search("violin", limit=1)
        assert library._encoder is not None
        assert hit.snippet() == "# Violins Notes on the violin." and hit.question == "violin"


def test_the_same_model_elsewhere_is_the_same(place, tiny_base, tmp_path):
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    with vr.open(place, copy, **LOADING) as library:
        assert library.search("violin", mode="dense")


def test_another_model_is_refused_with_both_named_and_the_way_out(place, tiny_base, tiny_adapter):
    with pytest.raises(FingerprintMismatch) as error:
        vr.open(place, tiny_base, tiny_adapter)
    assert str(tiny_base) in str(error.value) and str(tiny_adapter) in str(error.value)
    assert f"vlm2vec-rag reindex --model {tiny_base} --adapter {tiny_adapter}" in str(error.value)
    with pytest.raises(FingerprintMismatch, match="reindex --model nano"):
        vr.open(place, "nano")
    with pytest.raises(FingerprintMismatch, match=r"built with max_pixels=12544, and max_pixels=25088 is asked for"):
        vr.open(place, max_pixels=2 * SMALL)


def test_a_moved_adapter_is_said_to_be_the_adapter_and_is_remembered_where_it_is_now(
    files, tiny_base, tiny_adapter, tmp_path
):
    adapter = shutil.copytree(tiny_adapter, tmp_path / "reports" / "adapter")
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": str(tiny_base)}))
    with vr.open(tmp_path / "c", adapter=adapter, max_pixels=SMALL, frames=2, **LOADING) as library:
        library.index(files / "notes.md")
        assert library.fingerprint.model == f"{tiny_base.name}+reports"
    moved = shutil.move(adapter, tmp_path / "moved")
    with (
        vr.open(tmp_path / "c", **LOADING) as library,
        pytest.raises(
            ModelNotFound, match=rf"the adapter of .*{tiny_base.name}\+reports\) was at {adapter}, .*--adapter"
        ),
    ):
        library.search("violin", mode="dense")
    for chosen in (moved, None):
        with vr.open(tmp_path / "c", adapter=chosen, **LOADING) as library:
            assert library.search("violin", mode="dense")


def test_a_lone_adapter_is_converted_to_with_reindex_adapter(place, tiny_base, tiny_adapter, tmp_path):
    adapter = shutil.copytree(tiny_adapter, tmp_path / "adapter")
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": str(tiny_base)}))
    with pytest.raises(FingerprintMismatch, match=f"vlm2vec-rag reindex --adapter {adapter}"):
        vr.open(place, adapter=adapter)


def test_words_can_be_searched_without_the_model_and_nothing_is_written_then(place, files):
    with vr.open(place, "none") as library:
        assert library.search("violin") and library.encoder is None
        with pytest.raises(InvalidInput, match="open it with the model that built it"):
            library.index(files)


def test_a_place_without_a_collection_is_not_made_by_reading(tmp_path):
    with pytest.raises(CollectionNotFound, match="make one with: vlm2vec-rag index"):
        vr.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_a_model_that_is_not_there_leaves_nothing_behind(tmp_path):
    with pytest.raises(vr.VlmRagError, match="no model at"):
        vr.open(tmp_path / "c", "./no-model")
    assert not (tmp_path / "c").exists()


def test_a_loaded_encoder_is_a_model_too(encoder, files, tmp_path):
    with vr.open(tmp_path / "c", encoder) as library:
        library.index(files / "notes.md")
    with vr.open(tmp_path / "c", **LOADING) as library:  # it said where it was loaded from
        assert library.search("violin", mode="dense")


@pytest.mark.parametrize("source", ["", " ", ".", "./", "..", "/"])
def test_removing_nothing_in_particular_removes_nothing(files, source):
    with vr.open(":memory:", "none") as library:
        library.index(files)
        with pytest.raises(InvalidInput, match="names no file"):
            library.remove(source)
        assert len(library.sources()) == 3


def test_what_is_removed_is_told_and_all_or_nothing(files):
    with vr.open(":memory:", "none") as library:
        library.index(files)
        with pytest.raises(CollectionError, match=r"'missing\.md' is not in the collection"):
            library.remove(["notes.md", "missing.md"])
        assert len(library.sources()) == 3
        assert library.remove("notes.md") == [(files / "notes.md").as_posix()]
        assert library.remove(files) and not library.sources()


def test_hits_can_be_looked_at(place):
    with vr.open(place) as library:
        [page] = library.search("columns table", mode="bm25", filter={"pages": "1"}, limit=1)
        again = library.hit(page.id)
        assert (again.place, again.score) == (page.place, 0.0)
        assert library.image_of(page).width > 20 and library.hit("nothing") is None
        [note] = library.search("violin", mode="bm25", limit=1)
        assert library.image_of(note) is None


def test_a_model_that_reads_print_is_not_asked_about_photographs(files):
    with vr.open(":memory:", "nano") as library:
        library.index([files / "noise.png", files / "notes.md"])
        image = files / "noise.png"
        for ask in (
            lambda: library.search(image=image),
            lambda: library.search(vr.Query(image=PILImage.new("RGB", (90, 60)))),
            lambda: library.search("a cat", mode="dense"),
            lambda: library.search("a cat", mode="dense", filter={"kind": "image"}),
            lambda: library.classify(image, ["cat", "coffee"]),
            lambda: library.highlights(samples.folder() / "big-buck-bunny.mp4", ["a butterfly"]),
        ):
            with pytest.raises(InvalidInput, match=r"nano, which sees no .* such as --model VLM2Vec/VLM2Vec-V2\.0"):
                ask()
        assert library.search("violin", mode="dense", filter={"kind": "text"})
        assert library.search(image=image, anyway=True)
        assert len(list(library.classify(image, ["cat", "coffee"], anyway=True))) == 1


def test_an_empty_question_is_refused(place):
    with vr.open(place) as library, pytest.raises(EmptyInput):
        library.search(" ")


async def test_awaited(place):
    with vr.open(place) as library:
        hits = await library.asearch("violin", mode="bm25")
        answer = await library.aask("violin", mode="bm25")
        assert hits[0].place == answer.citations[0].place
