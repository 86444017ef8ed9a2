"""Maximal marginal relevance against its definition, one row at a time."""

import numpy as np
import pytest

from vlm2vec_rag.diversity import maximal_marginal_relevance
from vlm2vec_rag.errors import InvalidInput

ROWS = np.random.default_rng(7).normal(size=(12, 6)).astype(np.float32)
QUESTION = np.random.default_rng(8).normal(size=6).astype(np.float32)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_definition(limit: int, weight: float) -> list[int]:
    """Carbonell and Goldstein, SIGIR 1998, equation 1; the nearest comes first."""
    taken = [max(range(len(ROWS)), key=lambda at: cosine(QUESTION, ROWS[at]))]
    while len(taken) < min(limit, len(ROWS)):
        rest = [at for at in range(len(ROWS)) if at not in taken]
        score = {
            at: weight * cosine(QUESTION, ROWS[at]) - (1 - weight) * max(cosine(ROWS[at], ROWS[each]) for each in taken)
            for at in rest
        }
        taken.append(max(rest, key=score.__getitem__))
    return taken


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("limit", [1, 5, 20])
def test_it_takes_what_the_definition_takes(limit: int, weight: float) -> None:
    taken = maximal_marginal_relevance(QUESTION, ROWS * 3, limit=limit, relevance_weight=weight)
    assert taken == by_definition(limit, weight)


def test_of_nothing_it_takes_nothing_and_a_weight_must_make_sense() -> None:
    assert maximal_marginal_relevance(QUESTION, [], limit=3) == []
    with pytest.raises(InvalidInput, match=r"weight of relevance is 1\.5"):
        maximal_marginal_relevance(QUESTION, ROWS, limit=3, relevance_weight=1.5)
