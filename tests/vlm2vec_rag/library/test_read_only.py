"""A library that its user can only read is searched, listed, asked, served and shown; what would write says why not."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from permissions import as_nobody, open_folder

import vlm2vec_rag as vr
from vlm2vec_rag import samples
from vlm2vec_rag.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")


@pytest.fixture(scope="module")
def place():
    """A library of a photograph and a text, which nobody may write to."""
    with open_folder() as folder:
        files = folder / "files"
        files.mkdir()
        shutil.copy(samples.folder() / "espresso.jpg", files)
        (files / "notes.md").write_text("# Violins\n\nNotes on the violin.\n")
        with vr.open(folder / "library", "none") as library:
            assert library.index(files).indexed == 2
        for each in (folder, *folder.rglob("*")):
            each.chmod(0o555 if each.is_dir() else 0o444)
        before = _state(folder)
        yield folder / "library"
        assert _state(folder) == before
        for each in (folder, *folder.rglob("*")):
            each.chmod(0o700)


def _state(folder: Path) -> dict[str, int]:
    return {str(each): each.stat().st_mtime_ns for each in folder.rglob("*")}


@pytest.fixture(autouse=True)
def room_for_copies(monkeypatch):
    """Temporary files of a user without rights."""
    with open_folder() as folder:
        folder.chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture
def run(capsys, monkeypatch, place):
    """A command line as a user without rights gives it: status, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vlm2vec-rag", *map(str, arguments), "-c", str(place)])
        monkeypatch.setenv("COLUMNS", "200")
        with as_nobody(), pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["list"], "notes.md"),
        (["info"], "2 files as 2 items"),
        (["search", "violin"], "notes.md"),
        (["ask", "violin"], "Notes on the violin"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_it_is_searched_listed_asked_and_shown(run, arguments, shown):
    status, out, error = run(*arguments)
    assert status == 0 and shown in out, error


@pytest.mark.parametrize("arguments", [["index", samples.folder() / "cat.jpg"], ["remove", "notes.md"], ["reindex"]])
def test_what_would_write_is_refused_in_one_line(run, arguments):
    status, out, error = run(*arguments)  # and before anything is read or encoded
    assert status == 1 and out == "" and "Traceback" not in error
    assert "can only be read" in error and "copy it to a folder of your own" in error


def test_it_is_served_and_takes_no_uploads(place):
    from starlette.testclient import TestClient

    from vlm2vec_rag.serve.app import build_app
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

    settings = ServeSettings()
    with as_nobody(), vr.open(place) as library:
        served = Served("default", library, settings)
        with TestClient(build_app([served], settings), base_url="http://127.0.0.1:7860") as client:
            assert "notes.md" in client.post("/api/search", json={"query": "violin"}).text
            assert "violin" in client.get("/search?q=violin").text
            health = client.get("/health").json()
            assert health["status"] == "warning" and "it can only be read" in str(health)
            refused = client.post("/api/upload", files={"files": ("a.txt", b"words of a")})
            assert refused.status_code >= 400 and "cannot keep uploads" in refused.text
        served.close()
