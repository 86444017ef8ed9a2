"""Batches: pure functions of (seed, step), in the proportions asked for, every pair once per epoch."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vlm2vec_finetune.mixing import SLOTS, Mix, shares

from vlm2vec_rag.errors import EmptyInput, InvalidInput


def mix(sizes: list[int], weights: list[float], batch: int = 16, sub: int = 4, seed: int = 0) -> Mix:
    return Mix(sizes, weights, batch_size=batch, sub_batch_size=sub, seed=seed)


def test_a_batch_is_the_same_whatever_was_asked_before() -> None:
    in_order = [mix([50, 70], [1, 2]).batch(step) for step in range(600)]
    other = mix([50, 70], [1, 2])
    assert [other.batch(step) for step in (599, 3, 250, 251, 0)] == [in_order[step] for step in (599, 3, 250, 251, 0)]


def test_another_seed_gives_other_batches() -> None:
    assert mix([50, 70], [1, 2], seed=1).batch(0) != mix([50, 70], [1, 2], seed=2).batch(0)


def test_each_sub_batch_comes_from_one_source() -> None:
    for step in range(20):
        rows = mix([50, 70, 90], [1, 1, 1]).batch(step)
        assert all(len({source for source, _ in rows[at : at + 4]}) == 1 for at in range(0, 16, 4))


def test_a_round_deals_exactly_by_weight() -> None:
    table = mix([1000, 1000, 1000], [5, 3, 2])
    counts = Counter(source for step in range(SLOTS // 4) for source, _ in table.batch(step))
    assert [counts[source] for source in range(3)] == [2000, 1200, 800]


def test_every_pair_comes_once_before_any_comes_twice() -> None:
    seen = [row for step in range(10) for row in mix([80], [1], batch=16).batch(step)]
    assert sorted(seen[:80]) == [(0, at) for at in range(80)] == sorted(seen[80:])
    assert seen[:80] != seen[80:]


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60))
def test_shares_fill_the_round_and_leave_nobody_out(weights: list[float]) -> None:
    given_slots = shares(weights)
    assert sum(given_slots) == SLOTS
    assert min(given_slots) >= 1


def test_senseless_mixes_are_refused() -> None:
    with pytest.raises(EmptyInput, match=r"\[1\] have no pairs"):
        mix([3, 0], [1, 1])
    with pytest.raises(InvalidInput, match="above 0"):
        mix([3, 3], [1, 0])
    with pytest.raises(InvalidInput, match="does not divide"):
        mix([3], [1], batch=10, sub=4)
