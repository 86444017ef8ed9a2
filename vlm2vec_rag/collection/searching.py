"""From a question to requests for Qdrant, and from Qdrant's responses to a ranking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection.bm25 import Bm25, Words
from vlm2vec_rag.collection.fusion import RRF_K, are_equal, hybrid_fusion
from vlm2vec_rag.collection.points import WORDLESS, Found, Payload
from vlm2vec_rag.collection.schema import BM25, DENSE
from vlm2vec_rag.collection.structs import dense_vector, sparse_vector
from vlm2vec_rag.errors import EmptyInput, InvalidInput

Mode: TypeAlias = Literal["hybrid", "dense", "bm25"]
MODES: tuple[Mode, ...] = ("hybrid", "dense", "bm25")

FUSION_DEPTH = 50
"""How far down each side's ranking fusion looks, at least; a point below that on both sides cannot come up."""


class Scored(NamedTuple):
    """A point as a search gives it back; the payload where it came along."""

    id: str
    score: float
    payload: Mapping[str, Any] | None = None
    is_wordless: bool = False

    @classmethod
    def of(cls, point: Any) -> Scored:
        """A point of qdrant-client's."""
        return cls(str(point.id), point.score, point.payload, bool((point.payload or {}).get(WORDLESS)))


def sides_of(mode: str, *, has_vector: bool, has_text: bool, dim: int) -> list[str]:
    """Which vectors a search asks: `dense`, `bm25` or both. A side without a question is left out of a hybrid search.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A question as a collection asks it: a vector for each side, and what is wanted of the answer."""

    sides: Mapping[str, list[float] | Words]  # by side; empty where none of the text's words can be searched for
    mode: Mode
    limit: int
    dense_weight: float  # of the dense ranking in the fusion; BM25 has 1
    has_wordless: bool = False  # whether there may be points without words
    matches_words: bool = False  # see `Fingerprint`
    conditions: Sequence[models.Filter | None] = (None,)  # a point passes one of them at most
    params: models.SearchParams | None = None  # of the dense side

    @classmethod
    def of(
        cls, vector: ArrayLike | None, text: str | None, *, mode: Mode, limit: int, dim: int, bm25: Bm25, **more: Any
    ) -> Search:
        """Check a question and encode its words.

        Raises:
            EmptyInput: Neither a vector nor a text that the mode can use.
            InvalidInput: The vector does not fit, the limit is below 1, or there is no such mode.
        """
        if limit < 1:
            raise InvalidInput(f"limit is {limit}; expected 1 or more")
        has_text = text is not None and bool(text.strip())
        asked = sides_of(mode, has_vector=vector is not None, has_text=has_text, dim=dim)
        sides: dict[str, list[float] | Words] = {}
        if vector is not None and DENSE in asked:
            sides[DENSE] = dense_vector(vector, dim, of="the query").tolist()
        if BM25 in asked and (words := bm25.encode_query(text or "")):
            sides[BM25] = words
        return cls(sides=sides, mode=mode, limit=limit, **more)

    @property
    def is_hybrid(self) -> bool:
        """Whether there are two rankings to be fused."""
        return self.mode == "hybrid" and len(self.sides) > 1

    @property
    def depth(self) -> int:
        """How many points of each side are looked at."""
        return max(self.limit, FUSION_DEPTH) if self.mode == "hybrid" else self.limit

    def requests(self, *, most: int | None = None, with_payload: bool = True) -> list[models.QueryRequest]:
        """A request for each side and condition, in that order; see `by_side`.

        Args:
            most: How many points a server gives at once, where it has a bound.
            with_payload: Whether points come with their payloads.
        """
        return [
            # not validated again: pydantic would look at each of 1,536 numbers that were just checked
            models.QueryRequest.model_construct(**self._one_side(side, condition, most), with_payload=with_payload)
            for side in self.sides
            for condition in self.conditions
        ]

    def by_side(self, responses: Iterable[Sequence[Scored]]) -> dict[str, list[Scored]]:
        """The responses to `requests`, one ranking for each side, best first."""
        given = iter(responses)
        return {
            side: sorted((each for _ in self.conditions for each in next(given)), key=lambda each: -each.score)
            for side in self.sides
        }

    @property
    def is_fusable(self) -> bool:
        """Whether Qdrant can fuse the sides as `fused` does.

        It cannot where their weights differ: there it divides the rank by the weight, 1 / (rank / weight + k - 1), so
        that the nearest point of a side that weighs little still counts much (seen on 1.18.3: weights 0.02 and 1, k 60,
        ranks 1 and 3 give 1 / 109 + 1 / 62 = 0.0253). Nor where points without words are weighed otherwise.
        """
        plain = self.dense_weight == 1.0 and not self.has_wordless and not self.matches_words
        return self.is_hybrid and plain and len(self.conditions) == 1

    def fused_request(self, *, most: int | None = None) -> models.QueryRequest:
        """Both sides in one query that the server fuses."""
        [condition] = self.conditions
        return models.QueryRequest.model_construct(
            prefetch=[models.Prefetch.model_construct(**self._one_side(side, condition, most)) for side in self.sides],
            query=models.RrfQuery(rrf=models.Rrf(k=RRF_K + 1)),  # it counts ranks from 0
            limit=self.limit,
            with_payload=True,
        )

    def fused(self, rankings: Mapping[str, Sequence[Scored]]) -> list[tuple[str, float]]:
        """One ranking of ids and scores from that of each side: all of it where there are two.

        Where the model matches words, and no word of the question occurs anywhere, only points without words are left.
        """
        scores = {side: {each.id: each.score for each in ranking} for side, ranking in rankings.items()}
        if self.mode != "hybrid":
            return list(scores[self.mode].items())
        dense, words = scores.get(DENSE, {}), scores.get(BM25, {})
        wordless = {each.id for each in rankings.get(DENSE, ()) if each.is_wordless}
        if self.matches_words and BM25 in scores and not words:
            dense = {each: score for each, score in dense.items() if each in wordless}
        return hybrid_fusion(dense, words, dense_weight=self.dense_weight, wordless=wordless)

    def _one_side(self, side: str, condition: models.Filter | None, most: int | None) -> dict[str, Any]:
        query = self.sides[side]
        return {
            "query": sparse_vector(query) if isinstance(query, Words) else query,
            "using": side,
            "limit": min(self.depth, most or self.depth),
            "filter": condition,
            "params": self.params if side == DENSE else None,
        }


