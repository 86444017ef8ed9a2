"""`leaderboard.csv`: a row per task, one's own score beside the published ones, and the means over 36, 18, 24 and 78.

Scores are in percent. Means are plain means over tasks, as published, so images weigh 46 % of the whole. A mean over
fewer tasks than it should have says so in its name, and published columns always have all.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm2vec_rag.evaluation.baselines import PAGE_FIXED_TASKS, published
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.tasks import TASKS

MODALITIES = ("image", "video", "visdoc")
FAMILIES = tuple(dict.fromkeys(task.family for task in TASKS.values()))


@dataclass(frozen=True, slots=True)
class Mean:
    """A plain mean over the tasks that have a score."""

    name: str  # a modality, a family, or all
    value: float | None  # percent
    n_scored: int
    n_tasks: int

    @property
    def is_complete(self) -> bool:
        return self.n_scored == self.n_tasks

    def __str__(self) -> str:
        value = "-" if self.value is None else f"{self.value:.2f}"
        return value if self.is_complete else f"{value} ({self.n_scored} of {self.n_tasks} tasks)"


def means(scores: Mapping[str, float | None]) -> dict[str, Mean]:
    """Task -> percent becomes group -> mean, for each modality, `all`, and each family."""
    groups = {modality: [name for name in TASKS if TASKS[name].modality == modality] for modality in MODALITIES}
    groups["all"] = list(TASKS)
    groups |= {family: [name for name in TASKS if TASKS[name].family == family] for family in FAMILIES}
    return {group: _mean(group, names, scores) for group, names in groups.items()}


def columns(model: str, results: Sequence[TaskResult]) -> dict[str, Mapping[str, float | None]]:
    """Every column of scores, one's own first: its title -> task -> percent."""
    own: dict[str, float | None] = {result.task: result.percent for result in results}
    return {model: own} | {f"{name} ({version})": scores for (name, version), scores in _published_in_order()}


def write_csv(path: Path, model: str, results: Sequence[TaskResult]) -> None:
    """Write the table; tasks without a result have an empty score.

    Args:
        path: Where to; its folder is made.
        model: Title of one's own column.
        results: In any order, at most one per task.
    """
    by_task = {result.task: result for result in results}
    scores = columns(model, results)
    header = ["task", "modality", "family", "metric", "data", *scores]
    header[6:6] = ["low_95", "high_95", "status", "n_queries", "n_left_out"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "notes"])
        for name, task in TASKS.items():
            result = by_task.get(name)
            own, *others = (_cell(column.get(name)) for column in scores.values())
            about = [_cell(_percent(result.low)), _cell(_percent(result.high))] if result else ["", ""]
            about += [result.status, str(result.n_queries), str(result.n_left_out)] if result else ["not run", "", ""]
            notes = "; ".join(result.notes) if result else ""
            lead = [name, task.modality, task.family, task.metric, data_version(name)]
            writer.writerow([*lead, own, *about, *others, notes])
        column_means = [means(column) for column in scores.values()]
        for group in (*MODALITIES, "all"):
            mean, *published_means = (each[group] for each in column_means)
            about = ["", "", "" if mean.is_complete else "incomplete", "", ""]
            coverage = f"{mean.n_scored} of {mean.n_tasks} tasks"
            lead = [f"mean {group} ({mean.n_tasks})", group, "", "", coverage]
            writer.writerow([*lead, _cell(mean.value), *about, *(_cell(each.value) for each in published_means), ""])


def data_version(task: str) -> str:
    """Which version of the data a task is scored on here."""
    return "page-fixed" if task in PAGE_FIXED_TASKS else "v2.0.1" if task == "MomentSeeker" else "v2"


def _published_in_order() -> list[tuple[tuple[str, str], Mapping[str, float]]]:
    """Published columns with the versions of a model side by side."""
    models = list(dict.fromkeys(model for model, _ in published()))
    return sorted(published().items(), key=lambda entry: models.index(entry[0][0]))


def _mean(group: str, names: Sequence[str], scores: Mapping[str, float | None]) -> Mean:
    found = [value for value in (scores.get(name) for name in names) if value is not None]
    return Mean(group, sum(found) / len(found) if found else None, len(found), len(names))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
