"""bfloat16 weights with float32 masters, and checkpoints to go on from.

Pure bfloat16 forward and backward is 4 to 5 times quicker than autocast on a CPU with AVX-512; the float32 masters
keep updates that are smaller than bfloat16 can add.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vlm2vec_rag.disk import replacing


class MasterWeights:
    """Trains bfloat16 parameters on float32 copies of them: matrices inside blocks with Muon, the rest with AdamW.

    Muon halves the letters that the tower has to see before it reads the first of them (LOG.md); its own work is a
    tenth of a step.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rate: float, matrix_rate: float = 0.0) -> None:
        """Take the parameters with their names; a `matrix_rate` of 0 leaves all to AdamW."""
        listed = list(named)
        self.names = [name for name, _ in listed]
        self.shown = [parameter for _, parameter in listed]
        self.masters = [nn.Parameter(parameter.detach().float().clone()) for parameter in self.shown]
        is_inner = ["blocks." in name and each.ndim == 2 and matrix_rate > 0 for name, each in listed]
        inner = [master for master, yes in zip(self.masters, is_inner, strict=True) if yes]
        others = [master for master, yes in zip(self.masters, is_inner, strict=True) if not yes]
        self.optimisers: list[torch.optim.Optimizer] = []
        if others:
            self.optimisers.append(torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0))
        if inner:
            # steps as long as AdamW's whatever a matrix's shape, so that one rate suits all
            muon = torch.optim.Muon(inner, lr=matrix_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            self.optimisers.append(muon)
        self.rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]

    def step(self, share: float, gradients: list[torch.Tensor]) -> None:
        """Take a step with `share` of the full learning rates."""
        for master, gradient in zip(self.masters, gradients, strict=True):
            master.grad = gradient
        nn.utils.clip_grad_norm_(self.masters, 1.0)
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * share
            optimiser.step()
        with torch.no_grad():
            for shown, master in zip(self.shown, self.masters, strict=True):
                shown.copy_(master)

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {
            "names": self.names,
            "masters": self.masters,
            "optimisers": [each.state_dict() for each in self.optimisers],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.start(state)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def start(self, state: dict[str, Any]) -> None:
        """Take the weights of another run, as far as it has them."""
        saved = dict(zip(state["names"], state["masters"], strict=True))
        with torch.no_grad():
            for name, shown, master in zip(self.names, self.shown, self.masters, strict=True):
                if name in saved:
                    master.copy_(saved[name])
                    shown.copy_(saved[name])


def learning_rate_share(progress: float, warm_up: float = 0.02) -> float:
    """Learning rate over a run of length 1: a short rise, then a fall along a cosine to a twentieth."""
    rise = min(1.0, progress / warm_up)
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old one or the new one."""
    with replacing(path) as part:
        torch.save(state, part)
