"""InfoNCE against its definition, one pair at a time."""

from __future__ import annotations

import math

import pytest
import torch
from vlm2vec_finetune.loss import duplicates, info_nce

T = 0.5


def unit(rows: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def loss_slowly(queries: torch.Tensor, candidates: torch.Tensor, left_out: set[tuple[int, int]] = frozenset()) -> float:  # type: ignore[assignment]
    total = 0.0
    for i, query in enumerate(queries):
        scores = {j: math.exp(float(query @ each) / T) for j, each in enumerate(candidates) if (i, j) not in left_out}
        total -= math.log(scores[i] / sum(scores.values()))
    return total / len(queries)


def test_agrees_with_the_definition() -> None:
    queries, targets = unit(5, 0), unit(5, 1)
    assert info_nce(queries, targets, temperature=T).item() == pytest.approx(loss_slowly(queries, targets), abs=1e-6)


def test_hard_negatives_stand_beside_all_targets() -> None:
    queries, candidates = unit(4, 0), unit(9, 1)
    got = info_nce(queries, candidates, temperature=T).item()
    assert got == pytest.approx(loss_slowly(queries, candidates), abs=1e-6)


def test_both_directions_take_the_mean_of_two_losses() -> None:
    queries, targets = unit(5, 0), unit(5, 1)
    got = info_nce(queries, targets, temperature=T, both_directions=True).item()
    assert got == pytest.approx((loss_slowly(queries, targets) + loss_slowly(targets, queries)) / 2, abs=1e-6)


def test_a_hard_negative_is_no_answer_in_the_other_direction() -> None:
    queries, candidates = unit(3, 0), unit(5, 1)
    got = info_nce(queries, candidates, temperature=T, both_directions=True).item()
    backward = loss_slowly(candidates[:3], queries)
    assert got == pytest.approx((loss_slowly(queries, candidates) + backward) / 2, abs=1e-6)


def test_what_is_no_negative_is_left_out_and_the_own_target_never() -> None:
    queries, candidates = unit(3, 0), unit(4, 1)
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[0, 0] = mask[0, 2] = mask[1, 3] = True
    got = info_nce(queries, candidates, temperature=T, not_negative=mask).item()
    assert got == pytest.approx(loss_slowly(queries, candidates, {(0, 2), (1, 3)}), abs=1e-6)


def test_duplicates_are_equal_targets_and_targets_of_equal_queries() -> None:
    queries = torch.tensor([[1], [2], [1]])  # the first and the last ask the same
    candidates = torch.tensor([[7], [8], [9], [8]])  # the hard negative is the second's target
    assert duplicates(queries, candidates).tolist() == [
        [True, False, True, False],
        [False, True, False, True],
        [True, False, True, False],
    ]
