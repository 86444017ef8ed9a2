"""What a run reports of itself: to whoever watches it, and into `metrics.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vlm2vec_finetune.recipe import Recipe
    from vlm2vec_finetune.scoring import Scores


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step came to."""

    step: int  # steps done, from 1
    loss: float
    learning_rate: float
    gradient_norm: float
    inputs: int  # over all ranks
    inputs_per_s: float
    bad_pairs: int  # so far


class Watch(Protocol):
    """Told how a run goes; a progress bar, a log. Called on the first rank only."""

    def started(self, recipe: Recipe, done: int) -> None: ...
    def stepped(self, report: StepReport) -> None: ...
    def evaluated(self, step: int, scores: Scores) -> None: ...
    def ended(self) -> None: ...


def append_line(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run will do again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= step and step > 0]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
