"""Which inputs share a forward pass: near-equal lengths together, under a budget of tokens.

Pure functions on lengths: no model or pixel is touched here.
"""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Group inputs so that a batch, padded to its longest, holds at most `max_tokens` tokens.

    Longest first, so that a batch too large for the device shows at the start of a run and not at its end.

    Args:
        lengths: Tokens of each input.
        max_tokens: Budget of a batch, padding included. An input above it goes alone.

    Returns:
        Indices into `lengths`, each exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    for index in order:
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= max_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
