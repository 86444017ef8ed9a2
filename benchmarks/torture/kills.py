"""Kill it at random moments while it indexes, removes, prunes, embeds anew and builds its search index, and go on.

At the end of each trial the collection must be the one that an undisturbed run makes: the same points, payloads and
vectors. In between nothing that was acknowledged may be missing.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Corpus, Snapshot, differences, last_bits, snapshot
from forked import Tell, forked, moments
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.collection import Filter, Payload, Point
from vlm2vec_rag.disk import copy_sparse
from vlm2vec_rag.fingerprint import Fingerprint

Work = Callable[[Tell], Any]


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    each = 1 if short else 5
    models: dict[str, Any] = {"words": "none"}
    if not short:
        models["nano"] = vr.load_encoder("nano", device="cpu", dtype="float32")  # once: the forks have it
    for name, model in models.items():
        texts, images = (12, 2) if short else (40, 6) if name == "words" else (8, 5)
        trials = Trials(folder / name, model, seed, texts=texts, images=images)
        for operation in ("index", "prune") if short else ("index", "remove", "prune", "reindex"):
            yield trials.of(operation, each)
    yield _optimise(folder / "vectors", seed, 2 * each)


class Trials:
    """One collection that is changed, killed in the middle, and gone on with, over and over."""

    def __init__(self, folder: Path, model: Any, seed: int, *, texts: int, images: int) -> None:
        self.folder, self.model, self.rng = folder, model, random.Random(seed)
        self.name = "words" if model == "none" else "nano"
        self.corpus = Corpus(folder / "files", seed, texts=texts, images=images)
        self.place = folder / "collection"
        self.longest_s: dict[str, float] = {}

    def of(self, operation: str, count: int) -> Row:
        """So many kills in the middle of one operation."""
        row = Row(part="kills", what=f"{operation}, {self.name}", tried=0)
        in_time = rounded = vectors = 0
        for _ in range(count):
            shutil.rmtree(self.place, ignore_errors=True)
            self._must(self._index(self.place))
            work, wanted = self._prepare(operation)
            if operation not in self.longest_s:  # how long it takes where nothing disturbs it
                beside = self.folder / "beside"
                shutil.rmtree(beside, ignore_errors=True)
                shutil.copytree(self.place, beside, copy_function=copy_sparse)
                self.longest_s[operation] = self._must(work(beside)).seconds
            [moment] = moments(self.rng, 1, self.longest_s[operation])
            ended = forked(work(self.place), kill_after_s=moment)
            row.tried += 1
            in_time += ended.is_killed
            if ended.error:
                row.broke.append(f"before the kill at {moment:.2f} s: {ended.error}")
            row.broke += self._lost(ended.told)
            went_on = forked(work(self.place))
            if not went_on.is_whole:
                row.broke.append(f"killed at {moment:.2f} s, it does not go on: {went_on.error or went_on.signal}")
                continue
            got = self._must(self._snapshot(self.place)).result
            rounded += last_bits(wanted, got)
            vectors += sum(vector is not None for _, vector in got.values())
            if apart := differences(wanted, got):
                row.broke.append(f"killed at {moment:.2f} s, gone on with: {apart}")
            if left := [each.name for each in (self.place / "default").iterdir() if each.name.endswith(".new")]:
                row.broke.append(f"left over: {left}")
        longest = self.longest_s.get(operation, 0.0)
        row.found = f"{in_time} in the middle of {longest:.1f} s; the same points"
        if vectors:
            row.found += f"; vectors bit for bit but {rounded} of {vectors}, which differ in their last bits"
        return row

    def _prepare(self, operation: str) -> tuple[Callable[[Path], Work], Snapshot]:
        """Change the files; what to do about it, and what must come of it."""
        if operation == "remove":
            gone = self.rng.sample([each.name for each in self.corpus.folder.iterdir()], 5)
            wanted = self._fresh(without=gone)
            return (lambda place: lambda tell: self._remove(place, gone)), wanted
        if operation == "prune":
            self.corpus.take_away(4)
            wanted = self._fresh()
            return (lambda place: lambda tell: self._indexed(place, tell, prune="all")), wanted
        if operation == "reindex":
            wanted = self._fresh()
            return (lambda place: lambda tell: self._reindex(place, tell)), wanted
        self.corpus.edit(len(self.corpus.names) // 2)
        wanted = self._fresh()
        return self._index, wanted

    def _fresh(self, without: Any = ()) -> Snapshot:
        """What an undisturbed run over the files as they are makes."""
        place = self.folder / "fresh"
        shutil.rmtree(place, ignore_errors=True)
        self._must(self._index(place))
        if without:
            self._must(lambda tell: self._remove(place, without))
        result: Snapshot = self._must(self._snapshot(place)).result
        return result

    def _index(self, place: Path) -> Work:
        return lambda tell: self._indexed(place, tell)

    def _indexed(self, place: Path, tell: Tell, **settings: Any) -> None:
        with vr.open(place, self.model) as library:
            report = library.index(self.corpus.folder, callback=_Telling(tell), **settings)
            if report.failures:
                raise RuntimeError(report.failures[0].reason)

    def _remove(self, place: Path, names: list[str]) -> None:
        with vr.open(place) as library:
            there = {Path(source).name for source in library.sources()}
            if left := [name for name in names if name in there]:
                library.remove(left)

    def _reindex(self, place: Path, tell: Tell) -> None:
        with vr.open(place, self.model) as library:
            report = library.reindex()
            if report.failures:
                raise RuntimeError(report.failures[0].reason)

    def _lost(self, told: list[str]) -> list[str]:
        """Files that were said to be done and are not whole in the collection."""
        if not told or not (self.place / "default").exists():
            return []

        def look(tell: Tell) -> list[str]:
            with vr.open_collection(self.place, create=False) as collection:
                sources = collection.sources()
                return [each for each in told if each not in sources or not sources[each].is_complete]

        looked = forked(look)
        if not looked.is_whole:
            return [f"does not open after the kill: {looked.error or looked.signal}"]
        return [f"{len(looked.result)} acknowledged files lost"] if looked.result else []

    def _snapshot(self, place: Path) -> Work:
        return lambda tell: snapshot(place)

    def _must(self, work: Work) -> Any:
        """Do what is not to be killed."""
        ended = forked(work)
        if not ended.is_whole:
            raise RuntimeError(f"undisturbed: {ended.error or ended.signal}")
        return ended


class _Telling:
    """Tells of each file that is acknowledged. An `IndexCallback`."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell

    def planned(self, files: int, items: int) -> None: ...

    def items_done(self, kinds: Any) -> None: ...

    def file_done(self, source: str, error: str | None) -> None:
        if error is None:
            self.tell(source)


