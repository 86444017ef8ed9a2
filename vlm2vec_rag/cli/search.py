"""`search`: a question to a table of hits, or to JSON, or straight to the page."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import note, print_hits
from vlm2vec_rag.cli.options import ModelChoice, Place
from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import KINDS, Hit, Query

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.retrieval import Retriever

QuestionArgument = Annotated[str, typer.Argument(help="The question, in words.")]
ImageOption = Annotated[Path | None, typer.Option("--image", help="Ask with an image, alone or beside the words.")]
ClipOption = Annotated[Path | None, typer.Option("--clip", help="Ask with a video, alone or beside the words.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many hits.")]
ModeOption = Annotated[str, typer.Option("--mode", help="hybrid, dense (pixels) or bm25 (words).")]
KindOption = Annotated[list[str] | None, typer.Option("--kind", help=f"Only these kinds: {', '.join(KINDS)}.")]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", help="Only this file, all below this folder/, or a pattern such as '*.pdf'."),
]
PagesOption = Annotated[str | None, typer.Option("--pages", help="Only these pages: 12 or 3-9 or 40-.")]
TimeOption = Annotated[str | None, typer.Option("--time", help="Only clips in these seconds: 60-90 or 300-.")]


def search_command(
    question: QuestionArgument = "",
    folder: options.FolderOption = options.DEFAULT_FOLDER,
    qdrant: options.QdrantOption = None,
    name: options.NameOption = "default",
    image: ImageOption = None,
    clip: ClipOption = None,
    limit: LimitOption = 5,
    mode: ModeOption = "hybrid",
    kind: KindOption = None,
    source: SourceOption = None,
    pages: PagesOption = None,
    time: TimeOption = None,
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
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
    place = Place(folder=folder, qdrant=qdrant, name=name)
    choice = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype)
    wanted = build_filter(kind, source, pages, time)
    if not question.strip() and image is None and clip is None:
        raise EmptyInput("the question is empty; ask with words, or with --image or --clip")
    with place.open() as collection:
        retriever = open_retriever(collection, choice, place, mode=mode)
        query = build_query(question, image, clip, retriever)
        if moments or videos:
            hits = search_time(query, retriever, videos, mode=mode, limit=limit, wanted=wanted)
        else:
            hits = retriever.search(query, mode=mode, limit=limit, filter=wanted)  # type: ignore[arg-type]  # checked there
    if as_json:
        for hit in hits:
            typer.echo(json.dumps(dataclasses.asdict(hit), ensure_ascii=False, default=str))
    elif hits:
        print_hits(hits, question)
    else:
        note("nothing found; ask with other words, or look at what is indexed with: vlm2vec-rag list")
    if open_first and hits:
        open_hit(hits[0])


def search_time(
    query: Query, retriever: Retriever, videos: str | None, *, mode: str, limit: int, wanted: Filter | None
) -> list[Hit]:
    """Moments, with their edges refined, or whole videos."""
    from vlm2vec_rag.indexing import settle_media
    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.moments import search_moments, search_videos

    if videos:
        return search_videos(query, retriever, pool=videos, mode=mode, limit=limit, filter=wanted)  # type: ignore[arg-type]  # checked there
    with MediaReader(settle_media(retriever.collection, retriever.encoder, None)) as reader:
        return search_moments(query, retriever, mode=mode, limit=limit, filter=wanted, reader=reader)  # type: ignore[arg-type]  # checked there


def open_retriever(collection: Collection, choice: ModelChoice, place: Place, *, mode: str) -> Retriever:
    """A retriever with the encoder that the collection was built with, unless only words are asked for."""
    from vlm2vec_rag.retrieval import Retriever

    encoder = choice.recorded_in(collection).load() if mode != "bm25" and collection.dim else None
    return Retriever(collection, encoder, thumbnails=place.thumbnails)


def build_query(question: str, image: Path | None, clip: Path | None, retriever: Retriever) -> Query:
    """The question with its pixels, which are read in the same guarded way as files that are indexed."""
    if image is None and clip is None:
        return Query(text=question)
    if image is not None and clip is not None:
        raise InvalidInput("both --image and --clip are given; the model takes one of them")
    if retriever.encoder is None:
        raise InvalidInput("this collection is searched by words only; an image or clip needs one built with a model")
    from vlm2vec_rag.media import MediaReader, MediaSettings

    settings = MediaSettings(max_pixels=retriever.encoder.max_pixels, frames=retriever.encoder.frames)
    with MediaReader(settings) as reader:
        if image is not None:
            return Query(text=question, image=reader.image(image).image)
        if clip is not None:
            duration_s = reader.probe(clip).duration_s
            return Query(text=question, frames=reader.clip(clip, 0.0, duration_s or 0.0).frames)
    raise AssertionError("unreachable")


def build_filter(
    kind: list[str] | None, source: list[str] | None, pages: str | None, time: str | None
) -> Filter | None:
    """The options as a filter; None where none is given."""
    if not (kind or source or pages or time):
        return None
    page_range = span(pages, "--pages") if pages else None
    return Filter(
        kinds=tuple(kind or ()),  # type: ignore[arg-type]  # the filter checks them
        paths=tuple(_sources(source or ())),
        pages=None if page_range is None else _whole(page_range),
        times_s=span(time, "--time") if time else None,
    )


def span(text: str, option: str) -> tuple[float | None, float | None]:
    """`12`, `3-9`, `40-` or `-9` as two ends, both included; None leaves an end open."""
    first, dash, last = text.partition("-")
    try:
        start = float(first) if first.strip() else None
        end = (float(last) if last.strip() else None) if dash else start
    except ValueError:
        start = end = None
    if start is None and end is None:
        raise InvalidInput(f"{option} {text!r} is no range; expected for example 12, 3-9 or 40-")
    return start, end


def open_hit(hit: Hit) -> None:
    """Open a hit with the program that the system has for it; browsers understand the place's fragment."""
    import webbrowser

    source, _, fragment = hit.place.partition("#")
    if not webbrowser.open(Path(source).as_uri() + (f"#{fragment}" if fragment else "")):
        note(f"no program here opens it: {hit.place}")


def _whole(ends: tuple[float | None, float | None]) -> tuple[int | None, int | None]:
    start, end = ends
    return (None if start is None else int(start), None if end is None else int(end))


def _sources(given: list[str] | tuple[()]) -> list[str]:
    """Sources as the collection knows them: absolute where they are here; a pattern matches anywhere."""
    resolved = []
    for each in given:
        if any(wildcard in each for wildcard in "*?"):
            resolved.append(each if each.startswith(("*", "/")) else f"*/{each}")
        elif Path(each).is_dir():
            resolved.append(Path(each).resolve().as_posix().rstrip("/") + "/")
        elif Path(each).exists():
            resolved.append(Path(each).resolve().as_posix())
        else:
            resolved.append(f"*/{each}" if not each.startswith("/") else each)
    return resolved
