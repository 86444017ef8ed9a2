"""Dropout masks that depend on an input's key and layer alone."""

from __future__ import annotations

import itertools

import torch
from vlm2vec_finetune.lora import KeyedDropout, Keys, mixed


def layer(keys: list[int], lengths: list[int], number: int = 0) -> KeyedDropout:
    return KeyedDropout(0.25, number, Keys(keys, lengths)).train()


def test_a_row_keeps_its_mask_in_any_company_and_padding() -> None:
    alone = layer([7], [5])(torch.ones(1, 5, 8))[0]
    among = layer([3, 7, 9], [9, 5, 2])(torch.ones(3, 9, 8))[1]
    torch.testing.assert_close(among[:5], alone)


def test_layers_and_keys_have_masks_of_their_own() -> None:
    masks = [layer([key], [50], number)(torch.ones(1, 50, 40)) for key in (1, 2) for number in (0, 1)]
    assert all(not torch.equal(a, b) for at, a in enumerate(masks) for b in masks[:at])


def test_a_quarter_is_dropped_and_the_mean_is_kept() -> None:
    out = layer([1], [1000])(torch.ones(1, 1000, 100))
    assert abs(float((out == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(out.mean()) - 1) < 0.01


def test_serving_drops_nothing() -> None:
    assert torch.equal(layer([1], [4]).eval()(torch.ones(1, 4, 4)), torch.ones(1, 4, 4))


def test_seeds_of_near_numbers_are_unrelated() -> None:
    seeds = [mixed(42, step, row, side) for step in range(20) for row in range(20) for side in range(3)]
    assert len(set(seeds)) == 1200
    assert all(0 <= seed < 2**63 for seed in seeds)
    bits = sum(bin(a ^ b).count("1") for a, b in itertools.pairwise(seeds)) / 1199
    assert 30 < bits < 33  # of 63: half of them flip
