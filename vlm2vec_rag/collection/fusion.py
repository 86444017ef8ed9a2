"""Join two rankings into one: reciprocal rank fusion, a pure function on lists."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

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


_JUST_BELOW = 1e-5
"""By what share of it a score is below another: ten times what counts as equal, and less than between two ranks."""


def hybrid_fusion(
    dense: Mapping[str, float], words: Mapping[str, float], *, dense_weight: float, wordless: Collection[str] = ()
) -> list[tuple[str, float]]:
    """Fuse the dense ranking and that of words; an item without words goes by the dense one alone.

    BM25 cannot find what has no text, so a sum over both rankings would put it behind everything that has some word of
    the question. Instead the item without words that is at rank r by sight comes right behind the r-th of those that
    have words, whatever the weight: words first, then sight, by turns. It keeps its plain sum where that is more, as
    the words in the name of its file may make it. Where no item has a word of the question there is one ranking for
    all, and its order stands. benchmarks/mixed_kinds.py has the figures of this and of its neighbours.

    Args:
        dense: Scores by id.
        words: Scores by id.
        dense_weight: Of the dense ranking; that of words has 1.
        wordless: Ids of the items without words.
    """
    fused = reciprocal_rank_fusion([dense, words], weights=[dense_weight, 1.0])
    worded = [score for each, score in fused if each not in wordless]
    if not words or len(worded) == len(fused) or not worded:
        return fused
    scores = dict(fused)
    for each, rank in ranks(dense).items():
        if each in wordless:
            behind = max(0, rank - len(worded))  # more are seen than have words
            score = worded[min(rank, len(worded)) - 1] * (1 - _JUST_BELOW) ** (1 + behind)
            scores[each] = max(scores[each], score)
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
