"""Points as Qdrant takes them, and as it gives them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection.bm25 import Bm25, Words
from vlm2vec_rag.collection.points import Payload, Point
from vlm2vec_rag.collection.schema import BM25, DENSE
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


def structs_of(points: Sequence[Point], *, dim: int, bm25: Bm25) -> list[models.PointStruct]:
    """Points with both vectors and payload; not validated by pydantic again, which is slow on long vectors.

    Raises:
        InvalidInput: A vector does not fit, or is given where `dim` is 0 and only words are searched.
    """
    vectors: list[dict[str, Any]] = []
    for point in points:
        words = bm25.encode_text(point.payload.text, name=point.payload.source)
        vectors.append({BM25: sparse_vector(words)} if words else {})
    checked: dict[int, NDArray[np.float32]] = {}
    for at, point in enumerate(points):
        if point.vector is not None:
            if not dim:
                raise InvalidInput(f"point {point.id} has a vector, but this collection holds words only")
            checked[at] = dense_vector(point.vector, dim, of=f"point {point.id}")
    # one tolist for all: the embedded engine takes lists of floats 6 times as fast as arrays
    rows = np.stack(list(checked.values())).tolist() if checked else []
    for at, row in zip(checked, rows, strict=True):
        vectors[at][DENSE] = row
    return [
        models.PointStruct.model_construct(id=point.id, vector=each, payload=point.payload.to_dict())
        for point, each in zip(points, vectors, strict=True)
    ]


def point_of(record: models.Record) -> Point:
    return Point(id=str(record.id), payload=Payload.from_dict(record.payload or {}), vector=dense_of(record))


def dense_of(record: models.Record) -> NDArray[np.float32] | None:
    """The dense vector of a record, (D,) float32, where it has one and was asked for."""
    vector = record.vector.get(DENSE) if isinstance(record.vector, dict) else None
    return None if vector is None else np.asarray(vector, dtype=np.float32)


def dense_vector(vector: ArrayLike, dim: int, *, of: str) -> NDArray[np.float32]:
    """A vector as (D,) float32, checked.

    Raises:
        InvalidInput: It has another width, holds a NaN or an infinity, or is all zeros and so points nowhere.
    """
    with np.errstate(over="ignore"):  # a number too large for float32 becomes an infinity, and is refused as one
        array = np.asarray(vector, dtype=np.float32)
    if array.shape != (dim,):
        raise InvalidInput(f"the vector of {of} has shape {array.shape}; this collection holds vectors of ({dim},)")
    if not np.isfinite(array).all():
        raise InvalidInput(f"the vector of {of} holds a NaN or an infinity; check the encoder's output")
    if not array.any():
        raise InvalidInput(f"the vector of {of} is all zeros, and cosine similarity knows no direction for it")
    return array


def sparse_vector(words: Words) -> models.SparseVector:
    return models.SparseVector.model_construct(indices=words.indices, values=words.values)
