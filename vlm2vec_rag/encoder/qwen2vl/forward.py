"""The forward pass: token ids and patches to one state per input. Pure functions on a model, also used in training.

Three things keep the vectors equal to the public code's on today's transformers: positions are plain 0..n-1 on all
three axes (the prompts hold no `<|vision_start|>`, so the model was trained that way), the state is the last real
token's after the final norm, and padding stands to the right, behind the causal mask, where nothing can see it.
No logits are computed and no layer's states are kept.
Shape letters: B inputs, T tokens, D width, P patches of all visuals, V visuals, W numbers of a patch, N visual tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import Qwen2VLModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs of one forward pass, padded on the right."""

    ids: torch.Tensor  # (B, T) int64
    lengths: torch.Tensor  # (B,) int64, real tokens of each input
    is_visual: torch.Tensor  # (B, T) bool, N of them true
    patches: torch.Tensor | None  # (P, W) float, visual after visual in input order
    grids: torch.Tensor | None  # (V, 3) int64: time steps, rows and columns of patches

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(
            ids=self.ids.to(device),
            lengths=self.lengths.to(device),
            is_visual=self.is_visual.to(device),
            patches=None if self.patches is None else self.patches.to(device),
            grids=None if self.grids is None else self.grids.to(device),
        )


def collate(
    ids: Sequence[Sequence[int]],
    patches: Sequence[npt.NDArray[np.float32]],
    grids: Sequence[tuple[int, int, int]],
    *,
    pad_id: int,
    visual_ids: tuple[int, ...],
) -> Batch:
    """Pad token ids on the right and line up the patches of all visuals.

    Args:
        ids: B lists of token ids, visual tokens repeated.
        patches: V arrays (P_v, W), in the order in which their inputs come.
        grids: V grids, one for each visual.
        pad_id: Any id; padding is never seen.
        visual_ids: The ids whose embedding the vision tower gives.
    """
    lengths = torch.tensor([len(each) for each in ids])
    padded = torch.full((len(ids), int(lengths.max())), pad_id, dtype=torch.int64)
    is_visual = torch.zeros(padded.shape, dtype=torch.bool)
    for row, each in enumerate(ids):
        padded[row, : len(each)] = torch.tensor(each, dtype=torch.int64)
        is_visual[row, : len(each)] = torch.isin(padded[row, : len(each)], torch.tensor(visual_ids))
    return Batch(
        ids=padded,
        lengths=lengths,
        is_visual=is_visual,
        patches=torch.from_numpy(np.concatenate(patches)) if patches else None,
        grids=torch.tensor(grids, dtype=torch.int64) if grids else None,
    )


def visual_states(model: Qwen2VLModel, batch: Batch) -> torch.Tensor | None:
    """Run the vision tower.

    Returns:
        (N, D) one state for each visual token of the batch, in order; None where nothing is shown.
    """
    if batch.patches is None:
        return None
    dtype = model.visual.patch_embed.proj.weight.dtype
    states: torch.Tensor = model.visual(batch.patches.to(dtype), grid_thw=batch.grids).pooler_output
    return states


def last_states(model: Qwen2VLModel, batch: Batch, visual: torch.Tensor | None) -> torch.Tensor:
    """Run the language model and take the state of each input's last real token.

    Args:
        model: Qwen2-VL without its head.
        batch: B inputs.
        visual: (N, D) from `visual_states`.

    Returns:
        (B, D) in the model's dtype, not normalised.

    Source: `MMEBModel.encode_input` and `_pooling`, src/model/model.py:99-122 at 6e1e1d4.
    """
    embeddings = model.language_model.embed_tokens(batch.ids)  # (B, T, D)
    if visual is not None:
        embeddings = embeddings.masked_scatter(batch.is_visual.unsqueeze(-1), visual.to(embeddings.dtype))
    positions = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand(batch.ids.shape)
    states = model.language_model(
        inputs_embeds=embeddings, position_ids=positions, attention_mask=None, use_cache=False
    ).last_hidden_state  # (B, T, D)
    rows = torch.arange(len(batch.lengths), device=states.device)
    last: torch.Tensor = states[rows, batch.lengths - 1]
    return last


def embed(model: Qwen2VLModel, batch: Batch) -> torch.Tensor:
    """(B, D) float32 unit rows."""
    states = last_states(model, batch, visual_states(model, batch))
    # float32 before the norm: bfloat16 keeps 8 significant bits, so close items would tie
    return nn.functional.normalize(states.float(), dim=-1)


class PatchProjection(nn.Module):
    """Qwen2-VL's patch embedding as one matrix product.

    Kernel and stride are equal, so the convolution is a product of each patch with one matrix; said that way it is
    many times quicker on a CPU. The weight stays where the checkpoint has it (`patch_embed.proj.weight`).
    """

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(P, W) patches to (P, E) embeddings."""
        return nn.functional.linear(patches.to(self.proj.weight.dtype), self.proj.weight.flatten(1))
