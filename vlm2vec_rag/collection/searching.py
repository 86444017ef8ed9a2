"""From a question to requests for Qdrant, and from Qdrant's answers to a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

Mode: TypeAlias = Literal["hybrid", "dense", "bm25"]
MODES: tuple[Mode, ...] = ("hybrid", "dense", "bm25")

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
    sides = [side for side in (DENSE, BM25) if given[side] and mode in (side, "hybrid")]
    if not sides:
        needed = {"dense": "a vector", "bm25": "a text", "hybrid": "a vector, a text, or both"}[mode]
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
    with_payload: bool,
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
    depth = max(limit, FUSION_DEPTH) if mode == "hybrid" else limit
    queries: dict[str, Any] = {}
    if vector is not None and DENSE in sides:
        queries[DENSE] = dense_vector(vector, dim, of="the query").tolist()
    if BM25 in sides and (words := bm25.encode_query(text or "")):
        queries[BM25] = sparse_vector(words)
    return {
        # not validated again: pydantic would look at each of 1,536 numbers that were made a few lines above
        side: models.QueryRequest.model_construct(
            query=query,
            using=side,
            limit=depth,
            filter=condition,
            params=params if side == DENSE else None,
            with_payload=with_payload,
        )
        for side, query in queries.items()
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """The best points of a search, best first, with each side's scores and the payloads that came along."""

    ranking: list[tuple[str, float]]
    scores: Mapping[str, Mapping[str, float]]  # by side, then by id
    payloads: Mapping[str, Mapping[str, Any]]  # by id; empty when they were not asked for

    @classmethod
    def of(
        cls,
        requests: Iterable[str],
        responses: Iterable[models.QueryResponse],
        *,
        mode: Mode,
        limit: int,
        dense_weight: float,
    ) -> Answer:
        """Join Qdrant's responses, which are in the order of the requests."""
        # Qdrant leaves the order of equal scores open; by id, the same question always gives the same order
        sides = {
            side: sorted(response.points, key=lambda point: (-point.score, str(point.id)))
            for side, response in zip(requests, responses, strict=True)
        }
        scores = {side: {str(point.id): point.score for point in points} for side, points in sides.items()}
        if mode == "hybrid":
            weights = [dense_weight if side == DENSE else 1.0 for side in scores]
            ranking = reciprocal_rank_fusion([list(each) for each in scores.values()], weights=weights)
        else:
            ranking = list(scores[mode].items())
        payloads = {str(point.id): point.payload for points in sides.values() for point in points if point.payload}
        return cls(ranking[:limit], scores, payloads)

    @property
    def without_payload(self) -> list[str]:
        """The points whose payload is still to be read."""
        return [each for each, _ in self.ranking if each not in self.payloads]

    def found(self, records: Iterable[models.Record] = ()) -> list[Found]:
        """What the caller gets, given the records of those `without_payload`; one deleted meanwhile is left out."""
        payloads = {**self.payloads, **{str(each.id): each.payload or {} for each in records}}
        dense, bm25 = self.scores.get(DENSE, {}), self.scores.get(BM25, {})
        return [
            Found(
                id=each,
                score=score,
                payload=Payload.from_dict(payloads[each]),
                dense_score=dense.get(each),
                bm25_score=bm25.get(each),
            )
            for each, score in self.ranking
            if each in payloads
        ]