@dataclass(slots=True)
class Ranking:
    """The best points of a search, with each side's scores and the payloads that came along.

    Equal scores are ordered by source, then by place in it, so that the same question has one answer on every engine.
    Only payloads tell, so they are needed for as many points as share the last score that is returned.
    """

    limit: int
    scored: list[tuple[str, float]]  # best first, to the last that shares the score of the one at `limit`
    by_side: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # side -> id -> score
    payloads: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, search: Search, rankings: Mapping[str, Sequence[Scored]]) -> Ranking:
        """Join the rankings of the sides."""
        scored = search.fused(rankings)
        if len(scored) > search.limit:
            last = scored[search.limit - 1][1]
            end = next((at for at in range(search.limit, len(scored)) if not are_equal(scored[at][1], last)), None)
            scored = scored[:end]
        return cls(
            search.limit,
            scored,
            {side: {each.id: each.score for each in ranking} for side, ranking in rankings.items()},
            {each.id: each.payload for ranking in rankings.values() for each in ranking if each.payload},
        )

    @classmethod
    def of_fused(cls, search: Search, points: Sequence[Scored]) -> Ranking:
        """Take what a server fused.

        It ranks equal scores one after the other. Where that is seen, in points of equal content, they share the best.
        """
        best: dict[str, float] = {}
        for each in points:
            content = (each.payload or {}).get("content_hash", each.id)
            best[content] = max(each.score, best.get(content, each.score))
        scored = [(each.id, best[(each.payload or {}).get("content_hash", each.id)]) for each in points]
        return cls(
            search.limit,
            sorted(scored, key=lambda pair: -pair[1]),
            payloads={each.id: each.payload or {} for each in points},
        )

    @property
    def without_payload(self) -> list[str]:
        """The points whose payload is still to be read."""
        return [each for each, _ in self.scored if each not in self.payloads]

    def found(self, payloads: Mapping[str, Mapping[str, Any]] | None = None) -> list[Found]:
        """What the caller gets, given the payloads of those `without_payload`; one deleted meanwhile is left out."""
        known = {**self.payloads, **(payloads or {})}
        there = [(each, score) for each, score in self.scored if each in known]
        dense, bm25 = self.by_side.get(DENSE, {}), self.by_side.get(BM25, {})
        return [
            Found(
                id=each,
                score=score,
                payload=Payload.from_dict(known[each]),
                dense_score=dense.get(each),
                bm25_score=bm25.get(each),
            )
            for each, score in _ordered(there, known)[: self.limit]
        ]


def _ordered(scored: Sequence[tuple[str, float]], payloads: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Scores as they come, equal ones by source and place."""
    ordered: list[tuple[str, float]] = []
    for group in _groups(scored):
        ordered.extend(sorted(group, key=lambda pair: (*_place(payloads[pair[0]]), pair[0])) if group[1:] else group)
    return ordered


def _groups(scored: Sequence[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    """Neighbours whose scores are equal."""
    group: list[tuple[str, float]] = []
    for pair in scored:
        if group and not are_equal(pair[1], group[0][1]):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def _place(payload: Mapping[str, Any]) -> tuple[str, list[float], str]:
    """What equal scores are ordered by: the source, then the numbers in the place, so that page 9 is before page 10."""
    fragment = payload.get("fragment", "")
    return payload.get("source", ""), [float(each) for each in re.findall(r"\d+(?:\.\d+)?", fragment)], fragment
