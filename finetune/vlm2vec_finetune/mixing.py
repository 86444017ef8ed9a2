"""Which pairs make the batch of a step: a pure function of (seed, step), whatever reads them.

The sub-batches of all steps form one endless row of slots, dealt out in rounds. In a round every source gets slots in
proportion to its weight, in an order drawn from (seed, round). A source's own sub-batches walk through its pairs in an
order drawn from (seed, source, epoch), so that every pair comes once before any comes twice. Nothing is counted while
training: a batch is found from its number alone, on any rank and with any number of workers.

The public code draws sources while it iterates, so that its batches change with loader workers and ranks
(`mixed_dataset.py:24-27`, `hf_datasets.py:330-345` at 6e1e1d4), which moved published scores by up to six points.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.errors import EmptyInput, InvalidInput

Row: TypeAlias = tuple[int, int]  # (source, pair of that source)
_Order: TypeAlias = npt.NDArray[np.int64]

SLOTS = 1000  # of a round: weights are kept to a tenth of a percent
_SOURCES, _PAIRS = 1, 2  # what a random stream is for, so that no two of them coincide


class Mix:
    """Deals out sub-batches of weighted sources."""

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], *, batch_size: int, sub_batch_size: int, seed: int
    ) -> None:
        """Set up the table.

        Args:
            sizes: Pairs of each source.
            weights: Share of each source, on any scale.
            batch_size: Pairs of a step, over all ranks.
            sub_batch_size: Pairs in a row from one source; divides `batch_size`.
            seed: Start of all random orders.

        Raises:
            EmptyInput: A source has no pairs.
            InvalidInput: Weights or sizes make no sense.
        """
        if not sizes or len(sizes) != len(weights):
            raise InvalidInput(f"{len(sizes)} sources came with {len(weights)} weights; give one weight for each")
        if empty := [index for index, size in enumerate(sizes) if size < 1]:
            raise EmptyInput(f"the sources {empty} have no pairs; leave them out of the recipe")
        if batch_size % sub_batch_size:
            raise InvalidInput(f"sub_batch_size {sub_batch_size} does not divide batch_size {batch_size}")
        self._sizes, self._seed, self._width = tuple(sizes), seed, sub_batch_size
        self._per_step = batch_size // sub_batch_size
        self.slots = shares(weights)

    def batch(self, step: int) -> list[Row]:
        """The pairs of a step, counted from 0, in the order of the global batch."""
        rows: list[Row] = []
        for slot in range(step * self._per_step, (step + 1) * self._per_step):
            source, turn = self._turn(slot)
            rows += [(source, self._pair(source, at)) for at in range(turn * self._width, (turn + 1) * self._width)]
        return rows

    def _turn(self, slot: int) -> tuple[int, int]:
        """The source of a slot, and how many sub-batches that source gave before it."""
        deal_number, within = divmod(slot, SLOTS)
        order = _shuffled_sources(self.slots, self._seed, deal_number)
        source = int(order[within])
        return source, deal_number * self.slots[source] + int(np.count_nonzero(order[:within] == source))

    def _pair(self, source: int, position: int) -> int:
        """The pair at a position of a source's endless walk."""
        epoch, within = divmod(position, self._sizes[source])
        return int(_shuffled_pairs(self._sizes[source], self._seed, source, epoch)[within])


def shares(weights: Sequence[float], slots: int = SLOTS) -> tuple[int, ...]:
    """Divide slots by weight with largest remainders; every source gets at least one.

    Raises:
        InvalidInput: A weight is not positive, or there are more sources than slots.
    """
    if bad := [weight for weight in weights if not 0 < weight < float("inf")]:
        raise InvalidInput(f"weights must be above 0, got {bad}; leave a source out instead")
    if len(weights) > slots:
        raise InvalidInput(f"{len(weights)} sources are more than the {slots} slots of a round; join some of them")
    exact = np.asarray(weights, dtype=np.float64) * (slots / sum(weights))
    given = np.maximum(np.floor(exact), 1).astype(int)
    while (left := slots - int(given.sum())) != 0:
        owed = exact - given
        # a source down to its last slot keeps it
        at = int(np.argmax(owed)) if left > 0 else int(np.argmin(np.where(given > 1, owed, np.inf)))
        given[at] += 1 if left > 0 else -1
    return tuple(int(each) for each in given)


@lru_cache(maxsize=4)
def _shuffled_sources(slots: tuple[int, ...], seed: int, deal_number: int) -> _Order:
    sources = np.repeat(np.arange(len(slots)), slots)
    return np.random.default_rng([seed, _SOURCES, deal_number]).permutation(sources)


@lru_cache(maxsize=64)
def _shuffled_pairs(size: int, seed: int, source: int, epoch: int) -> _Order:
    return np.random.default_rng([seed, _PAIRS, source, epoch]).permutation(size)
