"""Damage each kind of file of a collection in a folder: delete, cut, empty, turn bits, write zeros; then use it.

Right is: nothing was lost, or an error that says so. Wrong is: a point lost in silence, a signal, another error. Bits
that turn inside of stored numbers are not seen, and counted as such.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from corpus import snapshot
from forked import forked
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.collection import Payload, Point
from vlm2vec_rag.disk import copy_sparse
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.fingerprint import Fingerprint

DIM, POINTS = 32, 400
UNSEEN = "!in silence none lost,"
WAYS = ("delete", "cut", "empty", "flip", "zero")


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    rng = random.Random(seed)
    good = folder / "good"
    made = forked(lambda tell: _make(good))
    whole = forked(lambda tell: snapshot(good))
    if not (made.is_whole and whole.is_whole):
        raise RuntimeError(made.error or whole.error)
    kinds = _one_of_each_kind(good)
    chosen = rng.sample(kinds, 8) if short else kinds
    for way in WAYS:
        row = Row(part="damage", what=f"{way}, each of {len(kinds)} kinds of files", tried=0)
        outcomes: Counter[str] = Counter()
        chosen = rng.sample(kinds, 1) if short else kinds
        for file in chosen:
            if (good / file).stat().st_size == 0 and way != "delete":
                continue
            place = folder / "spoilt"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(good, place, copy_function=copy_sparse)
            _spoil(place / file, way, rng)
            used = forked(lambda tell, place=place: _use(place))
            row.tried += 1
            told = _judged(used, whole.result)
            if way == "flip" and told.startswith(UNSEEN):
                told = "changed unseen"  # stored numbers have no checksum, and another number is a number, too
            outcomes[told if not told.startswith("!") else "wrong"] += 1
            if told.startswith("!"):
                row.broke.append(f"{_short(file)}: {told[1:]}")
        row.found = ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items()))
        yield row


def _make(place: Path) -> None:
    from vlm2vec_rag.collection.edge import config

    config.INDEXING_THRESHOLD_KB = 20
    numbers = np.random.default_rng(1)
    made_with = Fingerprint(model="random", dim=DIM, max_pixels=1_000, frames=1)
    with vr.open_collection(place, fingerprint=made_with) as collection:
        collection.upsert([_point(number, numbers) for number in range(POINTS)])
        collection.optimize()  # so that there are files of an index, too
        collection.upsert([_point(number, numbers) for number in range(POINTS, POINTS + 50)])


def _point(number: int, numbers: np.random.Generator) -> Point:
    payload = Payload(
        source=f"/v/{number % 9}.txt",
        kind="text",
        content_hash=f"{number:064x}",
        text=f"alpha{number} font",
        file_points=1,
        encoded=True,
    )
    return Point(id=payload.id, payload=payload, vector=numbers.standard_normal(DIM).astype(np.float32))


def _one_of_each_kind(good: Path) -> list[Path]:
    """One file for each name, where numbers and random parts of names are alike."""
    kinds: dict[str, Path] = {}
    for path in sorted(good.rglob("*")):
        if path.is_file():
            file = path.relative_to(good)
            kinds.setdefault(re.sub(r"[0-9a-z]{18,}-\w+|[0-9a-f]{8,}(-[0-9a-f]+)*|\d+", "N", str(file)), file)
    return list(kinds.values())


def _spoil(path: Path, way: str, rng: random.Random) -> None:
    size = path.stat().st_size
    in_use = max(1, min(size, path.stat().st_blocks * 512, 65_536))  # some are long and mostly holes
    match way:
        case "delete":
            path.unlink()
        case "cut":
            os.truncate(path, in_use // 2)
        case "empty":
            path.write_bytes(b"")
        case "flip":
            with path.open("r+b") as file:
                for _ in range(20):
                    at = rng.randrange(in_use)
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1 << rng.randrange(8)]))
        case "zero":
            with path.open("r+b") as file:
                file.write(bytes(in_use))


def _use(place: Path) -> Any:
    """Open, read, search, write and open again; what was there, or the error that said what is wrong."""
    try:
        there = snapshot(place)
        with vr.open_collection(place, create=False) as collection:
            count = collection.count()
            collection.search(text="alpha1 font", mode="bm25", limit=5)
            collection.search(np.ones(DIM), mode="dense", limit=5)
            collection.sources()
            collection.upsert([_point(99_999, np.random.default_rng(2))])
            if collection.count() != count + 1:
                return {"wrong": f"{collection.count()} points after one was added to {count}"}
        with vr.open_collection(place, create=False) as collection:
            if collection.count() != count + 1:
                return {"wrong": f"{collection.count()} points on opening again, there were {count + 1}"}
    except VlmRagError as error:
        return {"error": str(error)}
    return {"there": there}


def _judged(used: Any, whole: Any) -> str:
    """In words; what begins with ! is wrong."""
    if used.signal:
        return f"!ended by {used.signal}"
    if used.error:
        return f"!{used.error}"
    if "error" in used.result:
        return "told by a clear error" if len(used.result["error"]) > 40 else f"!{used.result['error']}"
    if "wrong" in used.result:
        return f"!{used.result['wrong']}"
    there = used.result["there"]
    lost = len(whole.keys() - there.keys())
    changed = sum(there[each] != whole[each] for each in whole.keys() & there.keys())
    if lost or changed:
        return f"{UNSEEN if not lost else f'!in silence {lost} points lost,'} {changed} changed"
    return "harmless"


def _short(file: Path) -> str:
    return "/".join(part if len(part) < 30 else part[:9] + "…" for part in file.parts)
