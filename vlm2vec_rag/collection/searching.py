"""From a question to requests for Qdrant, and from Qdrant's answers to a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.collection.fusion import reciprocal_rank_fusion
from vlm2vec_rag.collection.points import Found, Payload
from vlm2vec_rag.collection.schema import BM25, DENSE
from vlm2vec_rag.collection.structs import dense_vector, sparse_vector
from vlm2vec_rag.errors import EmptyInput, InvalidInput

Mode: TypeAlias = Literal["fused", "dense", "bm25"]
MODES: tuple[Mode, ...] = ("fused", "dense", "bm25")

FUSION_DEPTH = 50
"""How far down each side's ranking fusion looks, at least; a point below that on both sides cannot come up."""


def sides_of(mode: str, *, has_vector: bool, has_text: bool, dim: int) -> list[str]:
    """Which vectors a search asks: `dense`, `bm25` or both. A side without a question is left out of a fused search.

    Raises:
        EmptyInput: Nothing to search for is left.
        InvalidInput: There is no such mode, or the collection has no dense vectors.
    """
    if mode not in MODES:
        raise InvalidInput(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
    if mode == DENSE and not dim:
        raise InvalidInput("this collection holds words only and no dense vectors; search it with mode='bm25'")
    given = {DENSE: has_vector and dim > 0, BM25: has_text}
    sides = [side for side in (DENSE, BM25) if given[side] and mode in (side, "fused")]
    if not sides:
        needed = {"dense": "a vector", "bm25": "a text", "fused": "a vector, a text, or both"}[mode]
        raise EmptyInput(f"nothing to search for: mode {mode!r} needs {needed}")
    return sides


def requests_of(
    vector: ArrayLike | None,
    text: str | None,
    *,
    mode: Mode,
    limit: int,
    condition: models.Filter | None,
    dim: int,
    bm25: Bm25,
    params: models.SearchParams | None,
) -> dict[str, models.QueryRequest]:
    """What to ask each side of a search; nothing where none of the text's words can be searched for.

    Raises:
        EmptyInput: Neither a vector nor a text that the mode can use.
        InvalidInput: The vector does not fit, the limit is below 1, or there is no such mode.
    """
    if limit < 1:
        raise InvalidInput(f"limit is {limit}; expected 1 or more")
    has_text = text is not None and bool(text.strip())
    sides = sides_of(mode, has_vector=vector is not None, has_text=has_text, dim=dim)
    depth = max(limit, FUSION_DEPTH) if mode == "fused" else limit
    requests: dict[str, models.QueryRequest] = {}
    if vector is not None and DENSE in sides:
        query = dense_vector(vector, dim, of="the query").tolist()
        requests[DENSE] = request(query, DENSE, limit=depth, condition=condition, params=params)
    if BM25 in sides and (words := bm25.encode_query(text or "")):
        requests[BM25] = request(sparse_vector(words), BM25, limit=depth, condition=condition, params=None)
    return requests


def request(
    query: Any, side: str, *, limit: int, condition: models.Filter | None, params: models.SearchParams | None
) -> models.QueryRequest:
    # not validated again: pydantic would look at each of 1,536 numbers that were made one line above
    return models.QueryRequest.model_construct(
        query=query, using=side, limit=limit, filter=condition, params=params, with_payload=True
    )


@dataclass(frozen=True, slots=True)
class Ranking:
    """One side's answer: scores by id, best first, and the payloads that came with them."""

    scores: dict[str, float]
    payloads: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, points: Sequence[models.ScoredPoint]) -> Ranking:
        # Qdrant leaves the order of equal scores open; by id, the same question always gives the same order
        ordered = sorted(points, key=lambda point: (-point.score, str(point.id)))
        return cls(
            scores={str(point.id): point.score for point in ordered},
            payloads={str(point.id): point.payload or {} for point in ordered},
        )


def answer(
    requests: Mapping[str, models.QueryRequest], responses: Sequence[models.QueryResponse], *, mode: Mode, limit: int
) -> list[Found]:
    """The best `limit` points of Qdrant's responses, which are in the order of the requests."""
    rankings = {side: Ranking.of(each.points) for side, each in zip(requests, responses, strict=True)}
    return merge(rankings, limit, fused=mode == "fused")


def merge(rankings: dict[str, Ranking], limit: int, *, fused: bool) -> list[Found]:
    """The best `limit` points of the sides' rankings, each with the score of the side or sides that found it."""
    if fused:
        scored = reciprocal_rank_fusion([list(ranking.scores) for ranking in rankings.values()])
    else:
        scored = [pair for ranking in rankings.values() for pair in ranking.scores.items()]
    nothing = Ranking({}, {})
    dense, bm25 = rankings.get(DENSE, nothing), rankings.get(BM25, nothing)
    return [
        Found(
            id=each,
            score=score,
            payload=Payload.from_dict(dense.payloads.get(each) or bm25.payloads[each]),
            dense_score=dense.scores.get(each),
            bm25_score=bm25.scores.get(each),
        )
        for each, score in scored[:limit]
    ]
