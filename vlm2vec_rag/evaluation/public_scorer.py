"""The public scorer's own arithmetic, where it differs from the textbook, for comparing with published scores.

Three differences (VLM2Vec `src/eval_utils/metrics.py` and `eval.py` at 6e1e1d4):

- graded nDCG pairs labels with gains after `list(set(labels))` has shuffled the labels, so a graded score depends on
  `PYTHONHASHSEED`: a perfect ranking of gains (2, 1, 1) scores 0.84, 0.88 or 1.0. With equal gains it is right;
- average precision divides by min(relevant, k), not by relevant;
- ties stand in whatever order numpy's unstable sort leaves them.

The last one is a matter of ranking, so it lives in `order`; hit, recall and reciprocal rank have no quirk of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.evaluation import metrics


def order(scores: npt.ArrayLike, names: Sequence[str]) -> list[str]:
    """Names by falling score; equal scores in the order that numpy's default sort leaves (eval.py:302-343)."""
    return [names[i] for i in np.argsort(-np.asarray(scores)).tolist()]


def ndcg(
    ranking: Sequence[str],
    labels: Sequence[str],
    gains: Sequence[float],
    k: int | None = None,
    gain: metrics.Gain = "linear",
) -> float:
    """nDCG with the labels reordered under the gains (metrics.py:183, 214).

    Args:
        ranking: Names, best first.
        labels: The relevant names, in the order of the relevance file.
        gains: Their gains, in the same order.
        k: How far down to look.
        gain: As in `metrics.ndcg`.
    """
    shuffled = list(set(labels))
    return metrics.ndcg(ranking, dict(zip(shuffled, gains, strict=True)), k, gain)


def average_precision(ranking: Sequence[str], relevance: metrics.Relevance, k: int) -> float:
    """Average precision over min(relevant, k) (metrics.py `average_precision_at_k`)."""
    relevant = sum(value > 0 for value in relevance.values())
    if not relevant:
        return 0.0
    return metrics.average_precision(ranking, relevance, k) * relevant / min(relevant, k)
