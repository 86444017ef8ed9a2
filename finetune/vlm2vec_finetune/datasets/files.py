"""A pairs file, JSONL or Parquet, read by number without holding it in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vlm2vec_finetune.datasets.base import VisDocDataset
from vlm2vec_finetune.pairs import Pair
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.extras import require


class PairsFile(VisDocDataset):
    """The pairs of one file; see `pairs.py` for a record."""

    def __init__(self, path: str | Path) -> None:
        """Open a file and find its lines.

        Raises:
            InvalidInput: It is neither JSONL nor Parquet, or is not there.
            MissingExtra: pyarrow is needed and not installed.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise InvalidInput(f"there is no pairs file {self.path}; `vlm2vec-finetune pairs` makes one")
        if self.path.suffix == ".parquet":
            self._table: Any = require("pyarrow.parquet", "finetune").read_table(self.path, memory_map=True)
        elif self.path.suffix in (".jsonl", ".json"):
            self._table = None
            self._starts = _line_starts(self.path)
        else:
            raise InvalidInput(f"{self.path} is neither .jsonl nor .parquet, the two kinds of pairs file")

    def __len__(self) -> int:
        return len(self._starts) if self._table is None else int(self._table.num_rows)

    def __getitem__(self, index: int) -> Pair:
        """See `VisDocDataset`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        try:
            return Pair.from_dict(self._record(index)).under(self.path.parent)
        except (InvalidInput, TypeError, ValueError) as error:
            raise InvalidInput(f"pair {index + 1} of {self.path}: {error}") from error

    def _record(self, index: int) -> dict[str, Any]:
        if self._table is not None:
            record: dict[str, Any] = self._table.slice(index, 1).to_pylist()[0]
            return {key: value for key, value in record.items() if value is not None}
        try:
            # opened for each line: threads share this object, and a position in a shared file would be theirs too
            with self.path.open("rb") as file:
                file.seek(int(self._starts[index]))
                line = json.loads(file.readline())
        except OSError as error:
            raise UnreadableMedia(f"cannot read {self.path}: {error}") from error
        if not isinstance(line, dict):
            raise InvalidInput(f"the line is a {type(line).__name__}; expected an object")
        return line


def read_pairs(path: str | Path, cap: int | None = None) -> list[Pair]:
    """All pairs of a file.

    Raises:
        InvalidInput: The file or one of its records is broken.
    """
    file = PairsFile(path)
    return [file[index] for index in range(min(len(file), cap or len(file)))]


def _line_starts(path: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each line that holds something begins, in bytes."""
    starts: list[int] = []
    at = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                starts.append(at)
            at += len(line)
    return np.asarray(starts, dtype=np.int64)
