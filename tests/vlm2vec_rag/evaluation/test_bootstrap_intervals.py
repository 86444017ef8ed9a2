"""Bootstrap intervals against the normal approximation, and their repeatability."""

import numpy as np
import pytest

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.evaluation.intervals import bootstrap, paired_difference


def test_agrees_with_the_normal_approximation_on_many_queries():
    hits = [1.0] * 300 + [0.0] * 700
    interval = bootstrap(hits)
    error = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert interval.mean == pytest.approx(0.3)
    assert interval.low == pytest.approx(0.3 - error, abs=0.004)
    assert interval.high == pytest.approx(0.3 + error, abs=0.004)


def test_the_same_scores_give_the_same_interval():
    scores = np.random.default_rng(0).random(50).tolist()
    assert bootstrap(scores) == bootstrap(scores)
    assert bootstrap(scores, seed=1) != bootstrap(scores)


def test_equal_scores_leave_no_doubt():
    interval = bootstrap([0.5] * 10)
    assert (interval.low, interval.mean, interval.high) == (0.5, 0.5, 0.5)


def test_blocks_of_draws_cover_many_queries(monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.evaluation.intervals._BLOCK", 70)
    interval = bootstrap([0.0, 1.0] * 10, draws=1001)
    assert interval.low < 0.5 < interval.high


def test_pairing_finds_a_small_steady_difference_that_two_intervals_hide():
    base = np.random.default_rng(0).random(200)
    better = base + 0.01 + np.random.default_rng(1).normal(0, 0.01, 200)
    assert bootstrap(better.tolist()).low < bootstrap(base.tolist()).high
    assert paired_difference(better.tolist(), base.tolist()).low > 0


def test_wrong_input_is_said():
    with pytest.raises(EmptyInput, match="no query was scored"):
        bootstrap([])
    with pytest.raises(InvalidInput, match=r"level=95"):
        bootstrap([1.0], level=95)
    with pytest.raises(InvalidInput, match="same queries"):
        paired_difference([1.0], [1.0, 0.0])
