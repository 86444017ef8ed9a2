"""A full disk, lost files, folders that cannot be written to: the embedded engine says so and loses nothing more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from points_and_places import DIM, FINGERPRINT, page

from vlm2vec_rag.collection import Filter, open_collection, repair_collection
from vlm2vec_rag.collection.edge import building
from vlm2vec_rag.collection.edge import config as engine_config
from vlm2vec_rag.collection.edge.client import EdgeClient
from vlm2vec_rag.collection.edge.shard import ROOM_BYTES, SPARE_POINTS
from vlm2vec_rag.disk import copy_sparse, disk_bytes
from vlm2vec_rag.errors import CollectionDamaged, CollectionError, CollectionLocked, DiskFull

POINTS = [page(number, f"word{number}", encoded=True) for number in range(200)]
SUPPORT = Path(__file__).parents[2] / "support"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection of 200 points, closed."""
    with open_collection(tmp_path / "my.vlm2vec", fingerprint=FINGERPRINT) as collection:
        for start in range(0, 200, 50):
            collection.upsert(POINTS[start : start + 50])
    return tmp_path / "my.vlm2vec"


def description(folder: Path) -> Any:
    return json.loads((folder / "default" / "collection.json").read_text())


# a full disk


@pytest.mark.parametrize("free_mb", [0, 1, 30, 100])
def test_a_full_disk_is_told_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int
) -> None:
    with open_collection(folder, fingerprint=FINGERPRINT) as collection:
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, free_mb * 10**6))
            for write in (
                lambda: collection.upsert([page(999)]),
                lambda: collection.delete(Filter()),
                lambda: collection.set_payload(Filter(), {"title": "x"}),
                lambda: collection.update_settings({"a": 1}),
                collection.flush,
            ):
                with pytest.raises(
                    DiskFull, match=rf"has {free_mb} MB free.* nothing was lost: make room, and run the"
                ):
                    write()
            assert collection.count() == 200
            assert collection.search(text="word7", mode="bm25")[0].payload.page == 7
        collection.upsert([page(999)])  # there is room again
    with open_collection(folder) as collection:
        assert collection.count() == 201


def test_closing_on_a_full_disk_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full, open_collection(folder) as collection:
        collection.upsert([page(999)])
        full.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 0))
    with open_collection(folder) as collection:
        assert collection.count() == 201


def test_no_index_is_built_without_room_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_config, "INDEXING_THRESHOLD_KB", 1)
    with open_collection(folder) as collection:
        enough = disk_bytes(folder) + ROOM_BYTES  # to write, and not to build
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, enough))
        with pytest.raises(DiskFull, match="build the search index; searches do without it"):
            collection.optimize()
        assert len(list((folder / "default").glob("shard-*"))) == 1
        assert collection.count() == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 250 MB; making one takes root."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=250m", "tmpfs", str(mounted)], capture_output=True)  # noqa: PLW1510
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_a_disk_that_runs_full_ends_a_run_with_a_line_and_not_with_a_signal(small_disk: Path) -> None:
    """Written to in a child, which without the check the system ends by SIGBUS."""
    program = f"""
import os, sys; sys.path.insert(0, {str(SUPPORT)!r})
from points_and_places import page, FINGERPRINT
from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.errors import DiskFull
with open_collection({str(small_disk / "my.vlm2vec")!r}, fingerprint=FINGERPRINT) as collection:
    for start in range(0, 100_000, 100):
        try:  # payloads that cannot be compressed
            collection.upsert([page(n, os.urandom(20_000).hex()) for n in range(start, start + 100)])
        except DiskFull as error:
            print(collection.count(), error)
            break
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr
    written = int(done.stdout.split()[0])
    assert written >= 200 and "nothing was lost" in done.stdout
    with open_collection(small_disk / "my.vlm2vec") as collection:
        assert collection.count() == written


# what was acknowledged


def test_a_collection_knows_how_many_points_it_acknowledged(folder: Path) -> None:
    assert description(folder)["points"] == 200
    with open_collection(folder) as collection:
        collection.delete([point.id for point in POINTS[:50]])
        assert description(folder)["points"] == 0  # no more than is left, with some to spare
        collection.flush()
        assert description(folder)["points"] == 150
    assert SPARE_POINTS >= 150


@pytest.mark.parametrize("deleted", ["ids", "filter"])
def test_deleted_points_are_not_missed_after_a_kill(folder: Path, deleted: str) -> None:
    program = f"""
