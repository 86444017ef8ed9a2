"""How a family's models are run: prompts and pixels to token ids and patches, and these to vectors. Used for serving
and for training alike, so that an adapter is trained on what it will be asked.

Shape letters: B inputs, T tokens, D width, V visuals, P patches of all visuals, W numbers of a patch, N visual tokens,
S numbers that the vision tower gives for a visual token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from vlm2vec_rag.encoder.base import Visual
from vlm2vec_rag.encoder.patches import Patches, Plan

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One input before its pixels are cut: a page is 24 MB of patches, a run of pages would not fit."""

    ids: tuple[int, ...]  # visual tokens repeated
    visual: Visual = None
    plans: tuple[Plan, ...] = ()  # one for an image or a clip, several for several images


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs of one forward pass, padded on the right."""

    ids: torch.Tensor  # (B, T) int64
    lengths: torch.Tensor  # (B,) int64, real tokens of each input
    is_visual: torch.Tensor  # (B, T) bool, N of them true
    positions: torch.Tensor  # (B, T) int64, or (3, B, T) where time, rows and columns are counted apart
    patches: torch.Tensor | None  # (P, W) float, visual after visual in input order
    grids: torch.Tensor | None  # (V, 3) int64: time steps, rows and columns of patches

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {name: None if value is None else value.to(device) for name, value in held.items()}
        return Batch(**moved)


class Runner(ABC):
    """Runs models of one family; holds a checkpoint's tokenizer and constants, no weights."""

    pad_id: int  # of padding, which nothing sees

    @abstractmethod
    def prepare(self, prompt: str, visual: Visual) -> Prepared:
        """Tokenise one prompt and plan its pixels.

        Raises:
            EmptyInput: There is nothing to read.
            InvalidInput: The prompt's visual tokens do not fit what is shown.
        """

    @abstractmethod
    def cut(self, prepared: Prepared) -> list[Patches]:
        """The patches of each visual of one input, as planned."""

    @abstractmethod
    def positions(self, ids: Sequence[int], grids: Sequence[tuple[int, int, int]]) -> torch.Tensor:
        """Positions of one input's tokens: (T,), or (3, T) where time, rows and columns are counted apart."""

    @abstractmethod
    def is_visual(self, ids: torch.Tensor) -> torch.Tensor:
        """Which tokens the vision tower gives, of the ids' shape."""

    @abstractmethod
    def visual_states(self, model: Any, batch: Batch) -> torch.Tensor | None:
        """Run the vision tower.

        Returns:
            (N, S), a row for each visual token of the batch, in order; None where nothing is shown.
        """

    @abstractmethod
    def pooled(self, model: Any, batch: Batch, visual: torch.Tensor | None) -> torch.Tensor:
        """Run the language model and pool its states.

        Args:
            model: Of this family, without its head.
            batch: B inputs.
            visual: (N, S) from `visual_states`.

        Returns:
            (B, D) in the model's dtype, not normalised.
        """

    def collate(
        self,
        ids: Sequence[Sequence[int]],
        grids: Sequence[Sequence[tuple[int, int, int]]],
        patches: Sequence[Patches] | None = None,
    ) -> Batch:
        """Pad token ids on the right and line up the patches of all visuals.

        Args:
            ids: B lists of token ids, visual tokens repeated.
            grids: B lists, the grid of each visual of an input.
            patches: Of all visuals, in input order; None where the tower's states are already there.
        """
        lengths = torch.tensor([len(each) for each in ids])
        shape = (len(ids), int(lengths.max()))
        padded = torch.full(shape, self.pad_id, dtype=torch.int64)
        is_visual = torch.zeros(shape, dtype=torch.bool)
        placed = [self.positions(each, shown) for each, shown in zip(ids, grids, strict=True)]
        positions = torch.zeros((*placed[0].shape[:-1], *shape), dtype=torch.int64)
        for row, (each, places) in enumerate(zip(ids, placed, strict=True)):
            length = len(each)
            padded[row, :length] = torch.tensor(each, dtype=torch.int64)
            is_visual[row, :length] = self.is_visual(padded[row, :length])
            positions[..., row, :length] = places
        flat = [grid for shown in grids for grid in shown]
        return Batch(
            ids=padded,
            lengths=lengths,
            is_visual=is_visual,
            positions=positions,
            patches=torch.cat([torch.from_numpy(each) for each in patches]) if patches else None,
            grids=torch.tensor(flat, dtype=torch.int64) if patches else None,
        )

    def vectors(self, model: Any, batch: Batch, dim: int) -> torch.Tensor:
        """(B, dim) float32 unit rows; a `dim` below the model's takes the first numbers (Matryoshka)."""
        pooled = self.pooled(model, batch, self.visual_states(model, batch))
        # float32 before the norm: bfloat16 keeps 8 significant bits, so close items would tie
        return torch.nn.functional.normalize(pooled.float()[:, :dim], dim=-1)


class PatchProjection(torch.nn.Module):
    """A patch embedding as one matrix product.

    Kernel and stride are equal, so the convolution is a product of each patch with one matrix; said that way it is
    many times quicker on a CPU. The weights stay where the checkpoint has them (`patch_embed.proj`).
    """

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(P, W) patches to (P, E) embeddings."""
        weight, bias = self.proj.weight, self.proj.bias
        return torch.nn.functional.linear(patches.to(weight.dtype), weight.flatten(1), bias)


def last_token(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """(B, D): of states (B, T, D) each input's last real token's."""
    rows = torch.arange(len(lengths), device=states.device)
    last: torch.Tensor = states[rows, lengths - 1]
    return last
