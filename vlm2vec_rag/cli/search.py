"""`search`: a question to a table of hits, or to JSON, or straight to the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm2vec_rag.cli.console import note, print_hits, print_json
from vlm2vec_rag.cli.options import FilterOptions, LibraryOptions, QuestionOptions, with_options
from vlm2vec_rag.errors import EmptyInput

if TYPE_CHECKING:
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.library import Library


@with_options
def search_command(
    which: LibraryOptions,
    asked: QuestionOptions,
    filters: FilterOptions,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="QUESTION", help="The question, in words.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many hits.")] = 5,
    moments: Annotated[
        bool, typer.Option("--moments", help="When it happens: windows of a video joined, their edges refined.")
    ] = False,
    videos: Annotated[
        str | None, typer.Option("--videos", help="Whole videos, by the max or the mean of their windows.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
    open_first: Annotated[bool, typer.Option("--open", help="Open the first hit in its program.")] = False,
) -> None:
    """Search a collection by words, by an image, by a clip, or by words about one."""
    wanted = filters.filter()
    question = " ".join(words or ())
    if not question.strip() and asked.image is None and asked.clip is None:
        raise EmptyInput("the question is empty; ask with words, or with --image or --clip")
    mode, anyway = asked.mode, asked.anyway
    with which.open() as library:
        if moments or videos:
            query = library.query(question, image=asked.image, clip=asked.clip, anyway=anyway)
            if videos:
                hits = library.videos(query, pool=videos, mode=mode, limit=limit, filter=wanted)  # type: ignore[arg-type]  # checked there
            else:
                hits = library.moments(query, mode=mode, limit=limit, filter=wanted)  # type: ignore[arg-type]
        else:
            hits = library.search(
                question,
                image=asked.image,
                clip=asked.clip,
                mode=mode,  # type: ignore[arg-type]  # checked there
                limit=limit,
                filter=wanted,
                anyway=anyway,
            )
        has_sight = library.collection.dim > 0
        unmatched = [] if hits else _unmatched(filters.source or [], library)
    if as_json:
        for hit in hits:
            print_json(dataclasses.asdict(hit))
    elif hits:
        print_hits(hits, question)
    elif unmatched:
        note(f"nothing indexed matches --source {', '.join(unmatched)}; see what is there: vlm2vec-rag list")
    else:
        nearest = "; --mode dense shows what looks nearest" if has_sight and mode in (None, "hybrid") else ""
        advice = f"check the spelling, or ask with other words{nearest}"
        note(f"nothing found: {advice}; see what is there: vlm2vec-rag list")
    if open_first and hits:
        open_hit(hits[0])


def _unmatched(sources: list[str], library: Library) -> list[str]:
    """The sources asked for that stand for nothing in the collection."""
    from vlm2vec_rag.library.asking import build_filter

    return [each for each in sources if not library.sources(build_filter(source=[each]))]


def open_hit(hit: Hit) -> None:
    """Open a hit with the program that the system has for it; browsers understand the place's fragment."""
    import webbrowser

    source, _, fragment = hit.place.partition("#")
    if not webbrowser.open(Path(source).as_uri() + (f"#{fragment}" if fragment else "")):
        note(f"no program here opens it: {hit.place}")
