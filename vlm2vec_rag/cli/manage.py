"""`list`, `remove` and `info`: what a collection holds."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from vlm2vec_rag.cli.console import note, out, print_json, short
from vlm2vec_rag.cli.options import PlaceOptions, with_options
from vlm2vec_rag.library.progress import counted

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
    rows = {
        "collection": f"{info.name} at {short(info.location)} ({info.engine})",
        "holds": f"{counted(files, 'file')} as {counted(info.points, 'item')} (pages, images, clips, passages)",
        "model": str(model or info.fingerprint.model) if info.dim else "none: words only",
        "vectors": f"{info.dim:,} numbers each; images up to {info.fingerprint.max_pixels:,} px, "
        f"{info.fingerprint.frames} frames a clip",
        "search index": f"over {info.indexed_vectors:,} of {info.points:,} items; the others are compared one by one",
        "language": info.language,
        "on disk": f"{info.size_bytes / 1e6:.1f} MB" if info.size_bytes is not None else "on the server",
    }
    if not info.dim:
        del rows["vectors"], rows["search index"]
    for key, value in (*rows.items(), *((f"media: {key}", value) for key, value in _flat(info.settings.get("media")))):
        table.add_row(key, escape(str(value)))
    out.print(table)


def _flat(settings: object) -> list[tuple[str, object]]:
    return sorted(settings.items()) if isinstance(settings, dict) else []
