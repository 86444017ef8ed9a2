"""The leaderboard as a page: means, families by model, and every task with its interval and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vlm2vec_rag.evaluation import html_page as page
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
    body = [
        f"<h1>MMEB-V2: {page.text(model)}</h1>",
        f'<p class="lead">{page.text(_about(results))}</p>',
        _tiles(scores, model),
        "<h2>Families by model</h2>",
        f'<div class="card chart">{as_svg(figure)}</div>',
        '<p class="soft">Published scores are those of v2.0.0, with ViDoSeek-page and MMLongBench-page on the '
        "corrected relevance files (page-fixed), as here.</p>",
        _family_table(scores, model),
        "<h2>Tasks</h2>",
        _task_table(scores, model, results),
        "<footer>Intervals: 95 % bootstrap over queries. Made by vlm2vec-rag.</footer>",
    ]
    return page.write(folder / "report.html", page.page(f"MMEB-V2: {model}", body)), chart


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


def _tiles(scores: Mapping[str, Mapping[str, float | None]], model: str) -> str:
    mine, reference = means(scores[model]), means(scores[_SHOWN[0]])
    tiles = []
    for group in (*MODALITIES, "all"):
        mean, theirs = mine[group], reference[group]
        value = "–" if mean.value is None else f"{mean.value:.1f}"
        note = f"{mean.n_scored} of {mean.n_tasks} tasks"
        if mean.is_complete and theirs.value is not None:
            note = f"VLM2Vec-V2.0: {theirs.value:.1f}"
        tiles.append(page.tile(_NAMES[group], value, note))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _family_table(scores: Mapping[str, Mapping[str, float | None]], model: str) -> str:
    header = [
        "<th>Family</th>",
        '<th class="n">Tasks</th>',
        *(f'<th class="n">{_short(title)}</th>' for title in scores),
    ]
    by_model = {title: means(column) for title, column in scores.items()}
    rows = []
    for group in (*FAMILIES, *MODALITIES, "all"):
        cells = [page.percent_cell(each[group].value, is_own=title == model) for title, each in by_model.items()]
        mean = by_model[model][group]
        count = str(mean.n_tasks) if mean.is_complete else f"{mean.n_scored}/{mean.n_tasks}"
        kind = "" if group in FAMILIES else ' class="mean"'
        rows.append(
            f'<tr{kind}><td>{_NAMES.get(group, group)}</td><td class="n soft">{count}</td>{"".join(cells)}</tr>'
        )
    return page.table(header, rows)


def _task_table(scores: Mapping[str, Mapping[str, float | None]], model: str, results: Sequence[TaskResult]) -> str:
    by_task = {result.task: result for result in results}
    header = [
        "<th>Task</th>",
        "<th>Family</th>",
        "<th>Metric</th>",
        '<th class="n">Score</th>',
        '<th class="n">95 %</th>',
    ]
    header += ['<th class="n">Queries</th>', f'<th class="n">{_short(_SHOWN[0])}</th>', "<th>Notes</th>"]
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
        metric = f"{task.metric.replace('_linear', '')}{'' if data == 'v2' else f' ({data})'}"
        rows.append(
            f"<tr><td>{page.text(name)}</td><td class='soft'>{page.text(task.family)}</td>"
            f"<td class='soft'>{page.text(metric)}</td>{page.percent_cell(scores[model].get(name), is_own=True)}"
            f"<td class='n soft'>{interval}</td><td class='n soft'>{queries}</td>"
            f"{page.percent_cell(scores[_SHOWN[0]].get(name))}<td class='soft'>{page.text(notes)}</td></tr>"
        )
    return page.table(header, rows)


def _short(title: str) -> str:
    return page.text(title.removesuffix(" (page-fixed)"))
