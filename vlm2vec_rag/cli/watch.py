"""`watch`: index folders, and go on with whatever changes in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli.console import note, out, short
from vlm2vec_rag.cli.options import BuildOptions, with_options
from vlm2vec_rag.interrupts import keeping

if TYPE_CHECKING:
    from vlm2vec_rag.library.watching import Change

_COLOURS = {"indexed": "green", "removed": "yellow", "failed": "red", "waiting": "dim"}


@with_options
def watch_command(
    paths: Annotated[list[Path], typer.Argument(help="Folders to follow.", show_default=False)], build: BuildOptions
) -> None:
    """Index folders, then index what changes in them and remove what is deleted, until Ctrl-C; one line per file."""
    from vlm2vec_rag.library.watching import watch

    note(f"watching {', '.join(short(str(path)) for path in paths)}; Ctrl-C ends it")
    with keeping(lambda: "what was indexed is kept; the same command goes on"):
        watch(paths, lambda: build.open(create=True), _show)


def _show(change: Change) -> None:
    source = escape(short(change.source)) if change.source else ""
    reason = f": {escape(change.reason)}" if change.reason else ""
    out.print(f"[{_COLOURS[change.what]}]{change.what}[/] {source}{reason}")
