"""The search index of the embedded engine: built in a child process while this one goes on, and never at a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlm2vec_rag import disk
from vlm2vec_rag.collection import Collection, Filter, Payload, Point, open_collection
from vlm2vec_rag.collection.edge import building, config, folder
from vlm2vec_rag.errors import CollectionError
from vlm2vec_rag.fingerprint import Fingerprint

pytestmark = pytest.mark.slow  # each builds an index in another process

DIM = 256
POINTS = 1_100  # just above the megabyte of vectors from which these tests want an index
THRESHOLD_KB = 1_000
FINGERPRINT = Fingerprint(model="wide", weights="1", dim=DIM)


def vectors(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def points(numbers: range, seed: int = 0) -> list[Point]:
    rows = vectors(len(numbers), seed)
    payloads = [
        Payload(source=f"{n // 100}.pdf", kind="page", content_hash=f"{n}", fragment=f"page={n}", page=n, text=f"w{n}")
        for n in numbers
    ]
    return [Point(id=each.id, payload=each, vector=row) for each, row in zip(payloads, rows, strict=True)]


@pytest.fixture(autouse=True)
def _low_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times fewer points than in earnest, for tests of a second."""
    monkeypatch.setattr(config, "INDEXING_THRESHOLD_KB", THRESHOLD_KB)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with open_collection(tmp_path / "db", fingerprint=FINGERPRINT) as collection:
        collection.upsert(points(range(POINTS)))
        yield collection


def shards(tmp_path: Path) -> list[str]:
    return [each.name for each in (tmp_path / "db" / "default").glob("shard-*")]


def contents(collection: Collection) -> dict[str, tuple[Any, tuple[float, ...] | None]]:
    """Everything a collection holds, in a form that can be compared."""
    return {
        point.id: (point.payload, None if point.vector is None else tuple(np.round(point.vector, 5).tolist()))
        for point in collection.scroll(with_vectors=True)
    }


def test_an_index_is_built_when_it_is_worth_it(collection: Collection, tmp_path: Path) -> None:
    before = contents(collection)
    assert collection.info().indexed_vectors == 0
    assert collection.optimize() is True
    assert collection.info().indexed_vectors == POINTS
    assert contents(collection) == before
    assert len(shards(tmp_path)) == 1
    assert collection.optimize() is False  # nothing new


def test_points_can_be_changed_after_it_is_built(collection: Collection, tmp_path: Path) -> None:
    """The engine numbers its writes and drops one that looks older than its point; a copy must go on counting."""
    collection.optimize()
    collection.upsert(points(range(10), seed=5))
    collection.set_payload(Filter(pages=(10, 19)), {"title": "changed"})
    collection.delete(Filter(pages=(20, 29)))
    expected = contents(collection)
    third = vectors(10, seed=5)[3]
    np.testing.assert_allclose(expected[points(range(3, 4))[0].id][1], third / np.linalg.norm(third), atol=1e-5)
    assert sum(payload.title == "changed" for payload, _ in expected.values()) == 10
    assert len(expected) == POINTS - 10
    collection.close()
    with open_collection(tmp_path / "db") as again:
        assert contents(again) == expected


def test_a_search_by_the_index_finds_what_is_there(collection: Collection) -> None:
    collection.optimize()
    found = collection.search(vectors(1)[0], mode="dense", limit=1)
    assert found[0].payload.page == 0


def test_a_small_collection_needs_none(tmp_path: Path) -> None:
    with open_collection(tmp_path / "db", fingerprint=FINGERPRINT) as collection:
        collection.upsert(points(range(100)))
        assert collection.optimize() is False


def test_what_is_written_meanwhile_is_there_afterwards(collection: Collection, tmp_path: Path) -> None:
    assert collection.optimize(wait=False) is True
    assert len(shards(tmp_path)) == 2  # the copy is being worked on
    collection.upsert(points(range(POINTS, POINTS + 300), seed=1))  # new points
    collection.upsert(points(range(0, 50), seed=2))  # others in the place of old ones
    collection.delete([point.id for point in points(range(100, 150))])
    collection.delete(Filter(sources=["3.pdf"]))
    collection.set_payload(Filter(sources=["4.pdf"]), {"title": "changed"})
    collection.client.create_payload_index(collection.name, "title")
    collection.client.delete_vectors(collection.name, ["dense"], [points(range(700, 701))[0].id])
    expected = contents(collection)
    assert (
        collection.search(points(range(POINTS, POINTS + 1), seed=1)[0].vector, mode="dense")[0].payload.page == POINTS
    )
    assert collection.optimize(wait=True) is True  # joins the one under way
    assert len(shards(tmp_path)) == 1
    assert collection.info().indexed_vectors > 0
    assert contents(collection) == expected
    assert "title" in collection.client.get_collection(collection.name).payload_schema
    collection.close()
    with open_collection(tmp_path / "db") as again:
        assert contents(again) == expected


