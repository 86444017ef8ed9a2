"""One open collection of the embedded engine: writes in turn, durable flushes, an index built on the side."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from vlm2vec_rag.collection.edge import config as engine_config
from vlm2vec_rag.collection.edge.building import Build
from vlm2vec_rag.collection.edge.checks import VectorRules
from vlm2vec_rag.collection.edge.config import dense_params, edge_config
from vlm2vec_rag.collection.edge.folder import Description, new_shard_name, read_only
from vlm2vec_rag.collection.record import METADATA_KEY
from vlm2vec_rag.collection.schema import DENSE
from vlm2vec_rag.disk import check_room, copy_sparse, disk_bytes, sync_tree
from vlm2vec_rag.errors import CollectionDamaged, CollectionError, DiskFull, InvalidInput

logger = logging.getLogger(__name__)

FLUSH_AFTER_POINTS = 5_000
"""Written points after which the log becomes part of the shard; a crash leaves at most so many to be replayed."""

_BATCH = 256
SPARE_POINTS = 1_000
SAMPLE_POINTS = 48  # looked at when a collection is opened
SAMPLE_PLACES = 3

ROOM_BYTES = 160 * 2**20
"""Free on the disk before a write: the engine's log and its stores grow in pieces of 32 MiB, several at a time."""

TEXT_BYTES = 16 * 2**10  # of a point: its payload, words and indexes


