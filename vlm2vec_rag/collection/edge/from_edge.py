"""The embedded engine's answers as qdrant-client's models."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import models

# Answers are built without pydantic's validation: the engine made them, and checking 1,536 numbers a point takes longer
# than the search did.


def record(found: Any) -> models.Record:
    return models.Record.model_construct(
        id=id_of(found.id),
        payload=found.payload,
        vector=vectors(found.vector),
        shard_key=None,
        order_value=found.order_value,
    )


def scored_point(found: Any, *, with_vectors: bool) -> models.ScoredPoint:
    """`with_vectors` says whether they were asked for; the engine sends those of a diverse (MMR) search unasked."""
    return models.ScoredPoint.model_construct(
        id=id_of(found.id),
        version=found.version,
        score=found.score,
        payload=found.payload,
        vector=vectors(found.vector) if with_vectors else None,
        shard_key=None,
        order_value=found.order_value,
    )


def id_of(found: Any) -> int | str:
    return found if isinstance(found, int) else str(found)


def vectors(found: Any) -> Any:
    """Vectors by name, or the one vector of a collection whose vector has no name."""
    if not isinstance(found, dict):
        return found
    named = {
        name: models.SparseVector.model_construct(indices=list(each.indices), values=list(each.values))
        if isinstance(each, edge.SparseVector)
        else each
        for name, each in found.items()
    }
    return named[""] if named.keys() == {""} else named