def test_searches_go_on_while_it_is_built(collection: Collection, tmp_path: Path) -> None:
    assert collection.optimize(wait=False) is True
    query = vectors(1)[0]
    searches = 0
    while len(shards(tmp_path)) == 2:
        assert collection.search(query, mode="dense", limit=1)[0].payload.page == 0
        searches += 1
        time.sleep(0.01)  # the child is polite and waits for an idle moment
    assert searches > 3
    assert collection.search(query, mode="dense", limit=1)[0].payload.page == 0


def test_a_build_that_fails_leaves_everything_as_it_was(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "fails.py"
    program.write_text("raise SystemExit('no space left on device')")
    before = contents(collection)
    with (
        monkeypatch.context() as patched,
        pytest.raises(CollectionError, match=r"index was not built, searches go on without it: .*no space left"),
    ):
        patched.setattr(building, "PROGRAM", program)
        collection.optimize()
    assert "no space left" in caplog.text
    assert len(shards(tmp_path)) == 1
    assert contents(collection) == before
    assert collection.optimize() is True  # and the next one succeeds
    assert contents(collection) == before


def test_the_copy_is_on_disk_before_it_counts(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut cannot be had here; that every file is synced before the description names the copy, can."""
    done: list[str] = []
    sync, write = disk._sync, folder.Description.write
    monkeypatch.setattr(disk, "_sync", lambda path: (done.append(str(path.resolve())), sync(path)))
    monkeypatch.setattr(folder.Description, "write", lambda self, at: (done.append(self.shard), write(self, at)))
    collection.optimize()
    (shard,) = shards(tmp_path)
    before = set(done[: done.index(shard)])
    segments = [str(each.resolve()) for each in (tmp_path / "db" / "default" / shard / "segments").rglob("*")]
    assert len(segments) > 20
    assert [each for each in segments if each not in before] == []


def test_closing_gives_up_a_build_and_loses_nothing(collection: Collection, tmp_path: Path) -> None:
    assert collection.optimize(wait=False) is True
    collection.upsert(points(range(POINTS, POINTS + 10), seed=1))
    collection.close()
    assert len(shards(tmp_path)) == 1
    with open_collection(tmp_path / "db") as again:
        assert again.count() == POINTS + 10
        assert again.optimize() is True  # it still knows that there is something to build


def test_a_kill_in_the_middle_of_a_build_loses_nothing(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
from test_embedded_index import FINGERPRINT, POINTS, THRESHOLD_KB, config, points
from vlm2vec_rag.collection import open_collection

config.INDEXING_THRESHOLD_KB = THRESHOLD_KB
collection = open_collection(sys.argv[1], fingerprint=FINGERPRINT)
collection.upsert(points(range(POINTS)))
collection.optimize(wait=False)
collection.upsert(points(range(POINTS, POINTS + 10), seed=1))
os.kill(os.getpid(), signal.SIGKILL)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "db", paths], check=False)
    assert killed.returncode == -signal.SIGKILL
    with open_collection(tmp_path / "db") as collection:
        assert collection.count() == POINTS + 10
        assert len(shards(tmp_path)) == 1
        assert collection.optimize() is True
        assert collection.count() == POINTS + 10


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the child finishes what nobody opens")
def test_the_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        f"""
import os, runpy, sys, time
from pathlib import Path
runpy.run_path({str(building.PROGRAM)!r})["end_with"](int(sys.argv[2]))
Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
time.sleep(60)
"""
    )
    program = f"""
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
from test_embedded_index import FINGERPRINT, POINTS, THRESHOLD_KB, building, config, points
from vlm2vec_rag.collection import open_collection

config.INDEXING_THRESHOLD_KB = THRESHOLD_KB
building.PROGRAM = Path({str(sleeper)!r})
collection = open_collection(sys.argv[1], fingerprint=FINGERPRINT)
collection.upsert(points(range(POINTS)))
collection.optimize(wait=False)
while not Path({str(tmp_path / "pid")!r}).exists():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run([sys.executable, "-c", program, tmp_path / "db", paths], check=False)
    child = Path("/proc") / (tmp_path / "pid").read_text()
    deadline = time.monotonic() + 120
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def is_running(process: Path) -> bool:
    """Whether a process is at work; one that ended and waits for someone to ask how is not."""
    try:
        return "(zombie)" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