import os, sys; sys.path.insert(0, {str(SUPPORT)!r})
from points_and_places import page
from vlm2vec_rag.collection import Filter, open_collection
collection = open_collection({str(folder)!r})
collection.delete({'[page(n, f"word{n}").id for n in range(100)]' if deleted == "ids" else "Filter(pages=(0, 99))"})
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 9  # noqa: PLW1510
    with open_collection(folder) as collection:
        assert collection.count() == 100


def emptied(pattern: str) -> Any:
    """Damage: files of every segment emptied, as by a disk that lost the blocks."""

    def damage(folder: Path) -> None:
        for file in (folder / "default").rglob(pattern):
            file.write_bytes(b"")

    return damage


def zeroed(pattern: str) -> Any:
    """Damage: files of their length, and nothing in them."""

    def damage(folder: Path) -> None:
        for file in (folder / "default").rglob(pattern):
            file.write_bytes(bytes(file.stat().st_size))

    return damage


def cut(pattern: str) -> Any:
    """Damage: the second half of files lost."""

    def damage(folder: Path) -> None:
        for file in (folder / "default").rglob(pattern):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def removed(pattern: str) -> Any:
    """Damage: files or folders gone."""

    def damage(folder: Path) -> None:
        for path in sorted((folder / "default").rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return damage


LOST = {
    "ids emptied": emptied("mutable_id_tracker.mappings"),
    "ids cut": cut("mutable_id_tracker.mappings"),
    "ids removed": removed("mutable_id_tracker.mappings"),
    "segments removed": removed("segments/*"),
}
BROKEN = {
    "payloads zeroed": zeroed("payload_storage/page_0.dat"),
    "vectors zeroed": zeroed("vector_storage-dense/vectors/chunk_0.mmap"),
    "vectors emptied": emptied("vector_storage-dense/vectors/chunk_0.mmap"),
    "vectors' size removed": removed("vector_storage-dense/vectors/status.dat"),
    "segment unreadable": cut("segment.json"),
    "description cut": cut("collection.json"),
    "shard removed": removed("shard-*"),
}


@pytest.mark.parametrize("damage", LOST.values(), ids=LOST.keys())
def test_lost_points_are_told_and_what_is_left_can_be_kept(folder: Path, damage: Any) -> None:
    damage(folder)
    for _ in range(2):  # every time, not the first only
        with pytest.raises(
            CollectionDamaged, match=r"acknowledged 200 points and \d+ are left; .*vlm2vec-rag repair"
        ) as told:
            open_collection(folder, fingerprint=FINGERPRINT)
        assert str(folder) in str(told.value)
    left = repair_collection(folder)
    assert left < 200
    with open_collection(folder, fingerprint=FINGERPRINT) as collection:
        assert collection.count() == left
        collection.upsert(POINTS)
    with open_collection(folder) as collection:
        assert collection.count() == 200


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_damage_that_leaves_nothing_to_keep_is_told(folder: Path, damage: Any) -> None:
    damage(folder)
    with pytest.raises(CollectionDamaged, match="restore it from a backup, or remove") as told:
        open_collection(folder, fingerprint=FINGERPRINT)
    assert str(folder) in str(told.value)


def test_a_panic_of_the_engine_in_a_search_is_damage_that_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the quantized vectors are cut: pyo3's PanicException is no Exception, and would be a traceback."""
    panic = type("PanicException", (BaseException,), {})

    def gives_up(*_: Any) -> None:
        raise panic("vector not found")

    with open_collection(folder) as collection:
        monkeypatch.setattr(EdgeClient, "rankings", gives_up)
        with pytest.raises(CollectionDamaged, match=r"gave up when it was to search \(vector not found\); restore it"):
            collection.search(np.ones(DIM), mode="dense")


def test_a_collection_of_an_older_version_opens(folder: Path) -> None:
    stored = description(folder)
    del stored["points"]
    (folder / "default" / "collection.json").write_text(json.dumps(stored))
    with open_collection(folder) as collection:
        assert collection.count() == 200


def test_a_collection_whose_other_collections_are_damaged_opens(folder: Path) -> None:
    with open_collection(folder, "other", fingerprint=FINGERPRINT) as other:
        other.upsert(POINTS[:3])
    LOST["ids emptied"](folder)
    with open_collection(folder, "other") as other:
        assert other.count() == 3


# reading without writing


READER = """
import os, sys; sys.path.insert(0, {support!r})
import numpy as np
from points_and_places import DIM, FINGERPRINT, page
import vlm2vec_rag.collection.embedded, vlm2vec_rag.collection.collection
from vlm2vec_rag.collection import Filter, open_collection
from vlm2vec_rag.errors import CollectionError
if os.getuid() == 0:  # may write whatever the mode says; the interpreter may be in a folder of root's, so only now
    os.setgid(65534); os.setuid(65534)
with open_collection({folder!r}, fingerprint=FINGERPRINT) as collection:
    print(collection.count(), len(collection.sources()), collection.info().points)
    print(collection.search(np.ones(DIM), "word7", limit=3) != [], len(list(collection.scroll(with_vectors=True))))
    for write in (
        lambda: collection.upsert([page(999)]), lambda: collection.delete(Filter()),
        lambda: collection.set_payload(Filter(), {{"title": "x"}}), lambda: collection.update_settings({{"a": 1}}),
        lambda: collection.index_fields({{"author": "keyword"}}), lambda: collection.drop(),
    ):
        try:
            write()
        except CollectionError as error:
            print(error)
try:
    open_collection({folder!r}, "new", fingerprint=FINGERPRINT)
except CollectionError as error:
    print(error)
"""


@pytest.fixture
def readable(folder: Path) -> Iterator[Path]:
    """The folder as someone else's, who lets everyone read; not below pytest's own, which lets nobody else in."""
    with tempfile.TemporaryDirectory() as place:
        theirs = Path(place, "my.vlm2vec")
        shutil.copytree(folder, theirs)
        everything = [Path(place), theirs, *theirs.rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield theirs
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def read(folder: Path, **environment: str) -> list[str]:
    program = READER.format(support=str(SUPPORT), folder=str(folder))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nowhere"}
    done = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, env=environment, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_folder_that_cannot_be_written_to_is_searched_and_listed(readable: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in readable.rglob("*")}
    first, second, *refusals = read(readable)
    assert (first, second) == ("200 1 200", "True 200")
    assert len(refusals) == 7
    assert all("can only be read" in each and "copy it to a folder of your own" in each for each in refusals)
    assert {path: path.stat().st_mtime_ns for path in readable.rglob("*")} == before


def test_a_reader_leaves_no_copy_behind(readable: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o777)
        read(readable, TMPDIR=scratch)
        assert list(Path(scratch).iterdir()) == []


def test_a_reader_does_not_copy_what_is_being_written(folder: Path) -> None:
    from vlm2vec_rag.collection.edge.folder import Folder

    with open_collection(folder) as writer:
        writer.upsert([page(999)])
        reading = Folder.__new__(Folder)
        reading.path, reading.is_read_only = folder, True
        with pytest.raises(CollectionLocked, match="is open in process"), reading.held_still():
            pass
    with reading.held_still():
        pass


def test_a_folder_that_is_not_there_and_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError, match="cannot be opened for writing"):
        open_collection(tmp_path / "file" / "inside", fingerprint=FINGERPRINT)


# pieces


def test_a_sparse_file_is_copied_without_its_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(20 * 2**20)
        file.write(b"middle")
        file.truncate(50 * 2**20)
    copy_sparse(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks
    (tmp_path / "empty").touch()
    copy_sparse(tmp_path / "empty", tmp_path / "empty too")
    assert (tmp_path / "empty too").read_bytes() == b""


@pytest.mark.parametrize("wait", [True, False])
def test_a_build_gives_way_to_others_only_while_nobody_waits_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    """At low priority a build that `index` waited for took 472 s for 46 s of work on a busy machine."""
    started: list[list[str]] = []
    popen = building.subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        started.append(command)
        return popen(command, **options)

    monkeypatch.setattr(building.subprocess, "Popen", start)
    monkeypatch.setattr(engine_config, "INDEXING_THRESHOLD_KB", 1)
    with open_collection(folder) as collection:
        assert collection.optimize(wait=wait)
        if not wait:
            collection.search(np.ones(DIM), mode="dense")
            assert collection.optimize(wait=True)
    assert [("--nice" in command) for command in started] == [not wait]
