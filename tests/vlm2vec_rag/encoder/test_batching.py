"""Batches hold every input once, near-equal lengths together, within the budget."""

from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.encoder.batching import batches


@given(st.lists(st.integers(1, 5000), max_size=60), st.integers(1, 8000))
def test_every_input_is_in_one_batch_within_the_budget(lengths, budget):
    groups = batches(lengths, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= budget


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_longer_inputs_come_first(lengths):
    order = [lengths[index] for group in batches(lengths, 4096) for index in group]
    assert order == sorted(lengths, reverse=True)
