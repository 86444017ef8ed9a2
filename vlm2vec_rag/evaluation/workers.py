"""The processes that `torchrun` starts: each encodes its share, the first one scores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Workers:
    """Which process this is, and how many there are. By itself it is the only one."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> Workers:
        """What torchrun says, connected to the others."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        import torch.distributed

        if not torch.distributed.is_initialized():
            # gloo, for nothing but waiting is done here; a process may have to wait for as long as a task takes
            torch.distributed.init_process_group("gloo", timeout=timedelta(days=7))
        return cls(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def device(self, asked: str | None) -> str | None:
        """One GPU each, where no device was asked for."""
        import torch

        if asked is None and self.world > 1 and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return asked

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.world > 1:
            import torch.distributed

            torch.distributed.barrier()

    def close(self) -> None:
        if self.world > 1:
            import torch.distributed

            torch.distributed.destroy_process_group()
