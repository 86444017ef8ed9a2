"""`list`, `remove` and `info`: what a collection holds. `copy` and `repair`: the whole of it."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from vlm2vec_rag.cli.console import err, note, out, print_json, short
from vlm2vec_rag.cli.options import PlaceOptions, SpreadOptions, with_options
from vlm2vec_rag.interrupts import keeping
from vlm2vec_rag.terminal import counted

JsonOption = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


@with_options
def list_command(
    which: PlaceOptions,
    as_json: JsonOption = False,
) -> None:
    """List the indexed files."""
    with which.open() as library:
        sources = library.sources()
    if as_json:
        for source in sources.values():
            print_json(dataclasses.asdict(source))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("file", "kind", "items", "indexed"):
        table.add_column(heading, justify="right" if heading == "items" else "left", overflow="fold")
    for source in sources.values():
        items = f"{source.points}" if source.is_complete else f"{source.points} of {source.file_points}"
        indexed = source.indexed_at.astimezone().strftime("%Y-%m-%d %H:%M") if source.indexed_at else ""
        table.add_row(escape(short(source.source)), source.kind, items, indexed)
    out.print(table)


@with_options
def remove_command(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders/ or patterns such as '*.pdf'.", show_default=False)
    ],
    which: PlaceOptions,
) -> None:
    """Remove files from a collection. The files themselves are not touched."""
    with which.open() as library:
        removed = library.remove(sources)
    note(f"{counted(len(removed), 'file')} removed from the collection")


@with_options
def info_command(
    which: PlaceOptions,
    as_json: JsonOption = False,
) -> None:
    """Say what a collection is: its model, its settings, its size."""
    with which.open() as library:
        info, model = library.info(), library.model
        files = len(library.sources())
    if as_json:
        print_json(dataclasses.asdict(info) | {"files": files})
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")  # a list of addresses is shown whole
    location = info.location if info.engine == "server" else short(info.location)
    rows = {
        "collection": f"{info.name} at {location} ({info.engine})",
        "holds": f"{counted(files, 'file')} as {'' if info.is_exact else 'about '}{counted(info.points, 'item')} "
        "(pages, images, clips, passages)",
        "model": str(model or info.fingerprint.model) if info.dim else "none: words only",
        "vectors": f"{info.dim:,} numbers each; images up to {info.fingerprint.max_pixels:,} px, "
        f"{info.fingerprint.frames} frames a clip",
        "search index": f"over {info.indexed_vectors or 0:,} of {info.points:,} items; "
        "the others are compared one by one",
        "language": info.language or "that of the first texts, of which there are none yet",
        "copies": f"{info.copies} of {counted(info.shards, 'shard')}",
        "on disk": f"{info.size_bytes / 1e6:.1f} MB" if info.size_bytes is not None else "on the server",
    }
    if not info.dim:
        del rows["vectors"], rows["search index"]
    if info.engine != "server":
        del rows["copies"]
    for key, value in (*rows.items(), *((f"media: {key}", value) for key, value in _flat(info.settings.get("media")))):
        table.add_row(key, escape(str(value)))
    out.print(table)


@with_options
def repair_command(which: PlaceOptions) -> None:
    """Keep what is left of a damaged collection in a folder. `index` then adds what is missing."""
    from vlm2vec_rag.collection import repair_collection

    left = repair_collection(which.place, which.name)
    note(f"{counted(left, 'item')} left in {which.place}; now run vlm2vec-rag index on the same files")


@with_options
def copy_command(
    source: Annotated[str, typer.Argument(help="A folder, or the address of a server.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Where to: the same.", show_default=False)],
    spread: SpreadOptions,
    name: Annotated[str, typer.Option("--name", help="Which collection at the source.")] = "default",
    to_name: Annotated[str | None, typer.Option("--to-name", help="Its name at the target, if another.")] = None,
) -> None:
    """Copy a collection: folder to server and back, server to server. Run it again after an interruption to go on.

    Keys: QDRANT_API_KEY, and QDRANT_TO_API_KEY for the target if it has another.
    """
    from vlm2vec_rag.collection import open_collection
    from vlm2vec_rag.collection.copying import copy_collection, open_copy

    key = os.environ.get("QDRANT_TO_API_KEY")
    with (
        open_collection(source, name, create=False) as given,
        open_copy(given, target, to_name or name, api_key=key, **spread.spread) as made,
        Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err, transient=True) as bar,
    ):
        task = bar.add_task("items", total=None)
        with keeping(lambda: f"{counted(int(bar.tasks[task].completed), 'item')} kept; the same command goes on"):
            report = copy_collection(
                given, made, progress=lambda done, total: bar.update(task, completed=done, total=total)
            )
    note(
        f"{counted(report.copied, 'item')} copied, {report.present} were there already; "
        f"all {report.points} counted at {target}, {report.compared} compared number by number"
    )
    if report.others:
        note(f"{counted(report.others, 'item')} at {target} are not in {source}, and were left alone")


def _flat(settings: object) -> list[tuple[str, object]]:
    return sorted(settings.items()) if isinstance(settings, dict) else []
