"""What people type means the same in every face: one table of filters, run through each of them."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

import vlm2vec_rag as vr
from vlm2vec_rag.collection import Filter
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.library.asking import build_filter, build_query, source_path, span

NAMES = ("espresso.jpg", "latexsheet.pdf", "big-buck-bunny.mp4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Notes, a report in a folder, a name with a comma and one with brackets; written on two days."""
    folder = tmp_path_factory.mktemp("files").resolve()
    (folder / "reports").mkdir()
    for name in ("notes.md", "reports/report.md", "reports/a, b.md", "plan [final].md"):
        (folder / name).write_text(f"# {name}\n\nviolin\n")
    day = datetime(2026, 3, 1, 12).timestamp()
    os.utime(folder / "notes.md", (day, day))
    return folder


@pytest.fixture(scope="module")
def place(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("library") / "c"
    with vr.open(place, "none") as library:
        library.index(folder)
    return place


ALL = {"notes.md", "report.md", "a, b.md", "plan [final].md"}
TABLE = [
    ({}, ALL),
    ({"kind": "text"}, ALL),
    ({"kind": "page"}, set()),
    ({"kind": "page,text"}, ALL),
    ({"source": "notes.md"}, {"notes.md"}),
    ({"source": "report.md"}, {"report.md"}),
    ({"source": "reports/"}, {"report.md", "a, b.md"}),
    ({"source": "*.md"}, ALL),
    ({"source": "re*.md"}, {"report.md"}),
    ({"source": "reports/*.md"}, {"report.md", "a, b.md"}),
    ({"source": "reports*"}, set()),
    ({"source": "a, b.md"}, {"a, b.md"}),
    ({"source": "plan [final].md"}, {"plan [final].md"}),
    ({"source": "nothing.pdf"}, set()),
    ({"until": "2026-03-01"}, {"notes.md"}),
    ({"until": "2026-02-28"}, set()),
    ({"since": "2026-03-02"}, ALL - {"notes.md"}),
    ({"since": "2026-03-01", "source": "notes.md"}, {"notes.md"}),
    ({"pages": "3-9"}, set()),
]


def names(sources):
    return {source.rpartition("/")[2] for source in sources}


@pytest.mark.parametrize(("typed", "found"), TABLE, ids=[str(each[0]) for each in TABLE])
def test_the_library_understands_them(place, folder, monkeypatch, typed, found):
    monkeypatch.chdir(folder)
    with vr.open(place) as library:
        assert names(hit.source for hit in library.search("violin", filter=typed)) == found


def test_the_command_line_understands_them(place, folder):
    """All of the table in one process, since each start costs."""
    code = (
        "import json, sys\nfrom typer.testing import CliRunner\nfrom vlm2vec_rag.cli.app import app\n"
        "for options in json.loads(sys.argv[1]):\n"
        "    done = CliRunner().invoke(app, ['search', 'violin', '-c', sys.argv[2], '--json', *options])\n"
        "    print(json.dumps([json.loads(line)['source'] for line in done.stdout.splitlines()]))\n"
    )
    options = [
        [part for name, value in typed.items() for one in [value] for part in (f"--{name}", one)]
        for typed, _ in TABLE
        if typed.get("kind") != "page,text"  # there a kind is given twice
    ]
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(options), str(place)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    wanted = [found for typed, found in TABLE if typed.get("kind") != "page,text"]
    assert [names(json.loads(line)) for line in ran.stdout.splitlines()] == wanted


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"kind": "pdf"}, r"kind 'pdf' is not one of"),
        ({"source": ""}, None),
        ({"source": ["."]}, r"the source '\.' names no file"),
        ({"source": [" "]}, r"the source ' ' names no file"),
        ({"source": ["./"]}, r"names no file"),
        ({"pages": "a-b"}, r"pages 'a-b' is no range"),
        ({"pages": "3-1"}, r"pages '3-1' ends before it begins"),
        ({"pages": "1.5"}, r"pages '1.5' holds a fraction"),
        ({"time": "-"}, r"time '-' is no range"),
        ({"since": "yesterday"}, r"since 'yesterday' is no date"),
        ({"author": "Ada"}, r"no filter is called 'author'; expected some of kind, source"),
    ],
)
def test_what_cannot_be_understood_is_said(place, typed, message):
    with vr.open(place) as library:
        if message is None:  # nothing typed is no filter
            assert len(library.search("violin", filter=typed)) == 4
            return
        with pytest.raises(InvalidInput, match=message):
            library.search("violin", filter=typed)


def test_ranges_and_clock_times():
    assert [span(text, "pages") for text in ("12", "3-9", "40-", "-9")] == [(12, 12), (3, 9), (40, None), (None, 9)]
    assert [span(text, "time") for text in ("1:00-1:30", "1:02:03-", "90")] == [(60, 90), (3723, None), (90, 90)]
    assert build_filter(pages=(3, None), time=2.5) == Filter(pages=(3, None), times_s=(2.5, 2.5))


def test_a_name_that_is_not_here_matches_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.md").write_text("x")
    assert source_path("here.md") == (tmp_path / "here.md").as_posix()
    assert source_path("elsewhere.md") == "**/elsewhere.md"
    assert source_path("https://host/a.pdf") == "https://host/a.pdf"


def test_a_string_is_words_and_never_opened(tmp_path):
    (tmp_path / "secret.md").write_text("x")
    assert build_query(str(tmp_path / "secret.md")).text == str(tmp_path / "secret.md")
    with pytest.raises(InvalidInput, match="is an address, and none is fetched"):
        build_query(image="https://host/cat.jpg", reader=object())
    with pytest.raises(EmptyInput):
        build_query("  ")
