"""`eval`: MMEB-V2 tasks, or one's own collection, on the command line.

vlm2vec-rag eval --tasks visdoc --download        sizes first, then the files
vlm2vec-rag eval --tasks visdoc                   leaderboard.csv, report.html, families.png
vlm2vec-rag eval --collection DIR --queries queries.jsonl
torchrun --nproc-per-node 8 --no-python vlm2vec-rag eval --tasks all
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from vlm2vec_rag.cli.console import err, note, out
from vlm2vec_rag.cli.options import DEFAULT_FOLDER, ModelOptions, PlaceOptions, ServerOptions, with_options
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.download import Part, fetch, plan
from vlm2vec_rag.evaluation.hub_layout import DataFolder
from vlm2vec_rag.evaluation.leaderboard import MODALITIES, means, write_csv
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.run import RunSettings, choose_tasks, earlier_results, run
from vlm2vec_rag.evaluation.workers import Workers
from vlm2vec_rag.extras import require
from vlm2vec_rag.interrupts import keeping
from vlm2vec_rag.terminal import size_of

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.evaluation.own_collection import CollectionResult
    from vlm2vec_rag.evaluation.tasks import Task
    from vlm2vec_rag.library import Library
    from vlm2vec_rag.media import MediaReader

OUT = Path("evaluation")
MMEB, OWN = "MMEB-V2", "One's own collection"


@with_options
def eval_command(
    *,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks", "-t", help="all, image, video, visdoc, vidore, a family or a task.", rich_help_panel=MMEB
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="MMEB_V2_DATA", help="Folder of the benchmark's files.", rich_help_panel=MMEB),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what the tasks need; sizes are shown first.", rich_help_panel=MMEB)
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.", rich_help_panel=MMEB)] = False,
    first: Annotated[
        int | None, typer.Option("--first", min=1, help="Only so many queries of each task.", rich_help_panel=MMEB)
    ] = None,
    public_scorer: Annotated[
        bool,
        typer.Option("--public-scorer", help="Score as the public code does, defects included.", rich_help_panel=MMEB),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask the hub for rows.", rich_help_panel=MMEB)
    ] = False,
    collection: Annotated[
        Path | None, typer.Option("--collection", "-c", help="Folder of the collection.", rich_help_panel=OWN)
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="Questions with the places that answer them, JSON lines.", rich_help_panel=OWN),
    ] = None,
    make_queries: Annotated[
        bool, typer.Option("--make-queries", help="Write a first set to --queries, to edit.", rich_help_panel=OWN)
    ] = False,
    which: ServerOptions,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Where results go.")] = OUT,
    chosen: ModelOptions,
    max_pixels: Annotated[int | None, typer.Option("--max-pixels", help="Budget of one image.")] = None,
) -> None:
    """Measure a model on MMEB-V2 and ViDoRe, or a search over a collection of one's own."""
    # a QDRANT_URL in the environment alone does not turn a benchmark into a search
    own = collection is not None or queries is not None or make_queries
    if own and tasks:
        raise InvalidInput("both --tasks and a collection are given; measure one of them at a time")
    if own:
        place = PlaceOptions(collection=collection or DEFAULT_FOLDER, qdrant=which.qdrant, name=which.name)
        with place.open(**chosen.settings) as library:
            _own(library, queries, folder, make_queries=make_queries)
        return
    if not tasks:
        raise InvalidInput(
            "nothing to measure was named; give --tasks all, image, video, visdoc, a family or a task, "
            "or --collection with --queries"
        )
    root = data or _cache() / "mmeb-v2"
    selected = choose_tasks(tasks)
    if download:
        _download(selected, root, is_confirmed=yes)
        return
    for module in ("datasets", "matplotlib"):  # once, and not again for each of 78 tasks
        require(module, "eval")
    settings = RunSettings(folder=DataFolder(root, offline=offline), out=folder, limit=first, as_public=public_scorer)
    workers = Workers.from_environment()
    encoder = _encoder(chosen, workers.device(chosen.device), max_pixels)
    results = _run(selected, encoder, settings, workers)
    workers.close()
    if workers.is_first:
        _write(encoder, settings, results, _title(encoder, chosen.adapter))
        raise typer.Exit(0 if all(result.score is not None for result in results) else 1)


def _run(chosen: Sequence[Task], encoder: Encoder, settings: RunSettings, workers: Workers) -> list[TaskResult]:
    with _bar("inputs", is_shown=workers.is_first) as (progress, bar):

        def done(result: TaskResult) -> None:
            score = "-" if result.percent is None else f"{result.percent:.2f}"
            colour = {"scored": "green", "partial": "yellow"}.get(result.status, "red")
            line = f"[bold]{escape(result.task)}[/bold] {result.metric} {score} [{colour}]{result.status}[/{colour}]"
            progress.console.print(line)
            for each in result.notes:
                progress.console.print(f"  [dim]{escape(each)}[/dim]")

        def count(task: str, n_done: int) -> None:
            progress.update(bar, description=task, advance=n_done)

        with keeping(lambda: "tasks that are done and vectors that were encoded are kept; the same command goes on"):
            return run(chosen, encoder, settings, workers=workers, on_result=done, on_progress=count)


