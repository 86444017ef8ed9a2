"""`index`: bring files and folders into a collection. `reindex`: embed its files anew with another model or adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm2vec_rag.cli.console import err, note, print_report
from vlm2vec_rag.cli.options import BuildOptions, with_options
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.interrupts import keeping
from vlm2vec_rag.library.progress import IndexProgress
from vlm2vec_rag.terminal import counted

if TYPE_CHECKING:
    from vlm2vec_rag.library import IndexReport, Library
    from vlm2vec_rag.media import MediaSettings


GOES_ON = "the same command goes on"


@with_options
def index_command(
    paths: Annotated[
        list[str],  # an empty one as a Path would be the present folder
        typer.Argument(help="Files and folders: PDFs, images, videos, text.", show_default=False),
    ],
    build: BuildOptions,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what came from files that are no longer there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Prune even most of the collection.")] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            help="Of the words, such as german, or none to leave words as they are; the first texts' own unless given, "
            "and the collection keeps to it.",
        ),
    ] = None,
    pdf_engine: Annotated[
        str | None, typer.Option("--pdf-engine", help="pymupdf or pypdfium2; the collection keeps to its first one.")
    ] = None,
    video_reader: Annotated[
        str | None, typer.Option("--video-reader", help="pyav or decord; the collection keeps to its first one.")
    ] = None,
    ocr: Annotated[
        str | None,
        typer.Option(
            "--ocr",
            help="Read words in pixels: auto on pages without text, all in images and frames as well, off. auto where "
            "it is installed; the collection keeps to its first one.",
        ),
    ] = None,
    password: Annotated[
        list[str] | None, typer.Option("--password", help="Of encrypted PDF files; several are tried in turn.")
    ] = None,
    passwords: Annotated[
        Path | None, typer.Option("--passwords", help="A file of passwords, one a line, which no history keeps.")
    ] = None,
) -> None:
    """Index files and folders. Unchanged files are skipped; run it again after a failure or a kill to go on."""
    media = media_settings(pdf_engine, video_reader, ocr=ocr, passwords=[*(password or ()), *lines_of(passwords)])
    with build.open(create=True, media=media, language=language, **build.spread) as library:
        tell_spread(library)
        report = run(library.index, paths, prune="all" if prune and yes else prune)
        print_report(report, with_vectors=library.collection.dim > 0)
    raise typer.Exit(1 if report.failures else 0)


def tell_spread(library: Library) -> None:
    """Say how a cluster keeps a collection that was just made."""
    info = library.info()
    if info.engine == "server" and not info.points and (info.copies > 1 or info.shards > 1):
        note(f"new on the cluster: {counted(info.shards, 'shard')}, {info.copies} copies (--shards, --replicas)")


@with_options
def reindex_command(
    build: BuildOptions,
    language: Annotated[
        str | None, typer.Option("--language", help="Of the words, such as german, in place of the recorded one.")
    ] = None,
) -> None:
    """Embed a collection's files anew with another model or adapter. The old one serves until the new one is whole."""
    asked = {**build.budget, "language": language}
    settings: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    # opened with what is recorded: the model asked for is that of the new one
    with build.open(model=None, adapter=None, max_pixels=None, frames=None, dim=None) as library:
        report = run(library.reindex, build.model, build.adapter, **build.spread, **settings)
        print_report(report, with_vectors=library.collection.dim > 0)
    if report.failures:
        note("the old collection stays as it was; the same command goes on from here")
        raise typer.Exit(1)


def run(indexing: Callable[..., IndexReport], *arguments: Any, **settings: Any) -> IndexReport:
    """Index with a progress bar; an interrupt says how much is kept."""
    with IndexProgress(err) as progress, keeping(lambda: f"{counted(progress.items, 'item')} kept; {GOES_ON}"):
        return indexing(*arguments, callback=progress, **settings)


def media_settings(
    pdf_engine: str | None, video_reader: str | None, *, ocr: str | None = None, passwords: Sequence[str] = ()
) -> MediaSettings | None:
    """Settings where something was asked for; None keeps to the collection's own."""
    from vlm2vec_rag.media import MediaSettings

    asked = {"pdf_engine": pdf_engine, "video_reader": video_reader, "ocr": ocr, "passwords": tuple(passwords) or None}
    given = {name: value for name, value in asked.items() if value is not None}
    return MediaSettings(**given) if given else None  # type: ignore[arg-type]


def lines_of(path: Path | None) -> list[str]:
    """The lines of a file of passwords, as they stand.

    Raises:
        InvalidInput: It cannot be read.
    """
    if path is None:
        return []
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--passwords {path}: cannot be read ({error}); give a text file, one a line") from error
