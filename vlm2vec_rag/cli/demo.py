"""`demo`: index the sample collection that ships with the package and answer five questions about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import note, out, print_hits
from vlm2vec_rag.cli.index import open_for_indexing, run
from vlm2vec_rag.cli.options import ModelChoice, Place


def demo_command(
    folder: Annotated[Path, typer.Option("--collection", "-c", help="Where to put the collection.")] = Path(".demo"),
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
) -> None:
    """Index the samples (real PDFs, photographs, a film) and answer five questions."""
    from vlm2vec_rag import samples
    from vlm2vec_rag.retrieval import Retriever

    place = Place(folder=folder)
    choice = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype)
    collection, encoder = open_for_indexing(place, choice)
    if encoder is None:
        note(
            "no model: hits are ranked by words alone (page text, subtitles, captions); --model PATH_OR_ID fuses pixels"
        )
    with collection:
        report = run([samples.folder()], collection, encoder, place.thumbnails, None, prune=True)
        retriever = Retriever(collection, encoder, thumbnails=place.thumbnails)
        for question in samples.QUESTIONS:
            out.print(f"\n[bold]{escape(question.question)}[/bold]")
            print_hits(retriever.search(question.question, limit=3), question.question)
    out.print(f"\nNow ask your own: [bold]vlm2vec-rag search -c {folder} 'who does the bunny meet'[/bold]")
    raise typer.Exit(1 if report.failures else 0)
