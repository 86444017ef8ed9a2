"""What the commands print: names, titles, words and errors of files never act on a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys

import pytest
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from vlm2vec_rag.cli import main
from vlm2vec_rag.cli.console import SafeConsole, SafeFormatter
from vlm2vec_rag.terminal import displayable

NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\x08\x7f\udce9 end"
# all that may reach a terminal besides text: colours and the progress bar's own movements
OWN = re.compile(r"\x1b\[[0-9;?]*[mKAhl]")


def is_safe(text: str) -> bool:
    return not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", OWN.sub("", text))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_that_is_printed_acts_on_a_terminal(is_terminal):
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=is_terminal, width=200)
    console.print(f"[bold]{escape(NASTY)}[/bold]")
    console.print(NASTY, markup=False, style="red")
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY)
    console.print(table)
    with Progress(console=console) as progress:
        progress.add_task(escape(NASTY), total=1)
        progress.console.print(f"[red]{escape(NASTY)}[/red]")
    shown = file.getvalue()
    assert shown.count("owned") >= 5 and is_safe(shown)
    assert "\\x1b]0;owned" in shown and ("\x1b[1m" in shown) == is_terminal


def test_what_is_logged_does_not_either():
    record = logging.LogRecord("a", logging.INFO, "", 0, "read %s", (NASTY,), None)
    assert is_safe(SafeFormatter("%(name)s: %(message)s").format(record))


def test_text_stays_as_it_is():
    words = "Größe 日本語 עברית\u200f 👍🏽\u200d ½\ttab\nline"
    assert displayable(words) == words
    assert displayable("caf\udce9\ud800\x85") == "caf\\xe9\\ud800\\x85"


TITLE = "Engines \x1b[31mred\x9b2J\u202e"


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a\x1b]0;owned\x07b.md").write_text(f"# {TITLE}\n\nSteam \x1b[2J engines.\n")
    (folder / "cut\x1b[2J.pdf").write_bytes(b"%PDF-1.7 nothing")
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command line; gives all that it printed."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["vlm2vec-rag", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            main()
        return "".join(capsys.readouterr())

    return run


def test_no_command_lets_a_file_act_on_a_terminal(run, place, tmp_path):
    collection = tmp_path / "c.vlm2vec"
    outputs = [
        run("index", place, "-c", collection, "--model", "none"),
        run("list", "-c", collection),
        run("search", "engines", "-c", collection),
        run("ask", "engines", "-c", collection),
        run("info", "-c", collection),
        run("remove", "nowhere\x1b[2J", "-c", collection),
        run("index", tmp_path / "no\x1b[2Jwhere", "-c", collection),
        run("-v", "index", place, "-c", collection),
    ]
    assert all(is_safe(output) for output in outputs), outputs
    assert "1 failed" in outputs[0] and "\\x1b]0;owned" in outputs[1] + outputs[2]
    for output in (run("list", "--json", "-c", collection), run("search", "engines", "--json", "-c", collection)):
        assert is_safe(output)
        [found] = [json.loads(line) for line in output.splitlines()]
        assert found["source"].endswith("a\x1b]0;owned\x07b.md")
