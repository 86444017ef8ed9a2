"""A collection embedded anew keeps what it was, and a kill at any point leaves one whole collection under its name."""

import subprocess
import sys

import pytest

import vlm2vec_rag as vr
from vlm2vec_rag.collection.engine import REBUILD_SUFFIX
from vlm2vec_rag.errors import CollectionError
from vlm2vec_rag.media import MediaSettings

SMALL = 28 * 28 * 16


@pytest.fixture
def files(tmp_path):
    """Two notes."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "violins.md").write_text("# Violins\n\nNotes on the violin, and on how the violins are tuned.\n")
    (folder / "cellos.md").write_text("# Cellos\n\nNotes on the cello.\n")
    return folder


@pytest.fixture
def place(tmp_path, files):
    """A words-only collection of them, with media settings of its own."""
    with vr.open(tmp_path / "c", "none", media=MediaSettings(pdf_engine="pypdfium2")) as library:
        library.index(files)
    return tmp_path / "c"


def test_the_new_model_is_recorded_and_every_setting_kept(tmp_path, files, tiny_base, tiny_adapter):
    loading = {"device": "cpu", "dtype": "float32"}
    settings = {"max_pixels": SMALL, "frames": 3, "language": "german", "media": MediaSettings(pdf_engine="pypdfium2")}
    with vr.open(tmp_path / "c", tiny_base, **settings, **loading) as library:
        library.index(files)
        old = library.fingerprint
        before = {point.id: point.vector for point in library.collection.scroll(with_vectors=True)}
        report = library.reindex(tiny_base, tiny_adapter)
        assert (report.indexed, report.failures, library.model.adapter) == (2, [], str(tiny_adapter))
        assert library.search("violin", limit=1)[0].place.endswith("violins.md#char=0,65")  # goes on as it is
    with vr.open(tmp_path / "c", **loading) as library:
        new = library.fingerprint
        assert (new.adapter != "", new.weights, new.max_pixels, new.frames) == (True, old.weights, SMALL, 3)
        assert library.info().language == "german"
        assert library.media_settings.pdf_engine == "pypdfium2"
        after = {point.id: point.vector for point in library.collection.scroll(with_vectors=True)}
        assert after.keys() == before.keys()
        assert all(abs(after[each] - before[each]).max() > 1e-3 for each in after)
        assert library.index(files).unchanged == 2
    assert not list((tmp_path / "c").glob(f"*{REBUILD_SUFFIX}"))


def test_in_memory_too(files, encoder):
    with vr.open(":memory:", "none") as library:
        library.index(files)
        library.reindex(encoder)
        assert library.collection.dim == encoder.dim
        assert library.search("violin", mode="dense")


def test_texts_with_ids_of_their_own_come_along(place, tmp_path):
    from vlm2vec_rag.documents import text_payload
    from vlm2vec_rag.items import Text
    from vlm2vec_rag.library.writing import Entry

    with vr.open(place) as library:
        payload = text_payload("an apple a day", {"author": "Ada"}, "apple")
        library.writer().write([Entry(item=Text(text="an apple a day"), payload=payload)])
        library.reindex(language="german")
        hit = library.hit("apple")
        assert (hit.text, hit.metadata) == ("an apple a day", {"author": "Ada"})
        assert library.info().language == "german"


def test_a_file_that_is_gone_is_named_and_nothing_changes(place, files):
    (files / "cellos.md").unlink()
    with vr.open(place) as library:
        with pytest.raises(CollectionError, match=r"1 of 2 indexed files are no longer there, .*cellos\.md"):
            library.reindex(language="german")
        assert library.info().language == "english"
        assert len(library.search("cello")) == 1


def test_nothing_is_written_into_what_is_about_to_be_replaced(place, files):
    with vr.open(place) as library:
        refused = []

        class Callback:
            def planned(self, files, items):
                for write in (lambda: library.index("files"), lambda: library.remove("cellos.md")):
                    with pytest.raises(CollectionError, match="is being indexed anew") as error:
                        write()
                    refused.append(error)

            def file_done(self, source, error): ...

            def items_done(self, kinds): ...

        library.reindex(language="german", callback=Callback())
        assert len(refused) == 2
        assert library.remove("cellos.md")  # and goes on afterwards


KILL = """
import os, sys
import vlm2vec_rag as vr
from vlm2vec_rag.collection.edge import folder
from vlm2vec_rag.library import indexing

def dies(function, before):
    def run(*arguments, **keywords):
        if before: os._exit(9)
        function(*arguments, **keywords)
        os._exit(9)
    return run

if __name__ == "__main__":
    step, before = sys.argv[2], sys.argv[3] == "before"
    with vr.open(sys.argv[1]) as library:
        if step == "items":
            indexing.BATCH_ITEMS = 1
            indexing._Run._finish = dies(indexing._Run._finish, before)
        elif step == "link":
            folder.shutil.copytree = dies(folder.shutil.copytree, before)
        elif step == "half a link":
            folder._link = dies(folder._link, before)
        else:  # only in the swap: both are used before it as well
            swap, kind = library.collection.replace_by, folder.Description if step == "switch" else folder.Folder
            name = "write" if step == "switch" else "delete"

            def dies_swapping(other):
                setattr(kind, name, dies(getattr(kind, name), before))
                swap(other)

            library.collection.replace_by = dies_swapping
        library.reindex(language="german")
    os._exit(0)
"""
STEPS = [(step, when) for step in ("items", "link", "half a link", "switch", "delete") for when in ("before", "after")]


@pytest.mark.slow
@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_kill_leaves_one_whole_collection_and_the_next_run_finishes(place, files, tmp_path, step, when):
    script = tmp_path / "kill.py"
    script.write_text(KILL)
    died = subprocess.run([sys.executable, str(script), str(place), step, when], check=False, capture_output=True)
    assert died.returncode == 9, died.stderr.decode()
    was_switched = (step, when) in {("switch", "after"), ("delete", "before"), ("delete", "after")}
    with vr.open(place) as library:
        assert library.info().language == ("german" if was_switched else "english")
        assert len(library.sources()) == 2
        assert all(source.is_complete for source in library.sources().values())
        assert len(library.search("violin")) == 1
        library.reindex(language="german")
        assert library.info().language == "german"
        assert {hit.source.rpartition("/")[2] for hit in library.search("notes")} == {"violins.md", "cellos.md"}
    left = [each.name for each in place.iterdir() if each.name.endswith(REBUILD_SUFFIX)]
    assert left == [] and len(list((place / "default").glob("shard-*"))) == 1
