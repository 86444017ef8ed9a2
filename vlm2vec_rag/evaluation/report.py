"""The leaderboard as a page: means, families by model, and every task with its interval and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vlm2vec_rag.evaluation.html_page import write_page
from vlm2vec_rag.evaluation.leaderboard import FAMILIES, MODALITIES, columns, data_version, means
from vlm2vec_rag.evaluation.plot import as_svg, family_chart, save_png
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.tasks import TASKS

# one's own scores are on the corrected page tasks, so that version stands beside them
_SHOWN = tuple(f"{model} (page-fixed)" for model in ("VLM2Vec-V2.0", "GME-2B", "GME-7B", "ColPali-v1.3"))
_SHOWN += tuple(f"{model} (page-fixed)" for model in ("LamRA-Qwen2.5", "VLM2Vec-V1-2B"))
_NAMES = {"image": "Image", "video": "Video", "visdoc": "Visual documents", "all": "All tasks"}


def write_report(folder: Path, model: str, results: Sequence[TaskResult]) -> tuple[Path, Path]:
    """Write `report.html` and `families.png`, and return where they are.

    Args:
        folder: Where to.
        model: Title of one's own column.
        results: At most one per task.
    """
    every = columns(model, results)
    scores = {title: every[title] for title in (model, *_SHOWN)}
    figure = family_chart(scores, model)
    chart = folder / "families.png"
    save_png(figure, chart)
    page = write_page(
        folder / "report.html",
        "leaderboard.html",
        title=f"MMEB-V2: {model}",
        about=_about(results),
        over="queries",
        shown_first=_means(scores, model),
        chart=Markup(as_svg(figure)),  # noqa: S704  matplotlib's own markup, which escapes its labels
        family_columns=[("Family", False), ("Tasks", True), *((_short(title), True) for title in scores)],
        families=_families(scores, model),
        task_columns=[
            *((name, False) for name in ("Task", "Family", "Metric")),
            *((name, True) for name in ("Score", "95 %", "Queries", _short(_SHOWN[0]))),
            ("Notes", False),
        ],
        tasks=_tasks(scores, model, results),
    )
    return page, chart


def _about(results: Sequence[TaskResult]) -> str:
    counts = {status: sum(result.status == status for result in results) for status in ("scored", "partial")}
    without = sum(result.score is None for result in results)
    settings = results[0].settings if results else {}
    parts = [f"{counts['scored']} of {len(TASKS)} tasks scored whole"]
    parts += [f"{counts['partial']} in part"] if counts["partial"] else []
    parts += [f"{without} without a score"] if without else []
    for name, words in (("max_pixels", "pixels per image"), ("dtype", ""), ("adapter", "(adapter)")):
        if settings.get(name):
            value = settings[name]
            parts.append(f"{value:,} {words}" if isinstance(value, int) else f"{value} {words}".strip())
    if settings.get("scorer") == "public":
        parts.append("scored as the public code does, defects included")
    return " · ".join(parts)


def _means(scores: Mapping[str, Mapping[str, float | None]], model: str) -> list[tuple[str, str, str]]:
    """For each modality its name, one's own mean, and what to hold it against."""
    mine, reference = means(scores[model]), means(scores[_SHOWN[0]])
    found = []
    for group in (*MODALITIES, "all"):
        mean, theirs = mine[group], reference[group]
        value = "–" if mean.value is None else f"{mean.value:.1f}"
        note = f"{mean.n_scored} of {mean.n_tasks} tasks"
        if mean.is_complete and theirs.value is not None:
            note = f"VLM2Vec-V2.0: {theirs.value:.1f}"
        found.append((_NAMES[group], value, note))
    return found


def _families(scores: Mapping[str, Mapping[str, float | None]], model: str) -> list[dict[str, Any]]:
    by_model = {title: means(column) for title, column in scores.items()}
    rows = []
    for group in (*FAMILIES, *MODALITIES, "all"):
        mean = by_model[model][group]
        rows.append(
            {
                "name": _NAMES.get(group, group),
                "is_mean": group not in FAMILIES,
                "count": mean.n_tasks if mean.is_complete else f"{mean.n_scored}/{mean.n_tasks}",
                "percents": [each[group].value for each in by_model.values()],  # one's own first
            }
        )
    return rows


def _tasks(
    scores: Mapping[str, Mapping[str, float | None]], model: str, results: Sequence[TaskResult]
) -> list[dict[str, Any]]:
    by_task = {result.task: result for result in results}
    rows = []
    for name, task in TASKS.items():
        result = by_task.get(name)
        interval, queries, notes = "", "", "not run"
        if result is not None:
            if result.low is not None and result.high is not None:
                interval = f"{100 * result.low:.1f}–{100 * result.high:.1f}"
            queries = f"{result.n_queries:,}" if result.n_queries else ""
            notes = "; ".join(([] if result.status == "scored" else [result.status]) + list(result.notes))
        data = data_version(name)
        rows.append(
            {
                "name": name,
                "family": task.family,
                "metric": f"{task.metric.replace('_linear', '')}{'' if data == 'v2' else f' ({data})'}",
                "score": scores[model].get(name),
                "interval": interval,
                "queries": queries,
                "reference": scores[_SHOWN[0]].get(name),
                "notes": notes,
            }
        )
    return rows


def _short(title: str) -> str:
    return title.removesuffix(" (page-fixed)")
