"""Which version of a file is here: over everything that is read, and nothing but regular files within the limits."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import threading
from pathlib import Path

import pytest
from permissions import as_nobody, open_folder
from PIL import Image

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaLimits, file_version

VIDEO = b"\x1a\x45\xdf\xa3" + bytes(60)


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("words " * 1_000_000)
    assert file_version(path).hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_subtitle_files_belong_to_the_version_of_a_video(tmp_path):
    video = tmp_path / "talk.mkv"
    video.write_bytes(VIDEO)
    seen = [file_version(video).hash]
    assert seen[0] == hashlib.sha256(VIDEO).hexdigest()
    for name, words in (("talk.srt", "one"), ("talk.srt", "two"), ("talk.de.vtt", "two"), ("other.srt", "x")):
        (tmp_path / name).write_text(words)
        seen.append(file_version(video).hash)
    (tmp_path / "talk.de.vtt").rename(tmp_path / "talk.fr.vtt")
    seen.append(file_version(video).hash)
    # each change makes another version, but for the file of another video
    assert [one == two for one, two in itertools.pairwise(seen)] == [False, False, False, True, False]
    (tmp_path / "talk.srt").unlink()
    (tmp_path / "talk.fr.vtt").unlink()
    assert file_version(video).hash == seen[0]


def test_a_pdf_knows_no_subtitles(tmp_path):
    (tmp_path / "talk.pdf").write_bytes(b"%PDF-1.7")
    before = file_version(tmp_path / "talk.pdf").hash
    (tmp_path / "talk.srt").write_text("words")
    assert file_version(tmp_path / "talk.pdf").hash == before


def test_what_is_written_meanwhile_is_told(tmp_path):
    for name in ("film.mkv", "film.srt"):
        (tmp_path / name).write_bytes(VIDEO)
    version = file_version(tmp_path / "film.mkv")
    assert version.is_current()
    (tmp_path / "film.srt").write_text("other words")
    assert not version.is_current()
    version = file_version(tmp_path / "film.mkv")
    (tmp_path / "film.mkv").unlink()
    assert not version.is_current()


def test_a_file_that_grows_while_it_is_hashed_has_an_end(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.write_text("line\n" * 1_000_000)
    real = hashlib.sha256

    class Growing:
        """Appends more than was read each time, as a busy log does."""

        def __init__(self) -> None:
            self._digest = real()

        def update(self, block: bytes) -> None:
            self._digest.update(block)
            with path.open("ab") as file:
                file.write(block * 2)

    monkeypatch.setattr("vlm2vec_rag.media.version.hashlib.sha256", Growing)
    with pytest.raises(UnreadableMedia, match=r"log.txt: is being written to; index it again when that is done"):
        file_version(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_pipes_sockets_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pdf")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.pdf"))
    with listener:
        for path in (tmp_path / "pipe.pdf", tmp_path / "s.pdf", Path("/dev/zero")):
            with pytest.raises(UnsupportedMedia, match="is a pipe, socket or device, expected a file"):
                file_version(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("words")
    from vlm2vec_rag.media import version

    real = version.sniff

    def swap(path):
        sniffed = real(path)
        path.unlink()
        os.mkfifo(path)
        return sniffed

    monkeypatch.setattr(version, "sniff", swap)
    done = []

    def read() -> None:
        with pytest.raises(UnreadableMedia, match=r"a.txt: is no longer a file"):
            file_version(path)
        done.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)
    assert done


def test_limits_are_looked_at_before_a_byte_is_hashed(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("words")
    with (tmp_path / "a.png").open("ab") as file:
        file.truncate(2**40)  # a terabyte of nothing
    monkeypatch.setattr("vlm2vec_rag.media.version._hash", lambda *_: pytest.fail("was hashed"))
    with pytest.raises(MediaLimit, match=r"a.png: has 1099511627776 bytes, the limit is \d+; .*limits.file_bytes"):
        file_version(tmp_path / "a.png")
    with pytest.raises(MediaLimit, match=r"a.txt: has 5 bytes, the limit is 4; .*limits.text_bytes"):
        file_version(tmp_path / "a.txt", MediaLimits(text_bytes=4))


def test_a_huge_subtitle_file_is_not_hashed_either(tmp_path):
    (tmp_path / "film.mkv").write_bytes(VIDEO)
    with (tmp_path / "film.srt").open("wb") as file:
        file.truncate(2**40)
    assert file_version(tmp_path / "film.mkv").hash


def test_what_may_not_be_read_is_named():
    with open_folder() as folder:
        for name in ("film.mkv", "film.srt", "shut.mkv"):
            (folder / name).write_bytes(VIDEO)
        (folder / "film.srt").chmod(0)
        (folder / "shut.mkv").chmod(0)
        (folder / "film.mkv").chmod(0o644)
        with as_nobody():
            assert file_version(folder / "film.mkv").hash
            with pytest.raises(UnreadableMedia, match=r"shut.mkv: may not be read; check its permissions"):
                file_version(folder / "shut.mkv")
