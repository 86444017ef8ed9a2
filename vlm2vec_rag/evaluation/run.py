"""Run tasks: read, encode, score, write down; one task that cannot run is reported, and the others go on."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import InvalidInput, MediaError, VlmRagError
from vlm2vec_rag.evaluation import metrics
from vlm2vec_rag.evaluation.baselines import PAGE_FIXED_TASKS
from vlm2vec_rag.evaluation.examples import TaskData
from vlm2vec_rag.evaluation.hub_layout import DataFolder, HubPath, missing
from vlm2vec_rag.evaluation.intervals import bootstrap
from vlm2vec_rag.evaluation.leaderboard import FAMILIES, MODALITIES
from vlm2vec_rag.evaluation.parsers import read_task
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.scoring import CUTS, ScoredQuery, score
from vlm2vec_rag.evaluation.tasks import TASKS, Task, task
from vlm2vec_rag.evaluation.vector_cache import VectorCache, settings_of
from vlm2vec_rag.evaluation.workers import Workers

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder

logger = logging.getLogger(__name__)

NOTES_KEPT = 5  # lines about rows that were left out; the count says how many there were


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run needs beside the encoder."""

    folder: DataFolder
    out: Path  # results, predictions and cached vectors
    limit: int | None = None  # only the first queries of each task
    as_public: bool = False  # score as the public code does, defects included

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(f"limit={self.limit}; give the number of queries per task, 1 or more, or leave it out")


def choose_tasks(names: Sequence[str]) -> list[Task]:
    """Tasks by name, family, modality or `all`, each once and in the table's order.

    Args:
        names: Such as `image`, `V-RET`, `vidore` or `MSVD`; commas separate several, case does not matter.

    Raises:
        InvalidInput: A name fits nothing; the message names the nearest.
    """
    chosen: set[str] = set()
    for name in (part.strip() for given in names for part in given.split(",")):
        fits = {each for each in TASKS if _fits(name.lower(), TASKS[each])}
        if name and not fits:
            try:
                task(name)
            except InvalidInput as error:
                groups = ", ".join(("all", *MODALITIES, "vidore", *FAMILIES))
                raise InvalidInput(f"{error}. Groups are {groups}") from None
        chosen |= fits
    if not chosen:
        raise InvalidInput("no task was named; give all, a modality, a family or a task")
    return [each for name, each in TASKS.items() if name in chosen]


def run(
    tasks: Sequence[Task],
    encoder: Encoder,
    settings: RunSettings,
    *,
    workers: Workers | None = None,
    on_result: Callable[[TaskResult], None] | None = None,
    on_progress: Callable[[str, int], None] | None = None,
) -> list[TaskResult]:
    """Run tasks one after the other.

    Args:
        tasks: Which, see `choose_tasks`.
        encoder: The model.
        settings: Where the data is and where results go.
        workers: The processes that share the encoding; one by default.
        on_result: Called with each result, in the first process.
        on_progress: Called with the task's name and the number of inputs encoded since the last call.

    Returns:
        A result per task, the failed ones included; in other processes than the first, none.
    """
    workers = workers or Workers()
    cache = VectorCache(settings.out / "vectors", encoder, rank=workers.rank, world=workers.world)
    runner = _Runner(encoder, settings, cache, workers, on_progress)
    results: list[TaskResult] = []
    for each in tasks:
        result = runner.run(each)
        if result is not None:
            result.save(results_folder(settings, encoder))
            results.append(result)
            if on_result:
                on_result(result)
    return results


def results_folder(settings: RunSettings, encoder: Encoder) -> Path:
    """One folder of results per model, its settings and the way of scoring, so that none is mistaken for another."""
    return settings.out / "results" / _label(encoder, settings)


