"""Join two rankings into one: reciprocal rank fusion, a pure function on lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Cormack, Clarke and Büttcher (SIGIR 2009) found 60 best and flat around it; Qdrant's own default is 2
RRF_K = 60

EQUAL_WITHIN = 1e-6
"""Relative difference below which two scores are equal: float32 holds seven digits, and engines add in any order."""


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[str] | Mapping[str, float]], k: int = RRF_K, weights: Sequence[float] | None = None
) -> list[tuple[str, float]]:
    """Fuse rankings of ids, best first, into one ranking with scores.

    score(id) = sum over the rankings that hold it of weight / (k + rank), ranks from 1, weights 1 unless given. An
    empty ranking changes nothing. Equal scores of the result are ordered by id.

    Args:
        rankings: Ids, best first; or scores by id, of which equal ones share a rank (see `ranks`), so that the order in
            which an engine lists them changes nothing.
        k: The larger, the less the first places stand out.
        weights: One for each ranking.
    """
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for each, rank in ranks(ranking).items():
            scores[each] = scores.get(each, 0.0) + weight / (k + rank)
    return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))


def ranks(ranking: Sequence[str] | Mapping[str, float]) -> dict[str, int]:
    """The rank of each id, from 1; equal scores share the best of their ranks: 1, 2, 2, 4."""
    if not isinstance(ranking, Mapping):
        return {each: rank for rank, each in enumerate(ranking, start=1)}
    found: dict[str, int] = {}
    shared, of = 0, math.nan
    for place, (each, score) in enumerate(sorted(ranking.items(), key=lambda scored: -scored[1]), start=1):
        if not are_equal(score, of):
            shared, of = place, score
        found[each] = shared
    return found


def are_equal(score: float, other: float) -> bool:
    """Whether two scores count as the same."""
    return abs(score - other) <= EQUAL_WITHIN * abs(other)