def _write(encoder: Encoder, settings: RunSettings, results: Sequence[TaskResult], title: str) -> None:
    """The leaderboard over all that was ever run with these settings, not just now."""
    from vlm2vec_rag.evaluation.report import write_report

    every = earlier_results(settings, encoder)
    write_csv(settings.out / "leaderboard.csv", title, every)
    report, chart = write_report(settings.out, title, every)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "mean", "tasks"):
        table.add_column(column, justify="left" if not column else "right")
    found = means({result.task: result.percent for result in every})
    for group in (*MODALITIES, "all"):
        mean = found[group]
        value = "-" if mean.value is None else f"{mean.value:.2f}"
        table.add_row(group, value, f"{mean.n_scored} of {mean.n_tasks}")
    out.print(table)
    for path in (settings.out / "leaderboard.csv", report, chart):
        note(f"wrote {path}")
    if len(every) > len(results):
        note(f"{len(every) - len(results)} tasks are from earlier runs with the same settings")


def _own(library: Library, queries: Path | None, folder: Path, *, make_queries: bool) -> None:
    from vlm2vec_rag.evaluation import own_queries

    path = queries or folder / "queries.jsonl"
    if make_queries and path.exists():
        raise InvalidInput(f"{path} is there already and may hold your work; give another --queries, or delete it")
    if make_queries:
        made = own_queries.make_queries(library.collection)
        own_queries.write_queries(path, made)
        note(f"wrote {len(made)} questions to {path}; they are the collection's own headings, so words find them")
        note("easily: edit them into what people would ask before comparing ways of searching")
        return
    asked = own_queries.read_queries(path)
    from vlm2vec_rag.evaluation.own_collection import evaluate_collection

    with _bar("questions", total=len(asked)) as (progress, bar):
        result = evaluate_collection(
            library.retriever, asked, progress=lambda n_done: progress.update(bar, advance=n_done)
        )
    _own_report(result, folder, library.reader)


def _own_report(result: CollectionResult, folder: Path, reader: MediaReader) -> None:
    from vlm2vec_rag.evaluation.collection_report import write_collection_report
    from vlm2vec_rag.evaluation.own_collection import METRICS

    report = write_collection_report(folder / "collection.html", result, reader)
    results = result.save(folder / "collection.json")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for mode in result.modes:
        table.add_column(mode, justify="right", no_wrap=True)
    for metric in METRICS:
        table.add_row(metric, *(str(result.interval(mode, metric)) for mode in result.modes))
    out.print(table)
    for line in result.left_out:
        note(f"left out: {line}")
    note(f"wrote {report} and {results}")


def _download(chosen: Sequence[Task], root: Path, *, is_confirmed: bool) -> None:
    parts = plan(chosen, root)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("from", "files", "size", "for"):
        table.add_column(column, justify="right" if column in ("files", "size") else "left")
    for part in parts:
        names = ", ".join(part.tasks[:3]) + (f" and {len(part.tasks) - 3} more" if len(part.tasks) > 3 else "")
        table.add_row(part.repo, str(len(part.files)), size_of(part.n_bytes), names)
    err.print(table)
    total = size_of(sum(part.n_bytes for part in parts))
    if not is_confirmed and not typer.confirm(f"{total} in all, archives unpacked beside that, into {root}. Go on?"):
        raise typer.Exit(1)
    fetch(parts, root, on_part=lambda part: note(_fetching(part)))
    note(f"all is in {root}; run the same command without --download")


def _fetching(part: Part) -> str:
    return f"{part.repo}: {len(part.files)} files, {size_of(part.n_bytes)}"


def _encoder(chosen: ModelOptions, device: str | None, max_pixels: int | None) -> Encoder:
    from vlm2vec_rag.encoder import load_encoder
    from vlm2vec_rag.library import WORDS_ONLY

    if chosen.model == WORDS_ONLY:
        raise InvalidInput("the benchmark measures a model; leave --model out for VLM2Vec-V2.0, or name one")
    return load_encoder(chosen.model, chosen.adapter, device, chosen.dtype, max_pixels=max_pixels)


def _title(encoder: Encoder, adapter: str | None) -> str:
    name = Path(encoder.fingerprint.model).name
    return f"{name} + {Path(adapter).name}" if adapter else name


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlm2vec-rag"


@contextmanager
def _bar(unit: str, *, total: int | None = None, is_shown: bool = True) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=30), TextColumn("{task.completed:.0f}"))
    with Progress(
        *columns, TextColumn(unit), TimeElapsedColumn(), console=err, transient=True, disable=not is_shown
    ) as progress:
        yield progress, progress.add_task("", total=total)
