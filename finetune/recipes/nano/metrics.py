"""How well a ranking finds the one right page, and BM25 to compare with.

Shape letters: Q questions, N pages.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from questions import WORD

from vlm2vec_rag.collection.fusion import reciprocal_rank_fusion

Array = npt.NDArray[np.float64]


def rank_of_right(scores: Array, right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Place of the right page of each question, from 0; ties count against it. scores: (Q, N)."""
    own = scores[np.arange(len(right)), right][:, None]
    places: npt.NDArray[np.int64] = (scores >= own).sum(1) - 1
    return places


def ranking_metrics(places: npt.NDArray[np.int64]) -> dict[str, float]:
    """NDCG@5, Hit@1 and Recall@10 with one right page for each question."""
    return {
        "ndcg@5": float(np.where(places < 5, 1 / np.log2(places + 2), 0).mean()),
        "hit@1": float((places == 0).mean()),
        "recall@10": float((places < 10).mean()),
    }


def chance_metrics(pages: int) -> dict[str, float]:
    """What a random order of N pages scores."""
    return {"ndcg@5": float((1 / np.log2(np.arange(5) + 2)).sum() / pages), "hit@1": 1 / pages, "recall@10": 10 / pages}


def bm25(questions: list[str], texts: list[str], k1: float = 1.2, b: float = 0.75) -> Array:
    """(Q, N) Okapi BM25 over lower-case words."""
    counts = [Counter(WORD.findall(text.lower())) for text in texts]
    lengths = np.array([sum(count.values()) for count in counts], dtype=np.float64)
    norm = k1 * (1 - b + b * lengths / lengths.mean())
    scores = np.zeros((len(questions), len(texts)))
    for row, question in enumerate(questions):
        for word in set(WORD.findall(question.lower())):
            times = np.array([count[word] for count in counts], dtype=np.float64)
            holding = (times > 0).sum()
            idf = np.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            scores[row] += idf * times * (k1 + 1) / (times + norm)
    return scores


def fuse(*scores: Array, weights: tuple[float, ...] | None = None) -> Array:
    """(Q, N) the library's own fusion of rankings, for every page of each question."""
    total = np.zeros_like(scores[0])
    for row, sides in zip(total, zip(*scores, strict=True), strict=True):
        rankings = [[str(page) for page in np.argsort(-side, kind="stable")] for side in sides]
        for page, score in reciprocal_rank_fusion(rankings, weights=weights):
            row[int(page)] = score
    return total
