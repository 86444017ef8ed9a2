"""Indexing among files as they come: odd names, pipes, growing files, folders that may not be read, what is no file."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from numbered_videos import make_video
from permissions import as_nobody, open_folder
from PIL import Image as PILImage

import vlm2vec_rag as vr
from vlm2vec_rag.errors import DiskFull, UnsupportedMedia
from vlm2vec_rag.items import Text
from vlm2vec_rag.media import MediaReader


@pytest.fixture
def library():
    with vr.open(":memory:", "none") as library:
        yield library


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha words")
    (folder / "z.txt").write_text("omega words")
    return folder


def names(library) -> list[str]:
    return [Path(source).name for source in library.sources()]


def failures(report) -> list[str]:
    return [f"{Path(each.source).name}: {each.reason.partition(': ')[2] or each.reason}" for each in report.failures]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such name")
def test_a_name_that_is_no_text_costs_its_own_file_and_no_other(folder, library):
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("latin name")
    report = library.index(folder)
    assert report.indexed == 2 and names(library) == ["a.txt", "z.txt"]
    assert failures(report) == [r"caf\xe9.txt: its name is not UTF-8; rename it (convmv does many)"]
    str(report.failures).encode()
    # named outright, as shells hand it over
    report = library.index([folder / os.fsdecode(b"caf\xe9.txt"), folder / "a.txt"])
    assert len(report.failures) == 1 and report.unchanged == 1


@pytest.mark.parametrize(
    "item",
    [
        Text(text="half a pair \ud800", source="/x/a.txt"),
        Text(text="fine", source="/x/a.txt", title="half a pair \udfff"),
        Text(text="fine", source="/x/a.txt", metadata={"key": object(), "half \ud800": "x"}),
        Text(text="fine", source="/x/\ud800.txt"),
    ],
    ids=["text", "title", "metadata", "source"],
)
def test_an_item_that_a_store_refuses_costs_only_itself(folder, library, monkeypatch, item):
    real = MediaReader.items

    def items(self, path):
        yield from real(self, path)
        if Path(path).name == "a.txt":
            yield item

    monkeypatch.setattr(MediaReader, "items", items)
    report = library.index(folder)
    assert "z.txt" in names(library) and report.indexed + len(report.failures) == 2
    assert all(each.source.endswith("a.txt") for each in report.failures)
    assert library.search("omega")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_named_outright_is_one_line(folder, library):
    os.mkfifo(folder / "pipe.txt")
    report = library.index([folder, folder / "pipe.txt"])
    assert report.indexed == 2
    assert failures(report) == ["pipe.txt: is a pipe, socket or device, expected a file"]
    assert "pipes, devices or broken links" in str(report.passed_over)


class Meanwhile:
    """Does something once the files are known and before they are read."""

    def __init__(self, action) -> None:
        self.planned = lambda files, items: action()

    def file_done(self, source, error) -> None: ...

    def items_done(self, kinds) -> None: ...


def test_a_file_that_is_written_to_while_it_is_read_is_read_again_next_time(folder, library):
    report = library.index(folder, callback=Meanwhile(lambda: (folder / "a.txt").write_text("sailing ships")))
    assert failures(report) == ["a.txt: was written to while it was read; run the same command again when that is done"]
    report = library.index(folder)
    assert (report.indexed, report.unchanged, report.failures) == (1, 1, [])
    assert [Path(hit.source).name for hit in library.search("sailing")] == ["a.txt"] and not library.search("alpha")


def test_a_file_that_vanishes_is_one_line(folder, library):
    report = library.index(folder, callback=Meanwhile((folder / "a.txt").unlink))
    assert failures(report) == ["a.txt: no such file; check the path"] and names(library) == ["z.txt"]


def test_a_folder_that_may_not_be_read_is_a_failure_and_hides_nothing(library):
    with open_folder() as folder:
        for name in ("shut/a.txt", "open/b.txt"):
            (folder / name).parent.mkdir()
            (folder / name).write_text("words")
        assert library.index(folder).indexed == 2
        (folder / "shut").chmod(0)
        library.close = lambda: None
        with as_nobody():
            report = library.index(folder, prune="all")
        assert failures(report) == ["shut: cannot be listed (Permission denied); check its permissions"]
        # what cannot be seen is not taken for gone
        assert report.removed == [] and report.gone == [] and len(library.sources()) == 2


def test_a_subtitle_file_that_is_added_or_edited_indexes_its_video_again(tmp_path, library):
    video = make_video(tmp_path / "talk.mp4")
    assert library.index(tmp_path).indexed == 1 and not library.search("violin")
    for words in ("a violin", "a cello"):
        (tmp_path / "talk.srt").write_text(f"1\n00:00:00,500 --> 00:00:02,000\n{words}\n")
        report = library.index(tmp_path)
        assert (report.indexed, report.unchanged) == (1, 0)
        [hit] = library.search(words.split()[1])
        assert hit.source == video.resolve().as_posix() and hit.text == words
    assert not library.search("violin") and library.index(tmp_path).unchanged == 1
    assert not report.passed_over.kinds


def test_what_a_folder_holds_and_no_reader_takes_is_counted(folder, library, tmp_path):
    for name in ("a.xyz", "b.xyz", "c.bin"):
        (folder / name).write_bytes(b"\0\1")
    assert str(library.index(folder).passed_over) == "2 .xyz, 1 .bin"
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.xyz").write_bytes(b"\0\1")
    with pytest.raises(UnsupportedMedia, match=r"nothing to index in .*; what is there is not read: 1 \.xyz"):
        library.index(other)


def test_what_was_read_with_a_doubt_is_noted(folder, library):
    (folder / "old.txt").write_bytes("слово".encode("cp1251"))
    PILImage.effect_noise((90, 60), 90).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-900])
    notes = {Path(each.source).name: each.text for each in library.index(folder).notes}
    assert set(notes) == {"old.txt", "cut.jpg"}
    assert "read as cp1251, a guess" in notes["old.txt"] and "is cut off" in notes["cut.jpg"]


def test_a_collection_in_the_folder_that_it_indexes_does_not_grow(folder):
    PILImage.effect_noise((90, 60), 90).save(folder / "noise.png")
    for place in (folder / "my.vlm2vec", folder / "deeper" / "other"):
        counts = []
        for _ in range(3):
            with vr.open(place, "none", thumbnails=folder / "small") as library:
                report = library.index(folder)
                counts.append((len(library.sources()), report.failures, str(report.passed_over)))
        assert counts == [(3, [], "")] * 3
        assert list((folder / "small").rglob("*.jpg"))


def test_where_thumbnails_have_no_room_the_run_stops_and_the_next_one_makes_them(folder, tmp_path, monkeypatch):
    PILImage.effect_noise((90, 60), 90).save(folder / "noise.png")
    with vr.open(tmp_path / "c", "none") as library:
        real = PILImage.Image.save

        def full(self, path, *arguments, **settings):
            if "thumbnails" in str(path):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(self, path, *arguments, **settings)

        with monkeypatch.context() as disk:
            disk.setattr(PILImage.Image, "save", full)
            with pytest.raises(DiskFull, match=r"no room on the disk of .*thumbnails"):
                library.index(folder)
        assert not list((tmp_path / "c").rglob("*.part*"))
        report = library.index(folder)
        assert not report.failures and len(library.sources()) == 3
        assert len(list((tmp_path / "c" / "thumbnails").rglob("*.jpg"))) == 1


def test_a_folder_for_thumbnails_that_cannot_be_written_to_costs_thumbnails_only(folder, tmp_path, caplog):
    PILImage.effect_noise((90, 60), 90).save(folder / "noise.png")
    (tmp_path / "taken").write_text("a file where the folder should be")
    with vr.open(tmp_path / "c", "none", thumbnails=tmp_path / "taken") as library:
        assert library.index(folder).indexed == 3
    assert "no thumbnail of" in caplog.text
