"""`index`: bring files and folders into a collection. `reindex`: embed its files anew with another model or adapter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import IndexProgress, complain, note, print_report
from vlm2vec_rag.cli.options import ModelChoice, Place
from vlm2vec_rag.errors import CollectionError, CollectionLocked, CollectionNotFound

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.indexing import IndexReport
    from vlm2vec_rag.media import MediaSettings
    from vlm2vec_rag.thumbnails import Thumbnails


def index_command(
    paths: Annotated[
        list[Path], typer.Argument(help="Files and folders: PDFs, images, videos, text.", show_default=False)
    ],
    folder: options.FolderOption = options.DEFAULT_FOLDER,
    qdrant: options.QdrantOption = None,
    name: options.NameOption = "default",
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    max_pixels: options.MaxPixelsOption = None,
    frames: options.FramesOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what came from files that are no longer there.")
    ] = False,
    pdf_engine: Annotated[
        str | None, typer.Option("--pdf-engine", help="pymupdf or pypdfium2; the collection keeps to its first one.")
    ] = None,
    video_reader: Annotated[
        str | None, typer.Option("--video-reader", help="pyav or decord; the collection keeps to its first one.")
    ] = None,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="Read words in scanned pages, images and frames; seconds for each.")
    ] = False,
) -> None:
    """Index files and folders. Unchanged files are skipped; run it again after a failure or a kill to go on."""
    place = Place(folder=folder, qdrant=qdrant, name=name)
    choice = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype, max_pixels=max_pixels, frames=frames)
    collection, encoder = open_for_indexing(place, choice)
    with collection:
        report = run(
            paths, collection, encoder, place.thumbnails, media_settings(pdf_engine, video_reader, ocr=ocr), prune=prune
        )
    raise typer.Exit(1 if report.failures else 0)


def reindex_command(
    folder: options.FolderOption = options.DEFAULT_FOLDER,
    name: options.NameOption = "default",
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    max_pixels: options.MaxPixelsOption = None,
    frames: options.FramesOption = None,
) -> None:
    """Embed a collection's files anew with another model or adapter. The old one serves until the new one is whole."""
    place = Place(folder=folder, name=name)
    with place.open() as old:
        sources = [Path(source) for source in old.sources()]
        asked = ModelChoice(
            model=model, adapter=adapter, device=device, dtype=dtype, max_pixels=max_pixels, frames=frames
        )
        choice = asked.recorded_in(old)
    missing = [source for source in sources if not source.is_file()]
    if missing:
        raise CollectionError(
            f"{len(missing)} of {len(sources)} indexed files are no longer there, {missing[0]} among them; "
            "remove them from the collection first (vlm2vec-rag remove), or bring them back"
        )
    if not sources:
        raise CollectionError(f"the collection at {folder} holds no files; there is nothing to embed anew")
    encoder = choice.load()
    # beside the old one, so that the swap is a rename on the same disk
    beside = Place(folder=folder.with_name(folder.name + ".new"), name=name)
    fingerprint = encoder.fingerprint if encoder else options.words_only()
    with beside.open(fingerprint, create=True) as new:
        choice.record(new, encoder)
        report = run(sources, new, encoder, place.thumbnails, None, prune=False)
    if report.failures:
        note(f"the old collection stays, the new one waits at {beside.folder}; the same command goes on from there")
        raise typer.Exit(1)
    swap(folder / name, beside.folder / name)
    shutil.rmtree(beside.folder)


def swap(old: Path, new: Path) -> None:
    """Put a collection in the place of another; whatever else is in the old one's folder stays.

    Raises:
        CollectionLocked: Another process has the old one open.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(old.parent / ".lock", timeout=0):
            old.rename(new.with_name(new.name + ".old"))
            new.rename(old)
    except Timeout:
        raise CollectionLocked(
            f"another process has {old.parent} open; close it and run the same command again: "
            f"the new collection waits, whole, at {new.parent}"
        ) from None


def open_for_indexing(place: Place, choice: ModelChoice) -> tuple[Collection, Encoder | None]:
    """The collection, made if need be, with the encoder asked for, or recorded in it, or chosen for a new one."""
    if choice.model is None and choice.adapter is None:
        try:
            with place.open() as there:
                choice = choice.recorded_in(there)
        except CollectionNotFound:
            pass
    encoder = choice.load()
    collection = place.open(encoder.fingerprint if encoder else options.words_only(), create=True)
    choice.record(collection, encoder)
    return collection, encoder


def run(
    paths: list[Path],
    collection: Collection,
    encoder: Encoder | None,
    thumbnails: Thumbnails,
    media: MediaSettings | None,
    *,
    prune: bool,
) -> IndexReport:
    """Index with a progress bar, and print what was done."""
    from vlm2vec_rag.indexing import index

    try:
        with IndexProgress() as progress:
            report = index(
                paths,
                collection,
                encoder,
                media=media,
                thumbnails=thumbnails,
                prune=prune,
                observer=progress,
            )
    except KeyboardInterrupt:
        complain("interrupted; what was written is kept, and the same command goes on from there")
        raise typer.Exit(130) from None
    print_report(report, with_vectors=encoder is not None)
    return report


def media_settings(pdf_engine: str | None, video_reader: str | None, *, ocr: bool) -> MediaSettings | None:
    """Settings where something was asked for; None keeps to the collection's own."""
    from vlm2vec_rag.media import MediaSettings

    if pdf_engine is None and video_reader is None and not ocr:
        return None
    asked = {"pdf_engine": pdf_engine, "video_reader": video_reader, "ocr": ocr or None}
    return MediaSettings(**{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
