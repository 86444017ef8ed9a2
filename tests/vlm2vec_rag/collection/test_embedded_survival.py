"""The embedded engine under kills, locks, forks and bad writes: nothing that was written is lost, nothing appears."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from points_and_places import FINGERPRINT, page
from qdrant_client import models

from vlm2vec_rag.collection import Cluster, Collection, open_collection
from vlm2vec_rag.collection.edge.client import EdgeClient
from vlm2vec_rag.errors import CollectionError, CollectionLocked, CollectionNotFound, InvalidInput


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which knows the helpers of these tests."""
    paths = [str(Path(__file__).parents[2] / "support"), *sys.path]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my.vlm2vec"


def open_here(folder: Path, **options: Any) -> Collection:
    return open_collection(folder, fingerprint=FINGERPRINT, **options)


WRITES_UNTIL_KILLED = """
    import os, signal, sys
    from points_and_places import FINGERPRINT, page
    from vlm2vec_rag.collection import Filter, open_collection

    collection = open_collection(sys.argv[1], fingerprint=FINGERPRINT)
    for batch in range(6):
        collection.upsert([page(batch * 50 + n, f"word{batch * 50 + n}") for n in range(50)])
        if sys.argv[2] == "flushing":
            collection.flush()
    collection.delete([page(0).id])
    collection.delete(Filter(pages=(1, 1)))
    collection.set_payload([page(2).id], {"title": "changed"})
    collection.update_settings({"dpi": 150})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["flushing", "not flushing"])
def test_a_killed_process_loses_nothing_it_had_written(folder: Path, how: str) -> None:
    assert run(WRITES_UNTIL_KILLED, folder, how).returncode == -signal.SIGKILL
    with open_here(folder) as collection:
        assert {point.payload.page for point in collection.scroll()} == set(range(2, 300))
        assert collection.retrieve([page(2).id])[0].payload.title == "changed"
        assert collection.settings == {"dpi": 150}
        assert [each.payload.page for each in collection.search(text="word299", mode="bm25")] == [299]
        assert collection.search(page(299).vector, mode="dense", limit=1)[0].payload.page == 299


def test_what_was_refused_does_not_come_back_after_a_kill(folder: Path) -> None:
    """The engine logs a write before it checks it; on its own it would replay these as points without vectors."""
    program = """
        import os, signal, sys
        from points_and_places import FINGERPRINT, page
        from qdrant_client import models
        from vlm2vec_rag.collection import open_collection

        collection = open_collection(sys.argv[1], fingerprint=FINGERPRINT)
        collection.upsert([page(1)])
        bad = {
            "11111111-1111-1111-1111-111111111111": {"dense": [1.0] * 7},
            "22222222-2222-2222-2222-222222222222": {"no such": [1.0] * 8},
            "33333333-3333-3333-3333-333333333333": {"dense": [float("nan")] * 8},
            "no id at all": {"dense": [1.0] * 8},
        }
        for id, vector in bad.items():
            try:
                collection.client.upsert(collection.name, [models.PointStruct(id=id, vector=vector, payload={})])
            except ValueError:
                print("refused")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(program, folder).stdout.split() == ["refused"] * 4
    with open_here(folder) as collection:
        assert [point.id for point in collection.scroll()] == [page(1).id]


@pytest.mark.parametrize(
    ("point", "complaint"),
    [
        ({"vector": {"dense": [1.0] * 7}}, r"has shape \(7,\); this collection holds a width of 8"),
        ({"vector": {"dense": [[1.0] * 8]}}, r"has shape \(1, 8\)"),
        ({"vector": {"other": [1.0] * 8}}, "no vector 'other'; this collection has 'dense', 'bm25'"),
        ({"vector": [1.0] * 8}, "no vector ''"),
        ({"vector": {"dense": [1.0] * 7 + [float("inf")]}}, "NaN or a number beyond float32"),
        ({"vector": {"dense": [1.0] * 7 + [1e39]}}, "NaN or a number beyond float32"),
        ({"vector": {"bm25": [1.0]}}, "is a list; expected a SparseVector"),
        ({"vector": {"bm25": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])}}, "1 of them different"),
        ({"vector": {"bm25": models.SparseVector(indices=[1], values=[float("nan")])}}, "NaN"),
        ({"vector": {"bm25": models.SparseVector(indices=[2**32], values=[1.0])}}, "index outside"),
        ({"payload": {"x": float("nan")}}, "cannot be stored"),
        ({"payload": {"x": object()}}, "is not JSON"),
        ({"id": -1}, "neither a whole number from 0 nor a UUID"),
        ({"id": 2**64}, "neither a whole number"),
        ({"id": "page-1"}, "neither a whole number"),
        ({"id": True}, "neither a whole number"),
    ],
)
def test_every_bad_write_is_refused_before_the_engine_sees_it(
    embedded_collection: Collection, point: dict[str, Any], complaint: str
) -> None:
    before = embedded_collection.count()
    bad = models.PointStruct.model_construct(**{"id": 1, "vector": {}, "payload": {}, **point})
    good = models.PointStruct(id=2, vector={})
    with pytest.raises(InvalidInput, match=complaint):
        embedded_collection.client.upsert(embedded_collection.name, [good, bad])
    assert embedded_collection.count() == before


def test_a_second_process_is_told_who_has_the_folder(folder: Path) -> None:
    program = """
        import sys
        from vlm2vec_rag.collection import open_collection
        open_collection(sys.argv[1])
    """
    with open_here(folder):
        refused = run(program, folder)
    assert "CollectionLocked" in refused.stderr
    assert f"is open in process {os.getpid()} (" in refused.stderr
    assert "run a Qdrant server" in refused.stderr
    assert run(program, folder).returncode == 0  # closed, so it is free


