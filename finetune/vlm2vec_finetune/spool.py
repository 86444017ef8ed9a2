"""Arrays that wait on disk between two passes, so that memory does not grow with the batch.

A page's vision states are 3.9 MB at 1280 tokens: 4 GB for a batch of 1024. They are written to a file without a name,
which the system keeps in memory as long as there is room, and which is gone with the process whatever ends it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from types import TracebackType

import torch


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor is in a spool."""

    start: int
    n_bytes: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class Spool:
    """Tensors in a temporary file; `TMPDIR` says on which disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="vlm2vec-states-")  # noqa: SIM115  closed in close()

    def put(self, tensor: torch.Tensor) -> StoredTensor:
        """Write a tensor, from any device."""
        flat = tensor.detach().cpu().contiguous()
        start = self._file.seek(0, 2)
        data = flat.view(torch.uint8).numpy().data if flat.ndim else flat.reshape(1).view(torch.uint8).numpy().data
        self._file.write(data)
        return StoredTensor(start, data.nbytes, tuple(flat.shape), flat.dtype)

    def get(self, place: StoredTensor) -> torch.Tensor:
        """Read a tensor back, on the CPU."""
        self._file.seek(place.start)
        data = bytearray(place.n_bytes)
        self._file.readinto(data)
        return torch.frombuffer(data, dtype=place.dtype).reshape(place.shape)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
