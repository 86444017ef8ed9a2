"""What one task gave: the score, what it rests on, and what was left out; kept as JSON, one file a task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vlm2vec_rag.disk import replacing
from vlm2vec_rag.errors import InvalidInput

Status: TypeAlias = Literal["scored", "partial", "missing", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The outcome of one task.

    `scored`: every query of the data was scored. `partial`: rows were broken or their files missing and were left out,
    so the score is not comparable; the notes say which. `missing`: there is no data; the note says what to download.
    `failed`: something else went wrong.
    """

    task: str
    metric: str
    status: Status
    score: float | None = None  # of the headline metric, 0 to 1
    low: float | None = None  # 95 % bootstrap interval over queries
    high: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    n_queries: int = 0
    n_candidates: int = 0
    n_left_out: int = 0
    data: str = ""  # hub path the rows came from
    settings: Mapping[str, Any] = field(default_factory=dict)  # the encoder's fingerprint and the scorer
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def percent(self) -> float | None:
        return None if self.score is None else round(100 * self.score, 2)

    def save(self, folder: Path) -> Path:
        """Write `<task>.json`, whole or not at all."""
        path = folder / f"{self.task}.json"
        with replacing(path) as part:
            part.write_text(json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> TaskResult:
        """Read what `save` wrote.

        Raises:
            InvalidInput: The file is not one of these.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**values, "notes": tuple(values.get("notes", ()))})
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{path} is no task result ({error}); delete it and run the task again") from error
