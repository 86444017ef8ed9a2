"""Join two rankings into one: reciprocal rank fusion, a pure function on lists."""

from __future__ import annotations

from collections.abc import Sequence

# Cormack, Clarke and Büttcher (SIGIR 2009) found 60 best and flat around it; Qdrant's own default is 2
RRF_K = 60


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[str]], k: int = RRF_K, weights: Sequence[float] | None = None
) -> list[tuple[str, float]]:
    """Fuse rankings of ids, best first, into one ranking with scores.

    score(id) = sum over the rankings that hold it of weight / (k + rank), ranks from 1, weights 1 unless given. An
    empty ranking changes nothing.
    Equal scores are ordered by id, so the same question always gives the same order.
    """
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, each in enumerate(ranking, start=1):
            scores[each] = scores.get(each, 0.0) + weight / (k + rank)
    return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))
