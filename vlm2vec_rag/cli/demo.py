"""`demo`: index the sample collection that ships with the package and answer five questions about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli.console import note, out, print_hits, print_report
from vlm2vec_rag.cli.index import run
from vlm2vec_rag.cli.options import ModelOptions, with_options


@with_options
def demo_command(
    chosen: ModelOptions,
    folder: Annotated[Path, typer.Option("--collection", "-c", help="Where to put the collection.")] = Path(".demo"),
) -> None:
    """Index the samples (real PDFs, photographs, a film) and answer five questions."""
    from vlm2vec_rag import samples
    from vlm2vec_rag.library import open_library

    with open_library(folder, **chosen.settings) as library:
        if not library.collection.dim:
            note(
                "no model: hits are ranked by words alone (page text, subtitles, captions); "
                "--model PATH_OR_ID adds what it sees"
            )
        report = run(library.index, [samples.folder()], prune="all")
        print_report(report, with_vectors=library.collection.dim > 0)
        for question in samples.QUESTIONS:
            out.print(f"\n[bold]{escape(question.question)}[/bold]")
            print_hits(library.search(question.question, limit=3), question.question)
    out.print(f"\nNow ask your own: [bold]vlm2vec-rag search -c {folder} 'who does the bunny meet'[/bold]")
    raise typer.Exit(1 if report.failures else 0)
