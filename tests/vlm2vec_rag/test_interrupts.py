"""Ctrl-C and SIGTERM end a command with one line and status 130 or 143, also where its code does not come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pdf_bombs
import pytest

from vlm2vec_rag import samples
from vlm2vec_rag.interrupts import handled, keeping, seen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")

COMMAND = """
    import os, signal, sys, threading, time, typer
    from vlm2vec_rag import interrupts

    app = typer.Typer(cls=interrupts.Group)

    @app.callback()
    def common(): ...

    @app.command()
    def work():
        with interrupts.keeping(lambda: "41 items kept; the same command goes on"):
            {work}

    with interrupts.handled():
        app()
"""


def run(work: str) -> subprocess.CompletedProcess[str]:
    """A command that does this; it ends by itself, or the test never does."""
    code = textwrap.dedent(COMMAND).format(work=textwrap.indent(textwrap.dedent(work), " " * 8).strip())
    return subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(3600)", 130),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(3600)", 143),
        # a library that makes an error of its own of it
        (
            """
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(3600)
            except KeyboardInterrupt as error:
                raise RuntimeError("cannot import torch") from error
            """,
            130,
        ),
        # and one that does not come back at all
        (
            """
            while True:
                try:
                    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start() if not interrupts.seen() else 0
                    threading.Event().wait()
                except KeyboardInterrupt:
                    pass
            """,
            143,
        ),
        # the second one at once, however patient
        (
            """
            interrupts.PATIENCE_S = 3600
            for _ in range(2):
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                    threading.Event().wait(1)
                except KeyboardInterrupt:
                    pass
            threading.Event().wait()
            """,
            130,
        ),
        # what takes its own time is not hurried, and a second signal ends it
        (
            """
            interrupts.PATIENCE_S = 0
            signal.signal(signal.SIGINT, lambda *_: None)
            with interrupts.unhurried():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)
                print("still here", flush=True)
                os.kill(os.getpid(), signal.SIGINT)
                threading.Event().wait()
            """,
            130,
        ),
    ],
    ids=["int", "term", "other error", "never back", "twice", "unhurried"],
)
def test_a_command_ends_with_its_line_and_status(work, status):
    done = run(work)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines in (["interrupted: 41 items kept; the same command goes on"], ["interrupted"]), lines
    assert done.stdout == ("still here\n" if "still here" in work else "")


def test_after_a_block_without_a_signal_all_is_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with handled(), keeping(lambda: "all"):
        assert signal.getsignal(signal.SIGTERM) is not before and seen() is None
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_indexing_ends_in_the_middle_of_a_page_and_leaves_nothing_running(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_bytes((samples.folder() / "big-buck-bunny.srt").read_bytes())
    pdf_bombs.nested_forms(files / "b.pdf")  # takes days
    code = (
        "from vlm2vec_rag.media import MediaLimits; MediaLimits.__init__.__kwdefaults__['seconds_per_item'] = 3600\n"
        "from vlm2vec_rag.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "index", str(files), "-c", str(tmp_path / "c"), "--model", "none"]
    process = subprocess.Popen([*command, "--pdf-engine", "pypdfium2"], stderr=subprocess.PIPE, text=True)
    while not (busy := [each for each in _children(process.pid) if _seconds(each) > 1]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "Traceback" not in said
    assert said.strip().splitlines()[-1].endswith("items kept; the same command goes on")
    for worker in busy:
        while Path(f"/proc/{worker}").exists():
            time.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(each) for each in task.read_text().split()]
    return found


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