def test_the_same_process_may_open_a_folder_twice(folder: Path) -> None:
    first, second = open_here(folder), open_here(folder)
    first.upsert([page(1)])
    assert second.count() == 1
    first.close()
    first.close()
    assert second.count() == 1  # the folder is closed with its last user
    second.close()
    with pytest.raises(CollectionError, match="is closed; open the collection again"):
        second.count()
    with open_here(folder) as third:
        assert third.count() == 1


def test_a_client_of_ones_own_is_locked_out_of_an_open_folder(folder: Path) -> None:
    with open_here(folder), pytest.raises(CollectionLocked, match="belongs to one process at a time"):
        EdgeClient(folder)


def test_a_forgotten_collection_lets_go_of_its_folder(folder: Path) -> None:
    open_here(folder).upsert([page(1)])
    client = EdgeClient(folder)  # would be locked out otherwise
    assert client.count("default").count == 1
    client.close()


def test_a_frameworks_store_keeps_the_folder_open(folder: Path) -> None:
    client = open_here(folder).client  # nobody holds the collection any more
    assert client.count("default").count == 0


def test_a_forked_child_is_refused_instead_of_hanging(folder: Path) -> None:
    program = """
        import os, sys
        from points_and_places import FINGERPRINT, page
        from vlm2vec_rag.collection import open_collection

        collection = open_collection(sys.argv[1], fingerprint=FINGERPRINT)
        collection.upsert([page(1)])
        child = os.fork()
        if child == 0:
            for attempt in (collection.count, lambda: open_collection(sys.argv[1])):
                try:
                    attempt()
                except Exception as error:
                    print(f"{type(error).__name__}: {error}", flush=True)
            collection.close()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        print("child", status, "parent", collection.count())
    """
    said = run(program, folder).stdout.splitlines()
    assert said[0].startswith("CollectionError") and "was opened before this process was forked" in said[0]
    assert said[1].startswith("CollectionLocked")
    assert said[2] == "child 0 parent 1"


def test_what_a_crash_left_half_done_is_removed(folder: Path) -> None:
    with open_here(folder) as collection:
        collection.upsert([page(1)])
    for left in (".making-1", ".deleted-1", "default/shard-old"):
        (folder / left / "segments").mkdir(parents=True)
    with open_here(folder) as collection:
        assert collection.count() == 1
        assert [each.name for each in folder.glob(".[md]*")] == []
        assert len(list((folder / "default").glob("shard-*"))) == 1


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CollectionNotFound, match=r"no collection 'default' at .* \(there are none\)"):
        open_collection(tmp_path)
    with pytest.raises(CollectionNotFound, match="open it with create=True"):
        open_here(tmp_path, create=False)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]  # no lock either


@pytest.mark.parametrize("place", ["", "localhost:6333", "ftp://host/x", "qdrant.example:6334"])
def test_what_was_meant_as_an_address_does_not_become_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for fingerprint in (FINGERPRINT, None):
        with pytest.raises(InvalidInput, match="neither a folder nor an address; a server is written http"):
            open_collection(place, fingerprint=fingerprint)
    assert list(tmp_path.iterdir()) == []


def test_cluster_settings_are_refused_for_a_folder(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="cluster settings are for a server"):
        open_here(folder, cluster=Cluster(shard_number=2))


def test_making_a_collection_leaves_nothing_on_the_side(folder: Path) -> None:
    open_here(folder).close()
    assert sorted(each.name for each in folder.iterdir()) == [".lock", "default"]


def test_a_collection_that_could_not_be_made_leaves_nothing(folder: Path) -> None:
    client = EdgeClient(folder)
    with pytest.raises(InvalidInput, match="cannot be asked for BinaryQuantization"):
        client.create_collection(
            "broken",
            vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT),
            quantization_config=models.BinaryQuantization(binary=models.BinaryQuantizationConfig()),
        )
    assert not client.collection_exists("broken")
    assert [each.name for each in folder.iterdir() if not each.name.startswith((".lock", ".owner"))] == []
    client.close()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a:b", "x" * 256])
def test_a_name_that_is_no_folder_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a collection"):
        open_collection(folder, name, fingerprint=FINGERPRINT)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CollectionError, match=r"cannot be opened for writing: .*; choose another folder"):
        open_here(tmp_path / "file")


def test_a_description_from_the_future_is_refused(folder: Path) -> None:
    open_here(folder).close()
    description = folder / "default" / "collection.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), "format": 99}))
    with pytest.raises(CollectionError, match=r"has format 99.*update vlm2vec-rag"):
        open_here(folder)


def test_a_broken_description_is_named_and_the_others_are_well(folder: Path) -> None:
    open_here(folder).close()
    open_collection(folder, "other", fingerprint=FINGERPRINT).close()
    (folder / "default" / "collection.json").write_text("{")
    with pytest.raises(CollectionError, match=r"collection\.json cannot be read"):
        open_here(folder)
    open_collection(folder, "other").close()


def test_the_size_on_disk_is_told(embedded_collection: Collection) -> None:
    size = embedded_collection.info().size_bytes
    assert size is not None and 0 < size < 200e6


def test_threads_write_and_search_at_once(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with open_here(folder) as collection, ThreadPoolExecutor(4) as threads:
        writes = [threads.submit(collection.upsert, [page(100 * t + n) for n in range(100)]) for t in range(5)]
        reads = [threads.submit(collection.search, np.ones(8), "word", limit=5) for _ in range(50)]
        assert [each.result() for each in writes] == [100] * 5
        assert all(len(each.result()) <= 5 for each in reads)
        assert collection.count() == 500
