"""Metrics against `ir-measures` (trec_eval's own code) and against definitions written out by hand."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.evaluation import metrics, public_scorer

NAMES = [f"page-{i}" for i in range(12)]
scores_and_gains = st.tuples(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=12, max_size=12),  # few values, so that many tie
    st.dictionaries(st.sampled_from([*NAMES, "not-ranked"]), st.integers(1, 3), min_size=1, max_size=6),
)


@pytest.fixture(scope="module")
def irm():
    return pytest.importorskip("ir_measures")


@given(case=scores_and_gains)
def test_agrees_with_trec_eval_on_graded_relevance_and_ties(irm, case):
    scores, gains = case
    run = [irm.ScoredDoc("q", name, score) for name, score in zip(NAMES, scores, strict=True)]
    qrels = [irm.Qrel("q", name, gain) for name, gain in gains.items()]
    ranking = metrics.rank(scores, NAMES)
    expected = irm.calc_aggregate(
        [irm.nDCG @ 5, irm.nDCG, irm.R @ 5, irm.RR, irm.AP, irm.AP @ 5, irm.Success @ 1, irm.Success @ 5], qrels, run
    )
    assert metrics.ndcg(ranking, gains, 5) == pytest.approx(expected[irm.nDCG @ 5])
    assert metrics.ndcg(ranking, gains) == pytest.approx(expected[irm.nDCG])
    assert metrics.recall(ranking, gains, 5) == pytest.approx(expected[irm.R @ 5])
    assert metrics.reciprocal_rank(ranking, gains) == pytest.approx(expected[irm.RR])
    assert metrics.average_precision(ranking, gains) == pytest.approx(expected[irm.AP])
    assert metrics.average_precision(ranking, gains, 5) == pytest.approx(expected[irm.AP @ 5])
    assert metrics.hit(ranking, gains, 1) == expected[irm.Success @ 1]
    assert metrics.hit(ranking, gains, 5) == expected[irm.Success @ 5]


def test_exponential_gain_by_hand():
    # gains 2^3-1=7 and 2^1-1=1, found at places 2 and 1; the ideal has them the other way round
    found = 1 / math.log2(2) + 7 / math.log2(3)
    ideal = 7 / math.log2(2) + 1 / math.log2(3)
    assert metrics.ndcg(["b", "a", "c"], {"a": 3, "b": 1}, 5, gain="exponential") == pytest.approx(found / ideal)


@given(case=scores_and_gains, seed=st.integers(0, 99))
def test_the_order_in_which_candidates_are_listed_does_not_matter(case, seed):
    scores, gains = case
    shuffle = np.random.default_rng(seed).permutation(len(NAMES))
    shuffled = metrics.rank([scores[i] for i in shuffle], [NAMES[i] for i in shuffle])
    assert shuffled == metrics.rank(scores, NAMES)
    assert metrics.ndcg(shuffled, gains, 5) == metrics.ndcg(metrics.rank(scores, NAMES), gains, 5)


@given(case=scores_and_gains, k=st.integers(0, 14))
def test_the_first_k_are_the_first_k_of_all(case, k):
    scores, _ = case
    assert metrics.rank(scores, NAMES, k) == metrics.rank(scores, NAMES)[:k]


def test_a_model_that_gives_everything_the_same_score_does_not_look_perfect():
    names = [f"label {i:03d}" for i in range(100)]  # the benchmark lists the right answer first
    hits = [metrics.hit(metrics.rank(np.ones(100), names), {answer: 1.0}, 1) for answer in names]
    assert metrics.mean(hits) == 0.01  # chance


def test_a_nan_ranks_last():
    assert metrics.rank([float("nan"), 0.1, -5.0], ["a", "b", "c"]) == ["b", "c", "a"]


def test_nothing_relevant_scores_nothing():
    for metric in (metrics.hit, metrics.recall, metrics.reciprocal_rank, metrics.average_precision, metrics.ndcg):
        assert metric(["a", "b"], {}, 5) == 0.0
        assert metric([], {"a": 1.0}, 5) == 0.0


def test_what_is_wrong_with_the_input_is_said():
    with pytest.raises(InvalidInput, match="come twice"):
        metrics.rank([1.0, 2.0], ["a", "a"])
    with pytest.raises(InvalidInput, match="one score per name"):
        metrics.rank([[1.0], [2.0]], ["a", "b"])
    with pytest.raises(InvalidInput, match="k=-1"):
        metrics.hit(["a"], {"a": 1}, -1)
    with pytest.raises(EmptyInput, match="no query was scored"):
        metrics.mean([])


def test_the_public_scorer_pairs_graded_gains_by_hash_order():
    """A perfect ranking of gains 2, 1, 1 scores anything from 0.84 to 1 there, by the seed of Python's hashes."""
    program = (
        "from vlm2vec_rag.evaluation import public_scorer as p;"
        "print(round(p.ndcg(['a', 'b', 'c'], ['a', 'b', 'c'], [2, 1, 1], 5), 2))"
    )
    seen = set()
    for seed in range(12):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(float(run.stdout))
    assert seen == {0.84, 0.88, 1.0}
    assert metrics.ndcg(["a", "b", "c"], {"a": 2, "b": 1, "c": 1}, 5) == 1.0


def test_the_public_scorer_agrees_where_gains_are_equal():
    ranking, labels = ["c", "a", "d", "b"], ["a", "b"]
    assert public_scorer.ndcg(ranking, labels, [1, 1], 5) == metrics.ndcg(ranking, {"a": 1, "b": 1}, 5)


def test_the_public_average_precision_divides_by_the_smaller_of_relevant_and_k():
    relevance = dict.fromkeys("abcdefgh", 1.0)  # eight relevant, two looked at
    assert metrics.average_precision(["a", "b"], relevance, 2) == pytest.approx(2 / 8)
    assert public_scorer.average_precision(["a", "b"], relevance, 2) == pytest.approx(1.0)
    assert public_scorer.average_precision(["a"], {}, 2) == 0.0


def test_the_public_order_of_ties_is_the_order_of_listing():
    assert public_scorer.order([1.0, 1.0, 2.0], ["a", "b", "c"]) == ["c", "a", "b"]
    assert metrics.rank([1.0, 1.0, 2.0], ["a", "b", "c"]) == ["c", "b", "a"]
