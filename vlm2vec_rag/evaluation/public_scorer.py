"""The public scorer's own arithmetic, where it differs from the textbook, for comparing with published scores.

Four differences (VLM2Vec `src/eval_utils/metrics.py`, `eval.py` and the parsers at 6e1e1d4):

- graded nDCG pairs labels with gains after `list(set(labels))` has shuffled the labels, so a graded score depends on
  `PYTHONHASHSEED`: a perfect ranking of gains (2, 1, 1) scores 0.84, 0.88 or 1.0. With equal gains it is right;
- average precision divides by min(relevant, k), not by relevant;
- ties stand in whatever order numpy's unstable sort leaves them;
- where words look for captioned images (WebQA, EDIS), a candidate is known by its file alone, so an image that comes
  with several captions is read with the first one everywhere (`image_t2i_eval.py:45`, `generate_cand_dataset`).

Ties are a matter of ranking, so they live in `order`; hit, recall and reciprocal rank have no quirk of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.evaluation import metrics
from vlm2vec_rag.evaluation.examples import Example, ImageFile, TaskData, TaskQuery


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


def one_caption_each(data: TaskData) -> TaskData:
    """The same task with one candidate for each image file: the first that comes, with its caption."""
    first: dict[str, str] = {}  # file -> name of its first candidate
    stands_for: dict[str, str] = {}
    for candidate in data.candidates():
        file = str(candidate.visual.path) if isinstance(candidate.visual, ImageFile) else candidate.name
        stands_for[candidate.name] = first.setdefault(file, candidate.name)
    kept = set(first.values())

    def candidates() -> Iterator[Example]:
        return (each for each in data.candidates() if each.name in kept)

    queries = [
        TaskQuery(
            query.example,
            {stands_for[name]: gain for name, gain in query.relevance.items()},
            None if query.candidates is None else tuple(dict.fromkeys(stands_for[name] for name in query.candidates)),
        )
        for query in data.queries
    ]
    return TaskData(queries, candidates, data.left_out, data.notes)
