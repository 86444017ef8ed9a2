"""A library that follows folders: changes, deletes, renames and bursts, as a real file system tells of them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from numbered_videos import make_video

import vlm2vec_rag as vr
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.library.watching import Change, watch
from vlm2vec_rag.media.walk import takes_up

pytestmark = pytest.mark.skipif(importlib.util.find_spec("watchfiles") is None, reason="an extra")

PATIENCE_S = 120.0  # of a test on a busy machine; nothing here is timed


class Watched:
    """A folder that a thread watches, with its collection inside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder.resolve(), folder.resolve() / "my.vlm2vec"
        self.changes: list[Change] = []
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def open(self):
        return vr.open(self.place, "none")

    def _watch(self) -> None:
        try:
            watch([self.folder], self.open, self.changes.append, stop=self._stop, settle_s=0.2)
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert self.error is None and not self._thread.is_alive()

    def told(self) -> list[str]:
        return [f"{each.what} {Path(each.source).name}" for each in self.changes]

    def wait_for(self, *wanted: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not set(wanted) <= set(self.told()):
            assert time.monotonic() < until and self.error is None, (wanted, self.told(), self.error)
            time.sleep(0.05)

    def names(self) -> list[str]:
        with self.open() as library:
            return sorted(Path(source).relative_to(self.folder).as_posix() for source in library.sources())


def test_a_file_that_comes_changes_and_goes(tmp_path):
    (tmp_path / "there.txt").write_text("words from before")
    with Watched(tmp_path) as watched:
        watched.wait_for("indexed there.txt")
        (tmp_path / "new.txt").write_text("a violin")
        watched.wait_for("indexed new.txt")
        watched.changes.clear()
        (tmp_path / "new.txt").write_text("a cello")
        watched.wait_for("indexed new.txt")
        (tmp_path / "there.txt").unlink()
        watched.wait_for("removed there.txt")
        (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
        watched.wait_for("failed broken.pdf")
    assert watched.names() == ["new.txt"]
    with watched.open() as library:
        assert library.search("cello") and not library.search("violin")


def test_renamed_files_and_folders_keep_their_vectors(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("old/a.txt", "old/b.txt", "c.txt"):
        (tmp_path / name).write_text(f"words of {name}")
    with Watched(tmp_path) as watched:
        watched.wait_for("indexed a.txt", "indexed b.txt", "indexed c.txt")
        (tmp_path / "c.txt").rename(tmp_path / "d.txt")
        watched.wait_for("indexed d.txt", "removed c.txt")
        watched.changes.clear()
        (tmp_path / "old").rename(tmp_path / "fresh")
        watched.wait_for("indexed a.txt", "removed a.txt", "indexed b.txt", "removed b.txt")
        told = watched.told()
        assert told.index("indexed a.txt") < told.index("removed a.txt")
    assert watched.names() == ["d.txt", "fresh/a.txt", "fresh/b.txt"]


def test_a_burst_is_followed_and_what_is_no_media_is_not(tmp_path):
    with Watched(tmp_path) as watched:
        time.sleep(1)
        (tmp_path / "sub").mkdir()
        (tmp_path / ".hidden").mkdir()
        for number in range(150):
            (tmp_path / "sub" / f"{number}.txt").write_text(f"number {number}")
            (tmp_path / "sub" / f"{number}.part").write_text("being downloaded")
            (tmp_path / ".hidden" / f"{number}.txt").write_text("hidden")
        shutil.rmtree(tmp_path / ".hidden")
        for number in range(100):
            (tmp_path / "sub" / f"{number}.txt").unlink()
        watched.wait_for(*(f"indexed {number}.txt" for number in range(100, 150)))
        (tmp_path / "last.txt").write_text("the last one")
        watched.wait_for("indexed last.txt")
    assert watched.names() == sorted(["last.txt", *(f"sub/{number}.txt" for number in range(100, 150))])
    assert not [each for each in watched.changes if each.what == "failed"]


def test_a_subtitle_file_brings_its_video_up_to_date(tmp_path):
    make_video(tmp_path / "talk.mp4")
    with Watched(tmp_path) as watched:
        watched.wait_for("indexed talk.mp4")
        for action in (lambda: (tmp_path / "talk.srt").write_text(SRT), (tmp_path / "talk.srt").unlink):
            watched.changes.clear()
            action()
            watched.wait_for("indexed talk.mp4")
            with watched.open() as library:
                assert bool(library.search("harbour")) == (tmp_path / "talk.srt").exists()


SRT = "1\n00:00:00,500 --> 00:00:02,000\nthe harbour\n"


def test_a_collection_that_another_process_has_open_is_waited_for(tmp_path):
    with Watched(tmp_path) as watched:
        (tmp_path / "a.txt").write_text("words")
        watched.wait_for("indexed a.txt")
        program = "import sys, vlm2vec_rag as vr\nwith vr.open(sys.argv[1], 'none'): print('open', flush=True); input()"
        other = [sys.executable, "-c", program, str(watched.place)]
        with subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"open\n"
            (tmp_path / "b.txt").write_text("more words")
            watched.wait_for("waiting ")
            process.communicate(b"\n")
        watched.wait_for("indexed b.txt")


def test_the_collection_s_own_files_do_not_keep_it_busy(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    opened = []
    watched = Watched(tmp_path)
    really = watched.open
    watched.open = lambda: opened.append(1) or really()
    with watched:
        watched.wait_for("indexed a.txt")
        time.sleep(3)
        assert len(opened) == 1
        (tmp_path / "b.txt").write_text("words")
        watched.wait_for("indexed b.txt")
        time.sleep(3)
        assert len(opened) <= 3


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere: no such file or folder to watch"):
        watch([tmp_path / "nowhere"], lambda: pytest.fail("was opened"), print)


def test_what_a_walk_would_read(tmp_path):
    for name in (
        "a.txt",
        ".b.txt",
        "c.part",
        "sub/d.txt",
        ".git/e.txt",
        "s/.lock",
        "s/default/collection.json",
        "s/f.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if takes_up(path, tmp_path))
    assert found == ["a.txt", "sub/d.txt"]
