"""How well questions find their targets: NDCG@5, Hit@1, Recall@10 and MRR, per question and with intervals.

Every target of the held-out pairs is a candidate for every question, and whatever else is given: the other pages of
their documents, without which a dozen candidates make a random order look good. A question asked of several targets has
them all as right answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlm2vec_finetune.inputs import query_prompt, target_prompt
from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_rag.encoder.base import Prompts, Vectors
from vlm2vec_rag.errors import EmptyInput
from vlm2vec_rag.evaluation.intervals import Interval, bootstrap, paired_difference
from vlm2vec_rag.evaluation.metrics import hit, ndcg, rank, recall, reciprocal_rank

METRICS = ("ndcg@5", "hit@1", "recall@10", "mrr")
HEADLINE = "ndcg@5"


@dataclass(frozen=True, slots=True)
class Trial:
    """Questions, candidates, and which of them answer which."""

    queries: tuple[tuple[str, Content], ...]  # prompt and content, each question once
    candidates: tuple[tuple[str, Content], ...]  # each target once
    answers: tuple[frozenset[int], ...]  # per question, numbers of candidates


@dataclass(frozen=True, slots=True)
class Scores:
    """One number per question and metric."""

    values: dict[str, list[float]]

    def interval(self, metric: str) -> Interval:
        """The mean over questions, with its 95 % bootstrap interval."""
        return bootstrap(self.values[metric])

    def gain_over(self, other: Scores, metric: str) -> Interval:
        """How much better these are on the same questions, with the interval of the paired difference."""
        return paired_difference(self.values[metric], other.values[metric])


def trial_of(pairs: Sequence[Pair], prompts: Prompts, more_candidates: Sequence[Content] = ()) -> Trial:
    """Join equal questions and equal targets.

    Args:
        pairs: The held-out side.
        prompts: Of the model that is scored.
        more_candidates: Further pages, clips or texts that answer none of the questions.

    Raises:
        EmptyInput: There are no pairs.
    """
    if not pairs:
        raise EmptyInput("there are no held-out pairs to evaluate on")
    candidates: dict[tuple[str, Content], int] = {}
    queries: dict[tuple[str, Content], set[int]] = {}
    for pair in pairs:
        target = (target_prompt(pair.target, prompts, pair.target_instruction), pair.target)
        number = candidates.setdefault(target, len(candidates))
        queries.setdefault((query_prompt(pair, prompts), pair.query), set()).add(number)
    for content in more_candidates:
        candidates.setdefault((target_prompt(content, prompts), content), len(candidates))
    return Trial(tuple(queries), tuple(candidates), tuple(frozenset(each) for each in queries.values()))


def chance(trial: Trial) -> dict[str, float]:
    """What a random order of the candidates scores on average: metric -> mean over questions.

    Exact: with r right answers among C candidates each place holds a right one with probability r / C, and the first
    right one is at place k with probability comb(C - k, r - 1) / comb(C, r).
    """
    count = len(trial.candidates)
    sums = dict.fromkeys(METRICS, 0.0)
    for right in map(len, trial.answers):
        share = right / count
        gains = [1 / math.log2(place + 2) for place in range(5)]
        sums["ndcg@5"] += share * sum(gains[: min(5, count)]) / sum(gains[: min(5, right)])
        sums["hit@1"] += share
        sums["recall@10"] += min(10, count) / count
        first = (math.comb(count - place, right - 1) / place for place in range(1, count - right + 2))
        sums["mrr"] += sum(first) / math.comb(count, right)
    return {metric: total / len(trial.answers) for metric, total in sums.items()}


def score(trial: Trial, query_vectors: Vectors, candidate_vectors: Vectors) -> Scores:
    """Rank all candidates for each question and measure.

    Args:
        trial: Q questions, C candidates.
        query_vectors: (Q, D) unit rows.
        candidate_vectors: (C, D) unit rows. A row of NaN, for a file that cannot be read, comes last.
    """
    names = [str(number) for number in range(len(candidate_vectors))]
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for vector, right in zip(query_vectors, trial.answers, strict=True):
        ranking = rank(np.asarray(candidate_vectors @ vector, dtype=np.float64), names)
        relevance = {str(number): 1.0 for number in right}
        values["ndcg@5"].append(ndcg(ranking, relevance, 5))
        values["hit@1"].append(hit(ranking, relevance, 1))
        values["recall@10"].append(recall(ranking, relevance, 10))
        values["mrr"].append(reciprocal_rank(ranking, relevance))
    return Scores(values)
