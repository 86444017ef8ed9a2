"""How far a mean over queries can be trusted: bootstrap intervals, and the difference of two systems.

Queries are drawn with replacement, with a fixed seed, so that the same scores give the same interval.
Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval; for paired differences,
Sakai, "Evaluating evaluation metrics based on the bootstrap" (SIGIR 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlm2vec_rag.errors import EmptyInput, InvalidInput

DRAWS = 2000
SEED = 20251
_BLOCK = 4_000_000  # drawn indices held at once: 32 MB, whatever the number of queries


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval that holds it at the stated level."""

    mean: float
    low: float
    high: float
    n: int

    def in_percent(self) -> Interval:
        """The same interval times 100."""
        return Interval(100 * self.mean, 100 * self.low, 100 * self.high, self.n)

    def __str__(self) -> str:
        each = self.in_percent()
        return f"{each.mean:.1f} [{each.low:.1f}, {each.high:.1f}]"


def bootstrap(values: Sequence[float], *, level: float = 0.95, draws: int = DRAWS, seed: int = SEED) -> Interval:
    """The mean over queries with its percentile interval.

    Args:
        values: One score per query.
        level: Share of redrawn means inside the interval.
        draws: How often the queries are redrawn.
        seed: Start of the random numbers.

    Raises:
        EmptyInput: There is no value.
        InvalidInput: `level` is not between 0 and 1.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise EmptyInput("there is no score to draw from; no query was scored")
    if not 0 < level < 1:
        raise InvalidInput(f"level={level}: expected a share between 0 and 1, such as 0.95")
    random = np.random.default_rng(seed)
    rows = max(1, min(draws, _BLOCK // array.size))
    means: list[np.ndarray] = []
    for start in range(0, draws, rows):
        picks = random.integers(0, array.size, size=(min(rows, draws - start), array.size))
        means.append(array[picks].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high), int(array.size))


def paired_difference(first: Sequence[float], second: Sequence[float], *, level: float = 0.95) -> Interval:
    """How much better `first` is than `second` on the same queries; an interval without 0 is a real difference.

    Raises:
        InvalidInput: They hold different numbers of queries.
    """
    if len(first) != len(second):
        raise InvalidInput(f"got {len(first)} and {len(second)} scores; compare two systems on the same queries")
    return bootstrap(np.subtract(first, second).tolist(), level=level)
