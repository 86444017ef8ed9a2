"""Ctrl-C, SIGTERM and a second Ctrl-C in every state of every command: how long until it has ended, and what is left.

Each state is reached by an event, never by waiting: something printed, a child at work, a file that appeared.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pdf_bombs
from corpus import Corpus
from report import Row

LONGEST_S = 2.0  # on a machine that has a core to spare
MAIN = "from vlm2vec_rag.cli import main; main()"
FINETUNE = "from vlm2vec_finetune.cli import main; main()"

IsThere: TypeAlias = "Callable[[subprocess.Popen[str], Path], bool]"


@dataclass
class State:
    """A command in the middle of something."""

    name: str
    command: list[str]
    is_there: IsThere
    before: str = ""  # Python, run in front of the command
    program: str = MAIN


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    for state in itertools.islice(_states(folder, seed), 1 if short else None):
        row = Row(part="interrupts", what=state.name, tried=0)
        seen = []
        for name, numbers in (
            ("Ctrl-C", [signal.SIGINT]),
            ("SIGTERM", [signal.SIGTERM]),
            ("twice", [signal.SIGINT] * 2),
        ):
            if short and name != "Ctrl-C":
                continue
            row.tried += 1
            # how long it takes is judged where nothing else runs, not in a test
            seen.append(_one(state, numbers, name, folder / "log", row, longest_s=120.0 if short else LONGEST_S))
        row.found = ", ".join(seen)
        yield row


def _left(family: list[int]) -> list[int]:
    return [each for each in family if Path(f"/proc/{each}").exists() and not _is_zombie(each)]


def _one(state: State, numbers: list[signal.Signals], name: str, log: Path, row: Row, *, longest_s: float) -> str:
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{state.before}\n{state.program}", *state.command],
            stdout=written,
            stderr=written,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    limit_s = time.monotonic() + 120
    while not state.is_there(process, log):
        if process.poll() is not None or time.monotonic() > limit_s:
            process.kill()
            row.broke.append(f"{name}: the state was not reached: {log.read_text()[-300:]!r}")
            return f"{name} not reached"
        time.sleep(0.02)
    family = _descendants(process.pid)
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.05 if len(numbers) > 1 else 0)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        row.broke.append(f"{name}: it did not end within 60 s")
    took_s = time.monotonic() - began
    ends_s = time.monotonic() + 30
    while (left := _left(family)) and time.monotonic() < ends_s:  # the system takes its time to end them
        time.sleep(0.1)
    said = log.read_text()
    if took_s > longest_s:
        row.broke.append(f"{name}: {took_s:.1f} s")
    if process.returncode != 128 + numbers[0]:
        row.broke.append(f"{name}: exit status {process.returncode}: {said[-200:]!r}")
    if "Traceback" in said:
        row.broke.append(f"{name}: a traceback: {said[-300:]!r}")
    if left:
        row.broke.append(f"{name}: {len(left)} processes left")
    if process.stdin:
        process.stdin.close()
    return f"{name} {took_s:.1f} s"


def _states(folder: Path, seed: int) -> Iterator[State]:
    """One after the other, so that what the later ones need is only made where they are asked for."""
    slow, corpus = folder / "slow", Corpus(folder / "files", seed, texts=60, images=5)
    slow.mkdir(exist_ok=True)
    pdf_bombs.nested_forms(slow / "days.pdf")
    (slow / "a.txt").write_text("words")
    files, place, copied, demo = str(corpus.folder), folder / "place", folder / "copied", folder / "demo"
    words, into = ["--model", "none"], ["-c", str(place)]
    fresh = (
        f"import shutil\nfor each in {[str(place), str(copied), str(demo)]}: shutil.rmtree(each, ignore_errors=True)\n"
    )

    def state(name: str, command: list[str], is_there: IsThere, before: str = "", **more: Any) -> State:
        return State(name, command, is_there, fresh + before, **more)

    page = ["index", str(slow), *into, *words, "--pdf-engine", "pypdfium2"]
    yield state("index, in the middle of a page", page, _worker_busy)
    yield state("index, committing", ["index", files, *into, *words], _at_work, _COMMITTING)
    yield state("watch", ["watch", files, *into, *words], _indexed_one)
    yield state("demo", ["demo", "-c", str(demo), *words], _worker_there)
    worded, indexed, nano = folder / "words", folder / "nano", ["--model", "nano", "--device", "cpu"]
    _done(["index", files, "-c", str(worded), *words])
    yield state("ask, at the prompt", ["ask", "-i", "-c", str(worded)], _prompt)
    yield state("copy", ["copy", str(worded), str(copied)], _at_work, _SLOW_COPY)
    _done(["index", files, "-c", str(indexed), *nano])
    yield state("search, while the model loads", ["search", "words", "-c", str(indexed)], _at_work, _LOADING)
    yield state("ask, while the model loads", ["ask", "words", "-c", str(indexed)], _at_work, _LOADING)
    yield state("index, importing torch", ["index", files, *into, *nano], _importing)
    yield state("index, embedding", ["index", files, *into, *nano], _at_work, _EMBEDDING)
    yield state("index, building the search index", ["index", files, *into, *nano], _building, _OPTIMISES)
    yield state("reindex, embedding", ["reindex", "-c", str(indexed), "--device", "cpu"], _at_work, _EMBEDDING)
    yield state("serve", ["serve", "-c", str(indexed), "--port", str(_free_port())], _serves)
    queries = folder / "queries.jsonl"
    measure = ["eval", "-c", str(indexed), "--queries", str(queries), "-o", str(folder / "eval")]
    queries.unlink(missing_ok=True)
    _done([*measure, "--make-queries"])
    yield state("eval, over a collection", [*measure, "--device", "cpu"], _at_work, _EMBEDDING)
    pairs = ["pairs", str(slow), "-o", str(folder / "pairs")]
    yield state("finetune pairs, in the middle of a page", pairs, _worker_busy, program=FINETUNE)


def _done(command: list[str]) -> None:
    subprocess.run([sys.executable, "-c", MAIN, *command], check=True, capture_output=True)


# deep in a forward pass that takes all day
_EMBEDDING = (
    "import time\nfrom vlm2vec_rag.encoder.local import LocalEncoder\n"
    "def encode(self, items, **_):\n    print('AT WORK', flush=True)\n    time.sleep(3600)\n"
    "LocalEncoder.encode_items = LocalEncoder.encode_queries = encode\n"
)
_LOADING = (
    "import time, vlm2vec_rag.encoder.shared as shared\n"
    "def load(*_, **__):\n    print('AT WORK', flush=True)\n    time.sleep(3600)\n"
    "shared.load_encoder = load\n"
)
_COMMITTING = (
    "import time, vlm2vec_rag.collection.collection as c\nold = c.Collection.upsert\n"
    "def upsert(self, points):\n    old(self, points)\n    print('AT WORK', flush=True)\n    time.sleep(3600)\n"
    "c.Collection.upsert = upsert\n"
)
_OPTIMISES = (
    "from vlm2vec_rag.collection.edge import building, config, shard\nconfig.INDEXING_THRESHOLD_KB = 1\n"
    "import pathlib, tempfile\nslow = pathlib.Path(tempfile.mkdtemp()) / 'build_index.py'\n"
    "slow.write_text('import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\\nwhile True: pass')\n"
    "building.PROGRAM = slow\n"
)
_SLOW_COPY = (
    "import time, vlm2vec_rag.collection.copying as c\nold = c._batches\n"
    "def batches(*a):\n    for each in old(*a):\n        print('AT WORK', flush=True)\n        time.sleep(3600)\n"
    "        yield each\n"
    "c._batches = batches"
)


def _at_work(process: subprocess.Popen[str], log: Path) -> bool:
    return "AT WORK" in log.read_text()


def _serves(process: subprocess.Popen[str], log: Path) -> bool:
    import urllib.error
    import urllib.request

    if "serving" not in log.read_text():
        return False
    address = log.read_text().split(" at ")[1].split(";")[0].split()[0]
    try:
        urllib.request.urlopen(f"{address}/health", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _prompt(process: subprocess.Popen[str], log: Path) -> bool:
    return "> " in log.read_text()


def _indexed_one(process: subprocess.Popen[str], log: Path) -> bool:
    return "indexed" in log.read_text()


def _worker_busy(process: subprocess.Popen[str], log: Path) -> bool:
    return any(_seconds(each) > 1.0 for each in _descendants(process.pid))


def _worker_there(process: subprocess.Popen[str], log: Path) -> bool:
    return bool(_descendants(process.pid))


def _building(process: subprocess.Popen[str], log: Path) -> bool:
    return any("build_index" in _command_line(each) for each in _descendants(process.pid))


def _importing(process: subprocess.Popen[str], log: Path) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return False


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for each in map(int, task.read_text().split()):
                found += [each, *_descendants(each)]
        except OSError:
            continue
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
