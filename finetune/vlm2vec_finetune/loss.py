"""InfoNCE over everything in the global batch: a question must find its own target among all targets.

Pure functions on vectors: no model, file or rank is touched here.
Shape letters: N pairs, M candidates (the N targets, then hard negatives), D width.
"""

from __future__ import annotations

import torch
from torch import nn


def info_nce(
    queries: torch.Tensor,
    candidates: torch.Tensor,
    *,
    temperature: float,
    both_directions: bool = False,
    not_negative: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mean over pairs of the cross-entropy of each query's own target among all candidates.

    Args:
        queries: (N, D) unit rows.
        candidates: (M, D) unit rows; row i below N is the target of query i, rows from N on are hard negatives.
        temperature: Divides the cosine.
        both_directions: Take the mean with the loss of each target among the N queries.
        not_negative: (N, M) bool, True where a candidate is not to count as a negative of a query.

    Returns:
        A scalar, float32.

    Source: VLM2Vec `SimpleContrastiveLoss`, src/loss.py:7-42 at 6e1e1d4 (query to target, no masking).
    """
    scores = queries.float() @ candidates.float().T / temperature  # (N, M)
    own = torch.arange(len(queries), device=scores.device)
    if not_negative is not None:
        others = not_negative.clone()
        others[own, own] = False
        scores = scores.masked_fill(others, float("-inf"))
    loss = nn.functional.cross_entropy(scores, own)
    if both_directions:
        loss = (loss + nn.functional.cross_entropy(scores[:, : len(queries)].T, own)) / 2
    return loss


def duplicates(query_keys: torch.Tensor, candidate_keys: torch.Tensor) -> torch.Tensor:
    """Which candidates answer a query although they are not its own target.

    A candidate with the content of the query's target does, and so does the target of a pair with the same query.

    Args:
        query_keys: (N, K) digests of what each query says and shows.
        candidate_keys: (M, K) digests of the candidates, the N targets first.

    Returns:
        (N, M) bool.
    """
    n = len(query_keys)
    same_target = (candidate_keys[:n, None] == candidate_keys[None]).all(dim=-1)  # (N, M)
    same_query = (query_keys[:, None] == query_keys[None]).all(dim=-1)  # (N, N)
    same_target[:, :n] |= same_query
    return same_target
