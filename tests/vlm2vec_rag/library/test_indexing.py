"""Only what changed is encoded, one bad file never ends a run, a killed run goes on, nothing is there twice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image as PILImage

import vlm2vec_rag as vr
from vlm2vec_rag import samples
from vlm2vec_rag.errors import DiskFull, FingerprintMismatch, InvalidInput, MediaError
from vlm2vec_rag.library.library import Library, Setup
from vlm2vec_rag.media import MediaSettings


class Counting:
    """The tiny encoder, at a small budget, that remembers what it encoded and may be made to fail."""

    def __init__(self, encoder, fail_after=None, error=KeyboardInterrupt):
        self.encoder, self.items, self.fail_after, self.error = encoder, [], fail_after, error

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode_items(self, items, **settings):
        if self.fail_after is not None and len(self.items) + len(items) > self.fail_after:
            raise self.error
        self.items += items
        return self.encoder.encode_items(items, **settings)


@pytest.fixture(scope="module")
def small_encoder(tiny_base, tiny_adapter):
    from vlm2vec_rag import load_encoder

    return load_encoder(tiny_base, tiny_adapter, device="cpu", dtype="float32", max_pixels=28 * 28 * 16, frames=2)


@pytest.fixture
def library(small_encoder):
    with vr.open(":memory:", small_encoder) as library:
        yield library


def through(library, encoder):
    """The same collection with another encoder."""
    return Library(library.collection, Setup(place=":memory:", load=lambda: encoder))


def pdf(path, pages):
    """A PDF of these pages (from 0) of a real article."""
    with pypdfium2.PdfDocument(samples.folder() / "hcl-colors.pdf") as article:
        document = pypdfium2.PdfDocument.new()
        document.import_pages(article, pages)
        document.save(path)
        document.close()
    return path


@pytest.fixture
def folder(tmp_path):
    """A PDF of three pages, an image, and notes."""
    folder = tmp_path / "files"
    folder.mkdir()
    pdf(folder / "article.pdf", [0, 1, 2])
    PILImage.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(
        folder / "noise.png"
    )
    (folder / "notes.md").write_text("# Violins\n\nNotes on the violin.\n")
    return folder


def places(library):
    return sorted(point.payload.place.rpartition("/")[2] for point in library.collection.scroll())


ALL = ["article.pdf#page=1", "article.pdf#page=2", "article.pdf#page=3", "noise.png", "notes.md#char=0,31"]


def test_a_folder_becomes_points_with_places_and_vectors(folder, library, tmp_path):
    library = vr.open(":memory:", library.encoder, thumbnails=tmp_path / "thumbnails")
    thumbnails = library.thumbnails
    report = library.index(folder)
    assert places(library) == ALL
    assert (report.indexed, report.unchanged, report.failures) == (3, 0, [])
    assert dict(report.encoded) == {"page": 3, "image": 1, "text": 1}
    for point in library.collection.scroll(with_vectors=True):
        assert np.isfinite(point.vector).all() and point.payload.file_hash and point.payload.modified_at
        assert bool(thumbnails.find(point.payload.content_hash)) == (point.payload.kind != "text")


def test_an_unchanged_folder_is_not_read_again(folder, library, small_encoder):
    library.index(folder)
    again = Counting(small_encoder)
    report = through(library, again).index(folder)
    assert (report.unchanged, report.indexed, again.items) == (3, 0, [])


def test_of_an_edited_pdf_only_the_new_page_is_encoded(folder, library, small_encoder):
    library.index(folder)
    vectors = {point.payload.content_hash: point.vector for point in library.collection.scroll(with_vectors=True)}
    pdf(folder / "article.pdf", [5, 0, 2])  # a page before, one less in the middle
    edited = Counting(small_encoder)
    report = through(library, edited).index(folder)
    assert [item.fragment for item in edited.items] == ["page=1"]
    assert (report.indexed, report.unchanged, dict(report.reused)) == (1, 2, {"page": 2})
    assert places(library) == ALL
    for point in library.collection.scroll(with_vectors=True):
        if point.payload.fragment in ("page=2", "page=3"):
            np.testing.assert_allclose(point.vector, vectors[point.payload.content_hash], atol=1e-6)


def test_a_shorter_file_leaves_no_stale_page(folder, library):
    library.index(folder)
    pdf(folder / "article.pdf", [1])
    library.index(folder)
    assert places(library) == ["article.pdf#page=1", *ALL[3:]]


def test_an_interrupted_run_goes_on_where_it_was(folder, library, small_encoder, monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.library.indexing.BATCH_ITEMS", 2)
    first = Counting(small_encoder, fail_after=3)
    with pytest.raises(KeyboardInterrupt):
        through(library, first).index(folder)
    assert 0 < library.collection.count() < 5
    second = Counting(small_encoder)
    through(library, second).index(folder)
    assert places(library) == ALL
    assert len(first.items) + len(second.items) == 5


def test_a_broken_file_is_one_line_and_the_others_go_on(folder, library):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"rubbish" * 50)
    (folder / "empty.png").write_bytes(b"")
    report = library.index(folder)
    assert places(library) == ALL
    assert sorted(Path(each.source).name for each in report.failures) == ["broken.pdf", "empty.png"]
    assert all(each.reason for each in report.failures)


def test_an_item_that_cannot_be_encoded_costs_only_itself(folder, library, small_encoder):
    from vlm2vec_rag.errors import VlmRagError

    class Picky(Counting):
        def encode_items(self, items, **settings):
            if any(item.kind == "image" for item in items):
                raise VlmRagError("does not fit the memory")
            return super().encode_items(items, **settings)

    report = through(library, Picky(small_encoder)).index(folder)
    assert places(library) == [each for each in ALL if each != "noise.png"]
    assert [each.reason for each in report.failures] == ["image: does not fit the memory"]
    assert library.index(folder).indexed == 1
    assert places(library) == ALL


def test_the_same_page_in_two_files_is_encoded_once_and_found_in_both(folder, library, small_encoder):
    shutil.copy(folder / "article.pdf", folder / "copy.pdf")
    counting = Counting(small_encoder)
    through(library, counting).index(folder)
    assert sum(item.kind == "page" for item in counting.items) == 3
    assert sum("copy.pdf" in place for place in places(library)) == 3


def test_a_removed_file_is_kept_until_pruned(folder, library):
    library.index(folder)
    (folder / "noise.png").unlink()
    report = library.index(folder)
    assert [Path(source).name for source in report.gone] == ["noise.png"] and places(library) == ALL
    report = library.index(folder, prune=True)
    assert report.gone == [] and len(report.removed) == 1
    assert "noise.png" not in places(library)


def test_pruning_spares_what_lies_elsewhere(folder, library, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.md").write_text("Other notes, elsewhere.")
    library.index([folder, elsewhere])
    (elsewhere / "other.md").unlink()
    report = library.index(folder, prune=True)
    assert report.removed == [] and len(places(library)) == 6


def test_words_alone_can_be_indexed(folder):
    with vr.open(":memory:", "none") as library:
        library.index(folder)
        assert places(library) == ALL
        assert library.search("violin")[0].place.endswith("notes.md#char=0,31")


def test_a_collection_keeps_to_one_way_of_reading(folder, tmp_path, small_encoder):
    place = tmp_path / "c"
    with vr.open(place, small_encoder, media=MediaSettings(pdf_engine="pypdfium2")) as library:
        library.index(folder)
        assert library.collection.settings["media"]["pdf_engine"] == "pypdfium2"
    with vr.open(place, small_encoder) as library:
        assert library.reader.settings.pdf_engine == "pypdfium2"  # takes its own
    with pytest.raises(InvalidInput, match=r"window_s 30.0 against 12.0"):
        vr.open(place, small_encoder, media=MediaSettings(window_s=12.0))
    # an engine is a preference: where it is not installed the other reads on
    vr.open(place, small_encoder, media=MediaSettings(pdf_engine="pymupdf")).close()


def test_what_cannot_be_indexed_at_all_is_refused(folder, library, encoder, tmp_path):
    with pytest.raises(MediaError, match="no-such-folder"):
        library.index(tmp_path / "no-such-folder")
    with pytest.raises(FingerprintMismatch):
        through(library, encoder).index(folder)
    with pytest.raises(InvalidInput, match="no encoder to make more"):
        Library(library.collection, Setup(place=":memory:")).index(folder)
    for empty in ("", " ", [""], ["files", ""]):
        with pytest.raises(InvalidInput, match="a path to index is empty"):
            library.index(empty)


def test_pruning_most_of_a_collection_has_to_be_meant(folder, library):
    library.index(folder)
    for name in ("noise.png", "notes.md"):
        (folder / name).unlink()
    with pytest.raises(InvalidInput, match="would remove 2 of 3 files"):
        library.index(folder, prune=True)
    assert places(library) == ALL  # nothing was touched
    assert len(library.index(folder, prune="all").removed) == 2
    assert places(library) == ALL[:3]


def test_an_empty_folder_where_a_disk_was_is_not_pruned_by_mistake(folder, library):
    library.index(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(InvalidInput, match="if a disk is not mounted"):
        library.index(folder, prune=True)
    assert places(library) == ALL


def test_the_callback_hears_every_file_and_item(folder, library):
    heard = []

    class Callback:
        def planned(self, files, items):
            heard.append(("planned", files, items))

        def file_done(self, source, error):
            heard.append(("done", Path(source).name, error is None))

        def items_done(self, kinds):
            heard.append(("items", sum(kinds.values())))

    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nrubbish")
    library.index(folder, callback=Callback())
    assert ("planned", 3, 5) in heard
    assert {("done", "broken.pdf", False), ("done", "noise.png", True)} <= set(heard)
    assert sum(each[1] for each in heard if each[0] == "items") == 5


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(folder, library, monkeypatch):
    """It is no single file's fault, so no file is told to have failed."""
    monkeypatch.setattr("vlm2vec_rag.library.indexing.BATCH_ITEMS", 2)
    write, written = library.collection.upsert, []

    def until_full(points):
        if len(written) >= 2:
            raise DiskFull("there is no room")
        written.extend(points := list(points))
        return write(points)

    monkeypatch.setattr(library.collection, "upsert", until_full)
    with pytest.raises(DiskFull):
        library.index(folder)
    monkeypatch.undo()
    assert library.index(folder).failures == [] and places(library) == ALL


