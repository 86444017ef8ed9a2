"""Copy a collection to another place: a folder to a server and back, server to server.

Points travel as they are stored, so vectors are the same bit for bit and nothing is encoded or counted anew. What the
other place already has is left alone, so a copy that was interrupted goes on when it is started again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qdrant_client import models

from vlm2vec_rag.collection.batches import MOST_BYTES
from vlm2vec_rag.collection.open import open_collection
from vlm2vec_rag.collection.schema import BM25, DENSE
from vlm2vec_rag.errors import CollectionError, InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection.collection import Collection

logger = logging.getLogger(__name__)

SAMPLED_POINTS = 200  # compared number by number at the end
_STAMPS = ["content_hash", "file_hash", "file_points", "indexed_at"]  # a point written anew differs in one of them
_BYTES_PER_NUMBER = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did, and what was found at its end."""

    points: int  # of the collection that was copied
    copied: int
    present: int  # were there already, and the same
    others: int  # of the target that the source does not have
    compared: int  # points that were compared number by number


def copy_collection(
    source: Collection, target: Collection, *, progress: Callable[[int, int], None] | None = None
) -> CopyReport:
    """Copy all points, and the settings with them; then count, and compare a sample.

    Start it again after an interruption and it goes on; both may be searched meanwhile. Points that the source loses
    while it is copied stay in the target.

    Args:
        source: Where the points are.
        target: Opened with the fingerprint and the language of the source (see `open_copy`).
        progress: Is told how many points are done, of how many.

    Raises:
        InvalidInput: Both are one collection, or the target has another language.
        FingerprintMismatch: The target was made with another model.
        CollectionError: Points are missing or differ at the end.
    """
    _check(source, target)
    target.update_settings(source.settings)
    if fields := source.indexed_fields:
        target.index_fields(fields)
    total, done, copied = source.count(), 0, 0
    for page in _pages(source, with_payload=_STAMPS):
        missing = _missing(page, target)
        for batch in _batches(source, missing):
            target.write_structs(batch)
        copied += len(missing)
        done += len(page)
        if progress:
            progress(done, max(total, done))
    target.flush()
    report = CopyReport(
        points=done,
        copied=copied,
        present=done - copied,
        others=max(0, target.count() - done),
        compared=_compare(source, target),
    )
    target.optimize()
    return report


def open_copy(source: Collection, location: str, name: str, **options: Any) -> Collection:
    """Open the place to copy to, or make it as the source was made; `options` are those of `open_collection`."""
    kept = {"fingerprint": source.fingerprint, "language": source.language, "indexed": source.indexed_fields}
    return open_collection(location, name, **{**kept, **options})


def _check(source: Collection, target: Collection) -> None:
    same_place = source.engine.location == target.engine.location and source.engine.location != ":memory:"
    if source is target or (same_place and source.name == target.name):
        raise InvalidInput(
            f"{source.name!r} at {source.engine.location} would be copied onto itself; name another place"
        )
    target.require(source.fingerprint)
    if source.language != target.language:
        raise InvalidInput(
            f"the target has language {target.language!r} and the source {source.language!r}, so words were cut "
            "differently; copy into another collection"
        )


def _pages(collection: Collection, **what: Any) -> Iterator[list[models.Record]]:
    page: list[models.Record] = []
    for record in collection.records(**what):
        page.append(record)
        if len(page) >= collection.limits.page_points:
            yield page
            page = []
    if page:
        yield page


def _missing(page: Sequence[models.Record], target: Collection) -> list[str]:
    """The ids that the target lacks, or has as they were before."""
    there = {str(each.id): each.payload for each in target.read_records([str(each.id) for each in page], _STAMPS)}
    return [str(each.id) for each in page if there.get(str(each.id), {"": ""}) != each.payload]


def _batches(source: Collection, ids: Sequence[str]) -> Iterator[list[models.PointStruct]]:
    """Points with all they have, in requests that every server takes."""
    batch: list[models.PointStruct] = []
    filled = 0
    step = min(source.limits.page_points, 64)
    for at in range(0, len(ids), step):
        for record in source.read_records(ids[at : at + step], True, with_vectors=True):
            struct = models.PointStruct.model_construct(
                id=record.id, vector=record.vector or {}, payload=record.payload or {}
            )
            size = _request_bytes(struct)
            if batch and filled + size > MOST_BYTES:
                yield batch
                batch, filled = [], 0
            batch.append(struct)
            filled += size
        if batch:
            yield batch
            batch, filled = [], 0


def _request_bytes(struct: models.PointStruct) -> int:
    vectors = struct.vector if isinstance(struct.vector, dict) else {}
    numbers = 0
    for each in vectors.values():
        numbers += 2 * len(each.indices) if isinstance(each, models.SparseVector) else len(each)  # type: ignore[arg-type]
    return numbers * _BYTES_PER_NUMBER + 6 * len(str(struct.payload))


def _compare(source: Collection, target: Collection) -> int:
    """Compare some points, spread over all of them.

    Raises:
        CollectionError: One is missing, or differs.
    """
    ids = [str(record.id) for page in _pages(source, with_payload=False) for record in page]
    there = sum(len(target.read_records(ids[at : at + 256], False)) for at in range(0, len(ids), 256))
    if there < len(ids):
        raise CollectionError(
            f"{len(ids) - there:,} of {len(ids):,} points did not arrive at {target.engine.location}; start the copy "
            "again, it goes on where it was"
        )
    sample = ids[:: max(1, len(ids) // SAMPLED_POINTS)][:SAMPLED_POINTS]
    mine = {str(each.id): each for each in source.read_records(sample, True, with_vectors=True)}
    for theirs in target.read_records(sample, True, with_vectors=True):
        given = mine[str(theirs.id)]
        if given.payload != theirs.payload or not _same_vectors(given.vector, theirs.vector):
            raise CollectionError(
                f"point {theirs.id} arrived at {target.engine.location} otherwise than it was sent; was it written "
                "meanwhile? Start the copy again"
            )
    return len(sample)


def _same_vectors(mine: Any, theirs: Any) -> bool:
    """Whether two points have the same vectors, bit for bit."""
    mine, theirs = mine or {}, theirs or {}
    if mine.keys() != theirs.keys():
        return False
    dense, words = mine.get(DENSE), mine.get(BM25)
    if dense is not None and not np.array_equal(np.float32(dense), np.float32(theirs[DENSE])):
        return False
    return words is None or _words(words) == _words(theirs[BM25])


def _words(vector: Any) -> dict[int, float]:
    """Weights by word: the order in a sparse vector is the engine's own."""
    return {index: float(np.float32(value)) for index, value in zip(vector.indices, vector.values, strict=True)}
