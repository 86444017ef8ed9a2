"""Answers that differ from each other, by maximal marginal relevance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def maximal_marginal_relevance(
    query: ArrayLike, vectors: ArrayLike, *, limit: int, relevance_weight: float = 0.5
) -> list[int]:
    """The rows to take, best first: each near to the query and far from all that were taken before it.

    Args:
        query: (D,) the encoded question.
        vectors: (N, D) candidates, of any length; only their directions count.
        limit: At most so many.
        relevance_weight: 1 is plain similarity, 0 as different as can be.

    Raises:
        InvalidInput: The weight is outside of 0 to 1.

    Source: Carbonell and Goldstein, SIGIR 1998, equation 1, with cosine similarity on both sides.
    """
    if not 0 <= relevance_weight <= 1:
        raise InvalidInput(f"the weight of relevance is {relevance_weight}; expected 0 (most different) to 1 (nearest)")
    rows = _unit(np.atleast_2d(np.asarray(vectors, dtype=np.float32)))
    if not rows.size:
        return []
    relevance = rows @ _unit(np.asarray(query, dtype=np.float32))  # (N,)
    taken = [int(relevance.argmax())]
    likeness = rows @ rows[taken[0]]  # (N,) to the nearest of those taken
    while len(taken) < min(limit, len(rows)):
        scores = relevance_weight * relevance - (1 - relevance_weight) * likeness
        scores[taken] = -np.inf
        taken.append(int(scores.argmax()))
        likeness = np.maximum(likeness, rows @ rows[taken[-1]])
    return taken


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
