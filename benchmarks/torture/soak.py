"""Index, edit, search, remove and prune in one process for minutes; memory, open files, threads, disk must not grow."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from corpus import WORDS, Corpus
from forked import Tell, forked
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.collection import Filter, Payload, Point
from vlm2vec_rag.disk import disk_bytes
from vlm2vec_rag.fingerprint import Fingerprint

DIM = 128
VECTORS = 300  # of each round
LOG_MB = 2 * 34  # the engine's log, in pieces of 32 MiB
GROWTH = 1.10  # of memory after the first quarter, at most


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    minutes = 0.05 if short else 4.0
    row = Row(part="soak", what=f"{minutes:g} minutes of indexing, editing, searching, removing", tried=0)
    ended = forked(lambda tell: _soak(folder, seed, minutes * 60, tell))
    if not ended.is_whole:
        row.broke.append(ended.error or ended.signal)
        yield row
        return
    row.broke += ended.result["wrong"]
    row.tried = ended.result["rounds"]
    samples: list[dict[str, float]] = ended.told
    warm = samples[len(samples) // 4 :]
    first, last = warm[0], warm[-1]
    if not short and max(each["memory_mb"] for each in warm[len(warm) // 2 :]) > GROWTH * first["memory_mb"]:
        row.broke.append(f"memory grew from {first['memory_mb']:.0f} to {last['memory_mb']:.0f} MB")
    for what in ("open files", "threads"):
        if last[what] > first[what] + 2:
            row.broke.append(f"{what} grew from {first[what]:.0f} to {last[what]:.0f}")
    disk = ended.result["disk"]
    # disk comes back when the index is built anew, for which the short form has too few points
    if not short and disk["all removed"] > disk["empty"] + LOG_MB:
        row.broke.append(
            f"removing all left {disk['all removed']:.0f} MB on disk, {disk['empty']:.0f} MB when it was new"
        )
    row.found = (
        f"memory {first['memory_mb']:.0f} to {last['memory_mb']:.0f} MB, open files {last['open files']:.0f}, threads "
        f"{last['threads']:.0f}; disk {disk['empty']:.0f} MB new, {disk['full']:.0f} at most, "
        f"{disk['all removed']:.0f} when all was removed"
    )
    yield row


def _soak(folder: Path, seed: int, seconds: float, tell: Tell) -> Any:
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    corpus = Corpus(folder / "files", seed, texts=30, images=5)
    made_with = Fingerprint(model="random", dim=DIM, max_pixels=1_000, frames=1)
    wrong: list[str] = []
    live: dict[str, str] = {}
    rounds = 0
    with (
        vr.open(folder / "library", "none") as library,
        vr.open_collection(folder / "vectors", fingerprint=made_with) as vectors,
    ):
        disk = {"empty": disk_bytes(folder / "vectors") / 1e6, "full": 0.0}
        stop = threading.Event()
        searcher = threading.Thread(target=_search, args=(library, vectors, stop, wrong))
        searcher.start()
        began = sampled = time.monotonic()
        while time.monotonic() - began < seconds:
            rounds += 1
            corpus.edit(4)
            corpus.take_away(3)
            report = library.index(corpus.folder, prune="all")
            there = {path.name for path in corpus.folder.iterdir()}
            if report.failures or {Path(source).name for source in library.sources()} != there:
                wrong.append(f"round {rounds}: {report.failures or 'other files than there are'}")
            vectors.upsert(_points(rng, numbers, live))
            doomed = f"/v/{rng.randrange(20)}/"
            vectors.delete(Filter(paths=(doomed,)))
            for each in [each for each, source in live.items() if source.startswith(doomed)]:
                del live[each]
            if vectors.count() != len(live):
                wrong.append(f"round {rounds}: {vectors.count()} vectors, expected {len(live)}")
            if rounds % 10 == 0:
                vectors.optimize(wait=False)
            disk["full"] = max(disk["full"], disk_bytes(folder / "vectors") / 1e6)
            if time.monotonic() - sampled > seconds / 40:
                sampled = time.monotonic()
                tell(_sample())
        tell(_sample())
        vectors.delete(list(live))
        vectors.flush()
        vectors.optimize()
        stop.set()
        searcher.join()
    with vr.open_collection(folder / "vectors", fingerprint=made_with) as vectors:
        if vectors.count():
            wrong.append(f"{vectors.count()} points came back")
    disk["all removed"] = disk_bytes(folder / "vectors") / 1e6
    return {"rounds": rounds, "wrong": wrong, "disk": disk}


def _points(rng: random.Random, numbers: np.random.Generator, live: dict[str, str]) -> list[Point]:
    made = {}
    for _ in range(VECTORS):
        number = rng.randrange(20_000)
        payload = Payload(
            source=f"/v/{number % 20}/{number}.txt",
            kind="text",
            content_hash=f"{number:064x}",
            text=" ".join(rng.choices(WORDS, k=20)),
        )
        vector = numbers.standard_normal(DIM).astype(np.float32)
        made[payload.id] = Point(id=payload.id, payload=payload, vector=vector)
        live[payload.id] = payload.source
    return list(made.values())


def _search(library: Any, vectors: Any, stop: threading.Event, wrong: list[str]) -> None:
    rng = np.random.default_rng(0)
    while not stop.wait(0.05):
        try:
            library.search(str(rng.choice(WORDS)), mode="bm25")
            vectors.search(rng.standard_normal(DIM), str(rng.choice(WORDS)), limit=10)
        except Exception as error:
            wrong.append(f"a search: {type(error).__name__}: {error}")
            return


def _sample() -> dict[str, float]:
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "memory_mb": int(resident.split()[1]) / 1024,
        "open files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": threading.active_count(),
    }
