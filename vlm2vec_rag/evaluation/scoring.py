"""From vectors to scores: rank each query's candidates, and measure the rankings.

Shape letters: Q queries, N candidates, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation import metrics, public_scorer
from vlm2vec_rag.evaluation.examples import TaskQuery
from vlm2vec_rag.evaluation.vector_cache import Encoded

CUTS = (1, 5, 10)
_BLOCK = 256  # queries scored at once: 256 x 100,000 candidates are 100 MB


@dataclass(frozen=True, slots=True)
class ScoredQuery:
    """The top of one query's ranking, and what it scores."""

    index: int  # of the query in its task
    ranking: Sequence[tuple[str, float]]  # name and similarity, best first
    scores: Mapping[str, float]  # `hit@1` -> value


def score(
    queries: Sequence[TaskQuery], encoded: Encoded, candidates: Encoded, *, as_public: bool = False
) -> tuple[list[ScoredQuery], list[str]]:
    """Rank and measure every query whose pixels, and whose own candidates', could be read.

    Args:
        queries: Q queries.
        encoded: Their vectors, (Q, D).
        candidates: All candidates of the task, (N, D).
        as_public: Reproduce the public scorer, its defects included (see `public_scorer`).

    Returns:
        The scored queries, and a line for each that was left out.
    """
    places = {name: row for row, name in enumerate(candidates.names)}
    scored: list[ScoredQuery] = []
    left_out: list[str] = []
    for index, names, similarities in _similarities(queries, encoded, candidates, places):
        if index in encoded.unreadable:
            left_out.append(f"query {index}: {encoded.unreadable[index]}")
            continue
        own = queries[index].candidates is not None
        if own and np.isnan(similarities).any():
            row = places[names[int(np.flatnonzero(np.isnan(similarities))[0])]]
            left_out.append(f"query {index}: {candidates.unreadable[row]}")
            continue
        order = public_scorer.order if as_public else _top
        ranking = order(similarities, names)[: max(CUTS)]
        where = {name: i for i, name in enumerate(names)} if own else places
        pairs = [(name, float(similarities[where[name]])) for name in ranking]
        scored.append(ScoredQuery(index, pairs, measure(ranking, queries[index].relevance, as_public=as_public)))
    return scored, left_out


def measure(ranking: Sequence[str], relevance: metrics.Relevance, *, as_public: bool = False) -> dict[str, float]:
    """Every metric of the benchmark at 1, 5 and 10, under the names it gives them."""
    found: dict[str, float] = {}
    for k in CUTS:
        found[f"hit@{k}"] = metrics.hit(ranking, relevance, k)
        found[f"recall@{k}"] = metrics.recall(ranking, relevance, k)
        found[f"mrr@{k}"] = metrics.reciprocal_rank(ranking, relevance, k)
        gains: tuple[metrics.Gain, ...] = ("linear", "exponential")
        for gain in gains:
            if as_public:
                labels, values = list(relevance), list(relevance.values())
                found[f"ndcg_{gain}@{k}"] = public_scorer.ndcg(ranking, labels, values, k, gain)
            else:
                found[f"ndcg_{gain}@{k}"] = metrics.ndcg(ranking, relevance, k, gain)
        average: Callable[[Sequence[str], metrics.Relevance, int], float]
        average = public_scorer.average_precision if as_public else metrics.average_precision
        found[f"map@{k}"] = average(ranking, relevance, k)
    return found


def _top(similarities: np.ndarray, names: Sequence[str]) -> list[str]:
    return metrics.rank(similarities, names, max(CUTS))


def _similarities(
    queries: Sequence[TaskQuery], encoded: Encoded, candidates: Encoded, places: Mapping[str, int]
) -> Iterator[tuple[int, Sequence[str], np.ndarray]]:
    """Each query with the names it is ranked against and its cosine with each of them."""
    for start in range(0, len(queries), _BLOCK):
        block = encoded.vectors[start : start + _BLOCK]
        everything: np.ndarray | None = None  # (block, N), once a query of the block needs it
        for row, query in enumerate(queries[start : start + _BLOCK]):
            if query.candidates is None:
                everything = block @ candidates.vectors.T if everything is None else everything
                yield start + row, candidates.names, everything[row]
                continue
            try:
                rows = [places[name] for name in query.candidates]
            except KeyError as error:
                raise InvalidInput(f"query {start + row} names the candidate {error}, which the task lacks") from None
            yield start + row, query.candidates, candidates.vectors[rows] @ block[row]