@pytest.mark.slow
def test_a_killed_process_loses_nothing_and_nothing_comes_twice(folder, tmp_path):
    """kill -9 in the middle of a run over real files, on the embedded engine; then the same run again."""
    pdf(folder / "long.pdf", list(range(12)) * 4)
    script = (
        "import sys, time; import vlm2vec_rag as vr; import vlm2vec_rag.library.indexing as indexing\n"
        "indexing.BATCH_ITEMS = 4\n"
        "if __name__ == '__main__':\n"
        "    library = vr.open(sys.argv[2], 'none')\n"
        "    write = library.collection.upsert\n"
        "    def slowly(points):\n"
        "        points = list(points); write(points)\n"
        "        if points:\n"  # none are written when the language is settled
        "            print('written', flush=True); time.sleep(0.3)\n"
        "    library.collection.upsert = slowly\n"
        "    library.index(sys.argv[1])\n"
    )
    program = tmp_path / "run.py"
    program.write_text(script)
    command = [sys.executable, str(program), str(folder), str(tmp_path / "c")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        for _ in range(3):
            assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    for attempt in range(50):  # the kernel lets go of the folder's lock a moment after the death
        try:
            library = vr.open(tmp_path / "c")
            break
        except Exception:
            if attempt == 49:
                raise
            time.sleep(0.1)
    with library:
        assert library.collection.count() >= 12
        report = library.index(folder)
        assert report.failures == []
        assert places(library) == sorted([*ALL, *(f"long.pdf#page={page}" for page in range(1, 49))])
        assert library.index(folder).unchanged == 4
