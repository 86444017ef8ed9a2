"""How well one ranking answers one query: hit, recall, reciprocal rank, average precision and nDCG.

Pure functions. A ranking is a sequence of names, best first; relevance maps a name to its gain, and a name
that is absent has gain 0. `k=None` looks at the whole ranking. Every value lies in [0, 1].

`rank` breaks ties by name, so that a score never depends on the order in which candidates were listed: in the
benchmark's image tasks the right answer is listed first, and a model that gives everything the same vector
must not look perfect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.errors import EmptyInput, InvalidInput

Gain: TypeAlias = Literal["linear", "exponential"]
Relevance: TypeAlias = Mapping[str, float]
_T = TypeVar("_T")


def rank(scores: npt.ArrayLike, names: Sequence[str], k: int | None = None) -> list[str]:
    """Order names by falling score; equal scores by falling name, as trec_eval does.

    Args:
        scores: (N,) one per name; a NaN comes last.
        names: N names, each once.
        k: How many to return.

    Raises:
        InvalidInput: The lengths differ, or a name comes twice.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(names),):
        raise InvalidInput(f"got scores of shape {values.shape} for {len(names)} names; expected one score per name")
    if len(set(names)) != len(names):
        raise InvalidInput(f"{len(names) - len(set(names))} of {len(names)} names come twice; rank each candidate once")
    values = np.where(np.isnan(values), -np.inf, values)
    # k best by value first: sorting names is the slow part, and only the top and what ties with its end matter
    order: npt.NDArray[np.intp] = np.arange(len(names))
    if k is not None and k < len(names):
        bar = np.partition(values, len(names) - k)[len(names) - k] if k > 0 else np.inf
        order = np.flatnonzero(values >= bar)
    ordered = sorted(order.tolist(), key=lambda i: names[i], reverse=True)
    ordered.sort(key=lambda i: -values[i])
    return [names[i] for i in ordered[:k]]


def hit(ranking: Sequence[str], relevance: Relevance, k: int | None = None) -> float:
    """1.0 where any relevant name is among the first k.

    Source: VLM2Vec `RankingMetrics.hit_at_k`; Success@k of `ir-measures`.
    """
    return float(any(relevance.get(name, 0) > 0 for name in _cut(ranking, k)))


def recall(ranking: Sequence[str], relevance: Relevance, k: int | None = None) -> float:
    """The share of the relevant names that are among the first k; 0 where nothing is relevant.

    Source: trec_eval `recall`.
    """
    relevant = _relevant(relevance)
    return len(relevant.intersection(_cut(ranking, k))) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], relevance: Relevance, k: int | None = None) -> float:
    """One over the place of the first relevant name; 0 where there is none among the first k.

    Source: Voorhees, TREC-8 question answering report (1999).
    """
    for place, name in enumerate(_cut(ranking, k), start=1):
        if relevance.get(name, 0) > 0:
            return 1 / place
    return 0.0


def average_precision(ranking: Sequence[str], relevance: Relevance, k: int | None = None) -> float:
    """The mean of the precision at each relevant name, over all relevant names.

    A relevant name beyond k counts as never found, as in trec_eval's `map_cut`.

    Source: Buckley and Voorhees, "Evaluating evaluation measure stability" (2000).
    """
    relevant = _relevant(relevance)
    return sum(_precisions(_cut(ranking, k), relevant)) / len(relevant) if relevant else 0.0


def ndcg(ranking: Sequence[str], relevance: Relevance, k: int | None = None, gain: Gain = "linear") -> float:
    """Discounted gain over that of the best possible ranking; 0 where nothing is relevant.

    Args:
        ranking: Names, best first.
        relevance: Gain per relevant name; graded values are used as they are.
        k: How far down to look, in the ranking and in the ideal one alike.
        gain: `linear` takes the relevance itself (Järvelin and Kekäläinen 2002, trec_eval, MMEB-V2's headline),
            `exponential` takes 2^relevance - 1 (Burges et al. 2005).
    """
    gains = {name: _gain(value, gain) for name, value in relevance.items() if value > 0}
    ideal = _discounted(_cut(sorted(gains.values(), reverse=True), k))
    return _discounted([gains.get(name, 0.0) for name in _cut(ranking, k)]) / ideal if ideal else 0.0


def mean(values: Sequence[float]) -> float:
    """The plain mean.

    Raises:
        EmptyInput: There is no value.
    """
    if not len(values):
        raise EmptyInput("there is nothing to take the mean of; no query was scored")
    return math.fsum(values) / len(values)


def _gain(value: float, gain: Gain) -> float:
    return float(value) if gain == "linear" else float(2.0**value - 1)


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def _precisions(ranking: Sequence[str], relevant: set[str]) -> list[float]:
    precisions: list[float] = []
    for place, name in enumerate(ranking, start=1):
        if name in relevant:
            precisions.append((len(precisions) + 1) / place)
    return precisions


def _relevant(relevance: Relevance) -> set[str]:
    return {name for name, value in relevance.items() if value > 0}


def _cut(values: Sequence[_T], k: int | None) -> Sequence[_T]:
    if k is not None and k < 0:
        raise InvalidInput(f"k={k}: it counts places from the top; give 1 or more, or None for all")
    return values if k is None else values[:k]
