"""Several at once: two processes on one folder, threads on one library, a fork of a process that has one open."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus import Corpus, differences, snapshot
from forked import forked
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.errors import CollectionError, CollectionLocked


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    corpus = Corpus(folder / "files", seed, texts=30, images=4)
    rounds = 1 if short else 10
    yield _processes(folder, corpus, rounds)
    yield _threads(folder, corpus, rounds)
    yield _forks(folder, corpus, rounds)


def _processes(folder: Path, corpus: Corpus, rounds: int) -> Row:
    """One holds the folder; whoever else comes is told, and may come when it is free again."""
    row = Row(part="together", what="a second process on the folder of the first", tried=0)
    place = folder / "processes"

    def second(tell: object) -> str:
        try:
            with vr.open(place, "none") as library:
                library.index(corpus.folder)
            return "opened"
        except CollectionLocked as error:
            return str(error)

    for _ in range(rounds):
        corpus.edit(10)
        with _holding(place, corpus.folder):
            seen = forked(second)
        after = forked(second)
        row.tried += 1
        if "is open in process" not in str(seen.result):
            row.broke.append(f"the second one was told: {seen.result or seen.error or seen.signal}")
        if after.result != "opened":
            row.broke.append(f"when it was free: {after.result or after.error or after.signal}")
    row.found = "told which process has it, and let in afterwards"
    return row


@contextmanager
def _holding(place: Path, files: Path) -> Iterator[None]:
    """A process that has the folder open, and indexes into it when the block ends."""
    opened, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with vr.open(place, "none") as library:
                os.write(opened[1], b"o")
                os.read(go[0], 1)
                library.index(files)
        finally:
            os._exit(0)
    os.read(opened[0], 1)
    try:
        yield
    finally:
        os.write(go[1], b"g")
        os.waitpid(pid, 0)
        for each in (*opened, *go):
            os.close(each)


def _threads(folder: Path, corpus: Corpus, rounds: int) -> Row:
    """One library, searched, counted and listed by some threads while others index, remove and index again."""
    row = Row(part="together", what="threads: 2 write, 4 search, list and count", tried=0)

    def work(tell: object) -> Counter[str]:
        done: Counter[str] = Counter()
        with vr.open(folder / "threads", "none") as library:
            stop = threading.Event()

            def read() -> None:
                while not stop.wait(0.01):  # or nobody else has a turn
                    try:
                        library.search("word1 word2 word3", mode="bm25", limit=5)
                        library.sources()
                        library.collection.count()
                        done["reads"] += 1
                    except Exception as error:
                        done[f"!{type(error).__name__}: {error}"] += 1

            def write(names: list[Path]) -> None:
                for _ in range(min(rounds, 4)):
                    try:
                        library.index(names)
                        library.remove([each.name for each in names[:3]])
                        library.index(names)
                        done["writes"] += 1
                    except Exception as error:
                        done[f"!{type(error).__name__}: {error}"] += 1

            files = sorted(corpus.folder.iterdir())
            readers = [threading.Thread(target=read) for _ in range(4)]
            writers = [threading.Thread(target=write, args=(files[at::2],)) for at in range(2)]
            for each in (*readers, *writers):
                each.start()
            for each in writers:
                each.join()
            stop.set()
            for each in readers:
                each.join()
        return done

    ended = forked(work)
    done: Counter[str] = ended.result or Counter()
    row.tried = done["reads"] + done["writes"]
    row.broke += [f"{count} times {what[1:]}" for what, count in done.items() if what.startswith("!")]
    if not ended.is_whole:
        row.broke.append(ended.error or ended.signal)
    fresh = forked(lambda tell: _fresh(folder / "threads-fresh", corpus.folder)).result
    if apart := differences(fresh, forked(lambda tell: snapshot(folder / "threads")).result or {}):
        row.broke.append(f"against one thread alone: {apart}")
    row.found = f"{done['reads']} rounds of reading during {done['writes']} of writing"
    return row


def _forks(folder: Path, corpus: Corpus, rounds: int) -> Row:
    """A child of a process that has a collection open is told to open its own; the parent goes on."""
    row = Row(part="together", what="a fork of a process with an open library", tried=0)

    def parent(tell: object) -> list[str]:
        wrong = []
        with vr.open(folder / "forks", "none") as library:
            library.index(corpus.folder)
            before = library.collection.count()

            def child(tell: object) -> str:
                try:
                    library.search("word1", mode="bm25")
                except CollectionError as error:
                    return str(error)
                return "searched"

            for _ in range(rounds):
                said = forked(child)
                if "before this process was forked" not in str(said.result):
                    wrong.append(f"the child: {said.result or said.error or said.signal}")
                if library.collection.count() != before or not library.search("word1", mode="bm25"):
                    wrong.append("the parent does not go on")
        return wrong

    ended = forked(parent)
    row.tried = rounds
    row.broke += ended.result or []
    if not ended.is_whole:
        row.broke.append(ended.error or ended.signal)
    row.found = "told to open it after forking; the parent goes on"
    return row


def _fresh(place: Path, files: Path) -> object:
    with vr.open(place, "none") as library:
        library.index(files)
    return snapshot(place)