def earlier_results(settings: RunSettings, encoder: Encoder) -> list[TaskResult]:
    """What earlier runs with these very settings left, in the table's order; unreadable files are passed over."""
    found: dict[str, TaskResult] = {}
    for path in sorted(results_folder(settings, encoder).glob("*.json")):
        try:
            result = TaskResult.load(path)
        except VlmRagError as error:
            logger.warning("%s", error)
            continue
        if result.settings == _settings(encoder, settings):
            found[result.task] = result
    return [found[name] for name in TASKS if name in found]


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs one task after another, in one process of several."""

    encoder: Encoder
    settings: RunSettings
    cache: VectorCache
    workers: Workers
    on_progress: Callable[[str, int], None] | None

    def run(self, each: Task) -> TaskResult | None:
        """The result of a task, in the first process."""
        start = time.monotonic()
        about: dict[str, Any] = {
            "task": each.name,
            "metric": each.metric,
            "data": HubPath.of(each).repo,
            "settings": _settings(self.encoder, self.settings),
        }
        try:
            found = self._run(each)
        except MediaError as error:
            found = {"status": "missing", "notes": (str(error),)}
        except Exception as error:  # a surprise in one task must not cost the other 77
            logger.exception("%s failed", each.name)
            found = {"status": "failed", "notes": (f"{type(error).__name__}: {error}",)}
        if not self.workers.is_first:
            return None
        return TaskResult(**about, **found, seconds=round(time.monotonic() - start, 1))

    def _run(self, each: Task) -> dict[str, Any]:
        data = self._read_and_share(each)
        if not self.workers.is_first:
            return {}
        if not data.queries:
            return {"status": "missing", "n_left_out": len(data.left_out), "notes": _nothing_left(each, data)}
        progress = self._progress(each) if self.workers.world == 1 else None
        queries = self.cache.encode([query.example for query in data.queries], progress)
        candidates = self.cache.encode(data.candidates(), progress)
        scored, unread = score(data.queries, queries, candidates, as_public=self.settings.as_public)
        left_out = [*data.left_out, *unread]
        if not scored:
            return {"status": "failed", "n_left_out": len(left_out), "notes": tuple(left_out[:NOTES_KEPT])}
        lost = list(candidates.unreadable.values()) if data.queries[0].candidates is None else []
        interval = bootstrap([query.scores[each.metric] for query in scored])
        _save_predictions(each, data, scored, results_folder(self.settings, self.encoder))
        return {
            "status": "partial" if left_out or lost or self.settings.limit is not None else "scored",
            "score": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "metrics": {name: metrics.mean([query.scores[name] for query in scored]) for name in scored[0].scores},
            "n_queries": len(scored),
            "n_candidates": len(candidates.names),
            "n_left_out": len(left_out),
            "notes": _notes(each, data, left_out, lost, len(scored)),
        }

    def _read_and_share(self, each: Task) -> TaskData:
        """Read the task and, among several processes, encode this one's share of it.

        All processes wait for each other here once per task, also where one of them fails.
        """
        try:
            data = read_task(each, self.settings.folder, self.settings.limit)
            if self.workers.world > 1:
                self.cache.fill([query.example for query in data.queries], self._progress(each))
                self.cache.fill(data.candidates(), self._progress(each))
        except Exception:
            self.workers.wait()
            raise
        self.workers.wait()
        return data

    def _progress(self, each: Task) -> Callable[[int], None] | None:
        if self.on_progress is None:
            return None
        return functools.partial(self.on_progress, each.name)


def _fits(name: str, each: Task) -> bool:
    families = (each.family.lower(), each.family.lower().removeprefix("visdoc-"))
    if name == "vidore":
        return "vidore" in families[0]
    return name in ("all", each.name.lower(), each.modality, *families)


def _settings(encoder: Encoder, settings: RunSettings) -> dict[str, Any]:
    return {**settings_of(encoder), "limit": settings.limit, "scorer": "public" if settings.as_public else "exact"}


def _label(encoder: Encoder, settings: RunSettings) -> str:
    facts = settings_of(encoder)
    parts = [Path(str(facts["model"])).name, str(facts["digest"])[:8], str(facts["dtype"])]
    parts += [f"first{settings.limit}"] if settings.limit else []
    parts += ["public-scorer"] if settings.as_public else []
    return "-".join(part for part in parts if part)


def _nothing_left(each: Task, data: TaskData) -> tuple[str, ...]:
    return (missing(each, f"none of its {len(data.left_out)} rows can be used"), *data.left_out[:NOTES_KEPT])


def _notes(each: Task, data: TaskData, left_out: list[str], lost: list[str], n_scored: int) -> tuple[str, ...]:
    notes = list(data.notes)
    if each.name in PAGE_FIXED_TASKS:
        notes.append("scored on the corrected relevance file (page-fixed), not the one of v2.0.0 and v2.0.1")
    if left_out:
        notes += [f"{len(left_out)} queries left out", *left_out[:NOTES_KEPT]]
    if lost:
        notes += [f"{len(lost)} candidates could not be read and rank last", *lost[:NOTES_KEPT]]
    expected = int(each.n_queries)
    if n_scored != expected and not data.notes and not left_out:
        notes.append(f"{n_scored} queries, where the benchmark has {expected}")
    return tuple(notes)


def _save_predictions(each: Task, data: TaskData, scored: Sequence[ScoredQuery], folder: Path) -> None:
    """A line per query: what was asked, what was right, what was found; for reading failures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{each.name}.predictions.jsonl").open("w", encoding="utf-8") as file:
        for one in scored:
            query = data.queries[one.index]
            line = {
                "prompt": query.example.prompt,
                "relevant": dict(query.relevance),
                "ranking": [[name, round(similarity, 6)] for name, similarity in one.ranking[: max(CUTS)]],
                each.metric: one.scores[each.metric],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