class Shard:
    """The points of one collection. Reads may run beside anything; writes wait for each other.

    While an index is being built, the copy it is built on falls behind. The ids written to meanwhile are noted, and
    brought up to date in the copy before it takes the place of the original: a crash before that step loses the index,
    one after it loses nothing.
    """

    def __init__(self, folder: Path, *, is_read_only: bool = False, accept_loss: bool = False) -> None:
        """Open the collection in a folder.

        Args:
            folder: Holds `collection.json`.
            is_read_only: The folder cannot be written to; the engine writes into whatever it opens, so it gets a copy.
            accept_loss: Open it with what is left, and let that be what it holds from now on.

        Raises:
            CollectionDamaged: Points that it had acknowledged are gone, or the engine cannot open it.
        """
        self.folder = folder
        self._description = Description.read(folder)
        self.config = models.CreateCollection.model_validate(self._description.config)
        self.rules = VectorRules.of(self.config)
        self._writing = threading.RLock()
        self._unflushed = 0
        self._pending = self._description.pending
        self._build: Build | None = None
        self._process = os.getpid()
        self._copy = Path(tempfile.mkdtemp(prefix="vlm2vec-rag-")) if is_read_only else None
        self._shard: Any = None
        try:
            self._shard = self._load()
            self._check_whole(accept_loss=accept_loss)
        except BaseException:
            if self._shard is not None:
                self._shard.close()
            self._let_go()
            raise

    @staticmethod
    def make(folder: Path, config: models.CreateCollection) -> None:
        """Make an empty collection in an empty folder."""
        name = new_shard_name()
        (folder / name).mkdir()
        shard = edge.EdgeShard.create(str(folder / name), edge_config(config, threads=index_threads()))
        shard.flush()
        shard.close()
        Description(name, config.model_dump(mode="json", exclude_none=True)).write(folder)

    @property
    def engine(self) -> Any:
        """The engine's shard, for reading.

        Raises:
            CollectionError: It is closed, or this process was forked from the one that opened it.
        """
        if self._process != os.getpid():
            raise CollectionError(
                f"{self.folder} was opened before this process was forked, and the engine does not survive a fork; "
                "open the collection in each process after forking, and one process at a time"
            )
        if self._shard is None:
            raise CollectionError(f"{self.folder} is closed; open the collection again")
        return self._shard

    def _load(self) -> Any:
        path = self.folder / self._description.shard
        if self._copy is not None:
            check_room(self._copy, disk_bytes(path) + ROOM_BYTES, "read a copy of a folder that cannot be written to")
            copy = self._copy / "shard"
            shutil.copytree(path, copy, copy_function=copy_sparse)
            copy.chmod(0o700)
            for inside, folders, files in os.walk(copy):
                for each in (*folders, *files):
                    Path(inside, each).chmod(0o700)
            path = copy
        try:
            return edge.EdgeShard.load(str(path))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the engine is no Exception
            raise CollectionDamaged(
                f"{self.folder} is damaged, the engine cannot open it ({_first_line(error)}); restore it from a "
                "backup, or remove it and index again"
            ) from error

    def _check_whole(self, *, accept_loss: bool) -> None:
        """Compare what is there with what was acknowledged."""
        try:
            there = self._count()
            hollow = sum(map(_is_hollow, self._some())) if METADATA_KEY in (self.config.metadata or {}) else 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise CollectionDamaged(
                f"{self.folder} is damaged, its points cannot be read ({_first_line(error)}); restore it from a "
                "backup, or remove it and index again"
            ) from error
        if hollow:
            raise CollectionDamaged(
                f"{self.folder} is damaged: {hollow} of {SAMPLE_POINTS} points looked at have lost their payload or "
                "their vector; restore it from a backup, or remove it and index again"
            )
        known = self._description.points
        if known is None or there >= known:
            return
        if not accept_loss:
            raise CollectionDamaged(
                f"{self.folder} is damaged: it acknowledged {known:,} points and {there:,} are left; restore it from a "
                "backup, or keep what is left (vlm2vec-rag repair) and index again, which adds what is missing"
            )
        self._describe(points=there)

    def _some(self) -> list[Any]:
        """Some points, from here and there, with all they have."""
        found: list[Any] = []
        for _ in range(SAMPLE_PLACES):
            part = edge.ScrollRequest(
                offset=str(uuid.uuid4()), limit=SAMPLE_POINTS // SAMPLE_PLACES, with_payload=True, with_vector=True
            )
            found.extend(self._shard.scroll(part)[0])
        return found

    def _count(self, condition: Any = None) -> int:
        return int(self._shard.count(edge.CountRequest(exact=True, filter=condition)))

    def _let_go(self) -> None:
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)

    # writing

    def write(self, operation: Any, ids: Sequence[Any], *, must_exist: bool = False) -> None:
        """Apply an update of these points; when this returns it survives the death of the process.

        Raises:
            InvalidInput: A point that must exist does not; the engine would notice only half way through the others.
        """
        with self._writing:
            self._check_writable(len(ids))
            if must_exist:
                self._check_exist(ids)
            self.engine.update(operation)
            self._note(ids)

    def delete(self, operation: Any, ids: Sequence[Any]) -> None:
        """Apply a deletion of these points, of which some may not be there."""
        with self._writing:
            self._check_writable(0)
            self._allow_loss(len(ids))
            self.engine.update(operation)
            self._note(ids)

    def write_matching(self, operation: Any, condition: Any, *, deletes: bool = False) -> None:
        """Apply an update of whatever points pass a filter."""
        with self._writing:
            changed = self._ids_matching(condition)
            self._check_writable(0 if deletes else len(changed))
            if deletes:
                self._allow_loss(len(changed))
            self.engine.update(operation)
            self._note(changed)

    def write_schema(self, operation: Any) -> None:
        """Apply an update of the payload indexes."""
        with self._writing:
            self._check_writable(0)
            self.engine.update(operation)
            if self._build:
                self._build.schema_changes.append(operation)

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Merge into the collection's metadata as a server does: key by key, None removes one."""
        with self._writing:
            self._check_writable(0)
            merged = {**(self.config.metadata or {}), **metadata}
            kept = {key: value for key, value in merged.items() if value is not None}
            config = self.config.model_copy(update={"metadata": kept})
            self._describe(config=config.model_dump(mode="json", exclude_none=True))
            self.config = config

    def flush(self) -> None:
        """Make every write so far survive a power cut."""
        with self._writing:
            if self._copy is not None:
                return
            self._check_room(0, "make the points survive a power cut")
            self.engine.flush()
            self._unflushed = 0
            points = self._count()
            if (self._description.pending, self._description.points) != (self._pending, points):
                self._describe(pending=self._pending, points=points)

    def close(self) -> None:
        """Flush and let go; a search index still being built is given up. Closing twice is fine."""
        if self._process != os.getpid():
            return  # it belongs to the parent
        if build := self._build:
            build.cancel()
        with self._writing:
            if self._shard is not None:
                try:
                    self.flush()
                except DiskFull as error:  # what was written is in the log, and replayed by the next to open it
                    logger.warning("%s", error)
                self._shard.close()
                self._shard = None
                self._let_go()

    # the search index

    def optimize(self, *, wait: bool) -> bool:
        """Build the search index when enough points are outside of it; False when there are not.

        Raises:
            CollectionError: The building process failed; the collection is as it was.
        """
        with self._writing:
            if self._copy is not None:
                return False
            if self._build is None:
                if not self._is_worth_building():
                    return False
                self._build = self._start_building(in_background=not wait)
            build = self._build
        if wait:
            build.wait()
        return True

    def _is_worth_building(self) -> bool:
        widths = [each.size for each in dense_params(self.config).values()]
        # compared in the engine's own measure: what lies below its threshold it would leave as it is
        return bool(widths) and self._pending * max(widths) * 4 >= engine_config.INDEXING_THRESHOLD_KB * 1024

    def _start_building(self, *, in_background: bool) -> Build:
        """Copy the shard and let a child process build; writes wait for the copy only."""
        self.flush()
        name = new_shard_name()
        present = self.folder / self._description.shard
        # the copy, the segments that the engine makes of it before it drops the old ones, and their index
        check_room(self.folder, 3 * disk_bytes(present) + ROOM_BYTES, "build the search index; searches do without it")
        # with its log, though all of it is flushed: it numbers the writes, and the engine takes a write whose number is
        # not above that of the point it changes for an old one, and drops it
        try:
            shutil.copytree(present, self.folder / name, copy_function=copy_sparse)
        except BaseException:
            shutil.rmtree(self.folder / name, ignore_errors=True)  # half a copy on a full disk helps no one
            raise
        return Build(
            self.folder / name,
            pending=self._pending,
            in_background=in_background,
            on_success=self._adopt,
            on_end=self._end_building,
        )

    def _adopt(self, build: Build) -> None:
        """Put the copy, with its index, in the place of the shard."""
        sync_tree(build.path)
        successor = edge.EdgeShard.load(str(build.path))
        with self._writing:
            for change in build.schema_changes:
                successor.update(change)
            self._bring_up_to_date(successor, build.changed)
            successor.flush()
            former = self.folder / self._description.shard
            pending = self._pending - build.pending
            self._describe(
                shard=build.path.name, pending=pending, points=int(successor.count(edge.CountRequest(exact=True)))
            )
            # a search under way keeps the former shard alive until it ends, and open files outlive their names
            self._shard, self._pending, self._unflushed = successor, pending, 0
        shutil.rmtree(former, ignore_errors=True)
        logger.info("built the search index of %s", self.folder)

    def _bring_up_to_date(self, successor: Any, changed: Iterable[Any]) -> None:
        ids = list(changed)
        for at in range(0, len(ids), _BATCH):
            part = ids[at : at + _BATCH]
            present = self.engine.retrieve(part, True, True)
            gone = set(map(str, part)) - {str(each.id) for each in present}
            if present:
                points = [edge.Point(each.id, each.vector, each.payload) for each in present]
                successor.update(edge.UpdateOperation.upsert_points(points))
            if gone:
                successor.update(edge.UpdateOperation.delete_points([each for each in part if str(each) in gone]))

    def _end_building(self, build: Build) -> None:
        with self._writing:
            self._build = None
        if build.error is not None:
            shutil.rmtree(build.path, ignore_errors=True)

    # inside

    def _check_writable(self, points: int) -> None:
        if self._copy is not None:
            raise CollectionError(read_only(self.folder))
        self._check_room(points, "write points")

    def _check_room(self, points: int, doing: str) -> None:
        """The engine writes into maps of files with holes: on a full disk the system ends the process for that."""
        widths = sum(each.size for each in dense_params(self.config).values())
        check_room(self.folder, points * (widths * 4 + TEXT_BYTES) * 3 + ROOM_BYTES, doing)

    def _allow_loss(self, points: int) -> None:
        """Before so many points are deleted: have the description promise no more than will be left.

        With some to spare, so that it is written once for many deletions; the next flush writes what is there.
        """
        known = self._description.points
        left = self._count() - points
        if known is not None and left < known:
            self._describe(points=max(0, left - SPARE_POINTS))

    def _check_exist(self, ids: Sequence[Any]) -> None:
        found = {str(each.id) for each in self.engine.retrieve(list(ids), False, False)}
        missing = [str(each) for each in ids if str(each) not in found]
        if missing:
            raise InvalidInput(f"there is no point {', '.join(missing[:5])} to change; nothing was changed")

    def _note(self, changed: Sequence[Any]) -> None:
        self._pending += len(changed)
        self._unflushed += len(changed)
        if self._build:
            self._build.changed.update(changed)
        if self._unflushed >= FLUSH_AFTER_POINTS:
            self.flush()

    def _describe(self, **values: Any) -> None:
        description = self._description.changed(**values)
        description.write(self.folder)
        self._description = description

    def _ids_matching(self, condition: Any) -> list[Any]:
        ids: list[Any] = []
        offset = None
        while True:
            request = edge.ScrollRequest(
                offset=offset, limit=1_000, filter=condition, with_payload=False, with_vector=False
            )
            records, offset = self.engine.scroll(request)
            ids.extend(record.id for record in records)
            if offset is None:
                return ids


def _is_hollow(point: Any) -> bool:
    """Whether a point of this library lost what each of them has: a source, and vectors that point somewhere.

    A vector whose file is gone is just not there, so the payload of what was encoded says that there was one.
    """
    payload = point.payload or {}
    vectors = point.vector if isinstance(point.vector, dict) else {}
    is_blank = any(isinstance(each, list) and not any(each) for each in vectors.values())
    return not payload.get("source") or is_blank or (bool(payload.get("encoded")) and DENSE not in vectors)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def index_threads() -> int:
    """Threads for building the index: all but one of the cores, which the searches keep."""
    return max(1, (os.cpu_count() or 1) - 1)
