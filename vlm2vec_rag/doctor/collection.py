"""Checks of a collection: whether all of it is there, is searched quickly, and can be gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.doctor.check import Check
from vlm2vec_rag.doctor.machine import check_disk
from vlm2vec_rag.errors import CollectionLocked, CollectionNotFound, VlmRagError

if TYPE_CHECKING:
    from vlm2vec_rag.library import Library

MOST_FILES = 10_000  # whose being there is looked at
SHOWN = 3  # files named in a message
SLOW_POINTS = 20_000  # outside of the search index: comparing so many of 1,536 numbers takes some 10 ms


def check_place(place: str, name: str = "default", **connection: Any) -> Iterator[Check]:
    """Open a collection and look at it; what keeps it from opening is a fault.

    Args:
        place: A folder or the address of a server, as for `vr.open`.
        name: The collection at that place.
        connection: More for `vr.open`.
    """
    from vlm2vec_rag.library import open_library

    opening = f"collection {name}"
    try:
        library = open_library(place, name=name, create=False, **connection)
    except CollectionLocked as error:
        yield Check(
            name=opening,
            state="warning",
            got=str(error),
            expected="a folder that nothing else has open",
            next_step="close it there and look again; of a server, ask its /health",
        )
        return
    except CollectionNotFound as error:
        yield Check(name=opening, state="fault", got=str(error), expected="a collection", next_step="index something")
        return
    except VlmRagError as error:
        yield Check(name=opening, state="fault", got=str(error), expected="a collection that opens")
        return
    with library:
        yield from check_library(library)


def check_library(library: Library) -> Iterator[Check]:
    """Look at all of an open library: its points and files, its index, its settings, its model, copies on a cluster."""
    yield from _guarded(quick_checks, library)
    yield from _guarded(_check_files, library)
    yield from _guarded(_check_settings, library)
    yield from _guarded(_check_model, library)
    if library.collection.engine.kind == "server":
        yield from _guarded(_check_server, library)


def quick_checks(library: Library) -> Iterator[Check]:
    """The part that is cheap enough to be asked every few seconds: does it answer, is it indexed, is there room."""
    try:
        info = library.info()
    except VlmRagError as error:
        yield Check(name=f"collection {library.name}", state="fault", got=str(error), expected="an answer")
        return
    # opening compared this with what was acknowledged, and refuses fewer
    about = "" if info.is_exact else "about "
    read_only = library.collection.engine.is_read_only
    yield Check(
        name=f"collection {library.name}",
        state="warning" if read_only else "ok",
        got=f"{about}{info.points:,} items" + (", and it can only be read" if read_only else ""),
        expected="a folder that can be written to" if read_only else "",
        next_step="to index more, copy it to a folder of your own" if read_only else "",
    )
    if info.indexed_vectors is not None:
        outside = max(0, info.points - info.indexed_vectors)
        got = f"over {info.indexed_vectors:,} of {info.points:,} items"
        if outside < SLOW_POINTS:
            yield Check(name="search index", got=got)
        else:
            yield Check(
                name="search index",
                state="warning",
                got=f"{got}; the others are compared one by one, which is right and slow",
                expected=f"fewer than {SLOW_POINTS:,} outside",
                next_step="run vlm2vec-rag index on any of its files, which ends with building it"
                if info.engine == "embedded"
                else "the server builds it by itself; look again, and at its log",
            )
    if info.engine == "embedded":
        yield check_disk(f"collection {library.name}", Path(library.place))


def _guarded(look: Any, library: Library) -> Iterator[Check]:
    """The checks of a function; an error that it ends in is a fault of its own."""
    try:
        yield from look(library)
    except Exception as error:  # the other checks are still wanted
        name = look.__name__.removeprefix("_check_").replace("_", " ")
        yield Check(name=name, state="fault", got=str(error) or type(error).__name__, expected="an answer")


def _check_files(library: Library) -> Iterator[Check]:
    sources = library.sources()
    partial = [each.source for each in sources.values() if not each.is_complete and Path(each.source).is_absolute()]
    got = f"{len(sources):,}, all of them whole"
    if partial:
        yield Check(
            name="files",
            state="warning",
            got=f"{len(partial):,} of {len(sources):,} are not whole in it: {_some(partial)}",
            expected="every item of every file",
            next_step="run vlm2vec-rag index on them again",
        )
    else:
        yield Check(name="files", got=got)
    looked_at = [each for each in sources if Path(each).is_absolute()][:MOST_FILES]
    gone = [each for each in looked_at if not _is_there(each)]
    if gone:
        yield Check(
            name="files on disk",
            state="warning",
            got=f"{len(gone):,} of {len(looked_at):,} are no longer where they were: {_some(gone)}",
            expected="files that can be shown, and read again",
            next_step="mount their disk, or take them out: vlm2vec-rag index FOLDER --prune, or vlm2vec-rag remove",
        )


def _check_settings(library: Library) -> Iterator[Check]:
    recorded = library.collection.settings.get("media")
    if recorded is None:
        yield Check(name="settings", got="none so far: nothing was indexed from files")
        return
    try:
        settled = library.media_settings.settled()
    except VlmRagError as error:
        yield Check(
            name="settings",
            state="warning",
            got=f"its files were read in a way that is not possible here: {error}",
            expected="the reader it was made with; searching does without",
        )
        return
    yield Check(name="settings", got=f"PDF by {settled.pdf_engine}, video by {settled.video_reader}, OCR {settled.ocr}")


def _check_model(library: Library) -> Iterator[Check]:
    made_with, model = library.fingerprint, library.model
    if not made_with.dim:
        yield Check(name="model", got="none: words only")
        return
    if model is None:
        yield Check(
            name="model",
            state="warning",
            got=f"{made_with} made it, and the collection does not say where that is",
            expected="a model's name",
            next_step="open it once with --model PATH_OR_ID",
        )
        return
    from vlm2vec_rag.encoder.load import find_model

    by_words = "until then: search --mode bm25"
    try:
        found = find_model(model.model, model.adapter, model.revision).fingerprint(
            made_with.max_pixels, made_with.frames, made_with.dim
        )
    except VlmRagError as error:
        expected = f"the model that made it, {made_with}"
        yield Check(name="model", state="fault", got=str(error), expected=expected, next_step=by_words)
        return
    if apart := made_with.difference(found):
        fields = ", ".join(f"{key} {mine!r} there, {theirs!r} here" for key, (mine, theirs) in apart.items())
        yield Check(
            name="model",
            state="fault",
            got=f"{model} is another one than that which made it ({fields})",
            expected=str(made_with),
            next_step=f"bring the former one back, or convert the collection: vlm2vec-rag reindex; {by_words}",
        )
        return
    yield Check(name="model", got=f"{made_with}, and it is here")


def _check_server(library: Library) -> Iterator[Check]:
    from vlm2vec_rag.collection.replicas import compare_copies
    from vlm2vec_rag.collection.server import ServerEngine

    engine = library.collection.engine
    assert isinstance(engine, ServerEngine)  # noqa: S101  who asks looked at its kind
    yield Check(name="server", got=f"Qdrant {'.'.join(map(str, engine.version))} answers at {engine.location}")
    status = library.collection.client.get_collection(library.collection.name).status
    if str(getattr(status, "value", status)) == "red":
        yield Check(
            name="server's collection",
            state="fault",
            got="the server calls it red: some of its work failed",
            expected="green",
            next_step="look at the server's log, and at its disk",
        )
    try:
        copies = compare_copies(library.collection)
    except VlmRagError as error:
        yield Check(
            name="copies",
            state="warning",
            got=f"could not be compared: {error}",
            expected="a key for the whole server",
        )
        return
    got = f"{copies.copies} of each of {copies.shards} shards on {copies.nodes} nodes; {copies.verdict}"
    if copies.are_equal:
        yield Check(name="copies", got=got)
    else:
        yield Check(name="copies", state="warning", got=got, expected="the same points in every copy")


def _is_there(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):
        return True  # what may not be looked at is not said to be gone


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
