"""One process or many: what a training step needs from the others. Everything is a no-op on a single rank."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from vlm2vec_rag.encoder.device import choose_device
from vlm2vec_rag.errors import InvalidInput

# the others wait while the first rank evaluates or writes
TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """(S, …) on every rank to (size * S, …), rank after rank; all ranks get the same numbers."""
        if self.size == 1:
            return tensor
        local = tensor.to(self.device).contiguous()
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local)
        return torch.cat(parts).to(tensor.device)

    def gather_objects(self, value: Any) -> list[Any]:
        """Something small from every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up every rank's gradients; each rank has those of its own inputs only."""
        if self.size == 1:
            return
        work = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)  # a rank whose inputs never touched it still takes part
            work.append(dist.all_reduce(parameter.grad, async_op=True))
        for each in work:
            each.wait()

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""
        if self.size == 1:
            return flag
        value = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())

    def wait(self) -> None:
        """Until every rank is here."""
        self.any(False)


@contextmanager
def open_ranks(device: str | None) -> Iterator[Ranks]:
    """Join the processes that torchrun started, or be the only one.

    Raises:
        InvalidInput: The device is not here, or there are more processes than GPUs on this machine.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise InvalidInput(f"rank {rank} wants GPU {local}, and there are {torch.cuda.device_count()} here")
        chosen = torch.device("cuda", local) if size > 1 or chosen.index is None else chosen
        torch.cuda.set_device(chosen)
    if size == 1:
        yield Ranks(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(rank, size, chosen)
    finally:
        dist.destroy_process_group()