DIM = 64
BATCH = 60


def _optimise(folder: Path, seed: int, count: int) -> Row:
    """Kill a process that writes and deletes while its search index is built; every answered write is there."""
    from vlm2vec_rag.collection.edge import config

    config.INDEXING_THRESHOLD_KB = 20  # so that a thousand points are worth an index
    rng = random.Random(seed)
    row = Row(part="kills", what="writing while the index is built, random vectors", tried=0)
    in_time = written = 0
    for trial in range(count):
        place = folder / str(trial)

        def work(tell: Tell, place: Path = place, trial: int = trial) -> None:
            _write_and_build(place, seed + trial, tell)

        ended = forked(work, kill_after_s=rng.uniform(0.2, 4.0))
        row.tried += 1
        in_time += ended.is_killed
        if ended.error:
            row.broke.append(ended.error)
        looked = forked(lambda tell, place=place: set(snapshot(place)))
        if not looked.is_whole:
            if ended.told:
                row.broke.append(f"does not open: {looked.error or looked.signal}")
            continue
        kept, under_way = _replay(ended.told)
        written += len(kept)
        if lost := kept - under_way - looked.result:
            row.broke.append(f"{len(lost)} of {len(kept)} acknowledged points lost")
        if more := looked.result - kept - under_way:
            row.broke.append(f"{len(more)} deleted points came back")
        shutil.rmtree(place, ignore_errors=True)
    row.found = f"{in_time} in the middle; {written:,} acknowledged points, all there"
    return row


def _write_and_build(place: Path, seed: int, tell: Tell) -> None:
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    made_with = Fingerprint(model="random", dim=DIM, max_pixels=1_000, frames=1)
    with vr.open_collection(place, fingerprint=made_with) as collection:
        for batch in range(400):
            if batch > 5 and rng.random() < 0.25:
                gone = rng.randrange(batch)
                tell(("delete", gone))
                collection.delete(Filter(paths=(f"/v/{gone}/",)))
            else:
                tell(("write", batch))
                collection.upsert(_points(batch, numbers))
            tell("done")
            if batch % 12 == 0:
                collection.optimize(wait=False)
            if batch % 50 == 0:
                collection.flush()


def _points(batch: int, numbers: np.random.Generator | None = None) -> list[Point]:
    payloads = [
        Payload(source=f"/v/{batch}/{at}.txt", kind="text", content_hash=f"{batch * BATCH + at:064x}", text=f"word{at}")
        for at in range(BATCH)
    ]
    vectors = np.ones((BATCH, DIM), np.float32) if numbers is None else numbers.standard_normal((BATCH, DIM))
    return [
        Point(id=each.id, payload=each, vector=vector.astype(np.float32))
        for each, vector in zip(payloads, vectors, strict=True)
    ]


def _replay(told: list[Any]) -> tuple[set[str], set[str]]:
    """The ids that must be there, and those of the write that was under way, which may be or not."""
    kept: set[str] = set()
    under_way: set[str] = set()
    last = ("", 0)
    for each in told:
        if each == "done":
            what, batch = last
            ids = {point.id for point in _points(batch)}
            kept = kept | ids if what == "write" else kept - ids
            under_way = set()
        else:
            last = each
            under_way = {point.id for point in _points(each[1])}
    return kept, under_way
