"""A collection embedded anew beside itself, which then takes its own place in one step.

Kill it anywhere: until that step the old collection is whole under its name and what was built waits beside it, and
the next reindex goes on from there; after it the new one is, and the next who opens the place tidies up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.documents import metadata_of, read_item
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.errors import CollectionError, FingerprintMismatch, InvalidInput
from vlm2vec_rag.items import Text
from vlm2vec_rag.library.indexing import Failure, IndexCallback, IndexReport, index
from vlm2vec_rag.library.model import WORDS_ONLY
from vlm2vec_rag.library.writing import BATCH_ITEMS, Entry

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.library.library import Library


def rebuild(
    library: Library,
    reopen: Callable[..., Library],
    model: str | Path | Encoder | None,
    adapter: str | Path | None,
    *,
    callback: IndexCallback | None,
    settings: Mapping[str, Any],
) -> IndexReport:
    """Embed all that a library holds anew and let the result take its place; see `Library.reindex`."""
    files = _files_of(library)
    in_memory = library.place == ":memory:"
    name = library.name if in_memory else library.collection.rebuild_name
    wanted: dict[str, Any] = {**_kept(library), **_budget(library, model, adapter), "name": name}
    if model is None and adapter is None:
        model = library.encoder if library.model is None else library.model.model
        wanted |= {"adapter": library.model.adapter, "revision": library.model.revision} if library.model else {}
        model = "none" if model is None else model
    else:
        wanted |= {"adapter": adapter, "revision": None}
    wanted |= settings
    beside = _open(library, reopen, model, wanted)
    try:
        report = _fill(library, beside, files, callback)
        if report.failures:
            return report
        encoder = beside.encoder  # held, so that the reopened library finds it loaded
        if in_memory:
            old = library.collection
            library.become(beside)
            old.close()
            return report
        library.collection.replace_by(beside.collection)
        beside.close()
        library.collection.close()
        given = None if beside.model is not None or encoder is None else encoder
        library.become(
            reopen(
                library.place,
                given,
                name=library.name,
                create=False,
                **dict.fromkeys(("adapter", "revision", "max_pixels", "frames", "dim", "language", "media")),
            )
        )
        return report
    finally:
        if beside.collection is not library.collection:
            beside.close()


def _files_of(library: Library) -> list[Path]:
    """The files that were indexed.

    Raises:
        CollectionError: One of them is no longer there, or there is nothing at all.
    """
    sources = library.sources()
    if not sources:
        raise CollectionError(f"the collection at {library.place} holds nothing; there is nothing to embed anew")
    files = [Path(name) for name in sources if not _is_document(name)]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise CollectionError(
            f"{len(missing)} of {len(files)} indexed files are no longer there, {missing[0]} among them; "
            "remove them from the collection first (vlm2vec-rag remove), or bring them back"
        )
    return files


def _is_document(source: str) -> bool:
    """Whether a source is a framework's text, or an address, rather than a file."""
    return source.startswith("document:") or not Path(source).is_absolute()


def _kept(library: Library) -> dict[str, Any]:
    """The recorded settings, as arguments of `vr.open`."""
    return {
        "create": True,
        "language": library.info().language,
        "media": library.media_settings if library.collection.settings.get("media") else None,
        "cluster": library.collection.cluster,
        "indexed": library.collection.indexed_fields,
    }


def _budget(library: Library, model: str | Path | Encoder | None, adapter: str | Path | None) -> dict[str, int | None]:
    """The recorded budget, frames and width of vectors, where they mean the same to the new model.

    Another family counts pixels in another way and takes its own; so does a loaded encoder. The width is kept by
    adapters of one model.
    """
    made_with = library.fingerprint
    if model is None and adapter is None:
        is_same_family = is_same_model = True
    elif model == WORDS_ONLY or not isinstance(model, str | os.PathLike | None):
        is_same_family = is_same_model = False
    else:
        files = find_model(model, adapter)
        is_same_family = files.family.prompts.digest == made_with.prompts
        is_same_model = files.weights_digest == made_with.weights
        is_same_family = is_same_family and files.trained_with.max_pixels is None  # else it brings its own budget
    return {
        "max_pixels": made_with.max_pixels or None if is_same_family else None,
        "frames": made_with.frames or None if is_same_family else None,
        "dim": made_with.dim or None if is_same_model else None,
    }


def _open(library: Library, reopen: Callable[..., Library], model: Any, wanted: Mapping[str, Any]) -> Library:
    """The collection that is being built; one begun with other settings is begun anew."""
    try:
        return reopen(library.place, model, **wanted)
    except (FingerprintMismatch, InvalidInput):
        unsettled = dict.fromkeys(("adapter", "revision", "max_pixels", "frames", "dim", "language", "media"))
        begun = reopen(library.place, "none", **{**wanted, **unsettled, "create": False})
        begun.collection.drop()
        return reopen(library.place, model, **wanted)


def _fill(library: Library, beside: Library, files: list[Path], callback: IndexCallback | None) -> IndexReport:
    """Index the files, and write what is no file of the command line's: texts and documents under ids of their own."""
    report = IndexReport()
    if files:
        with beside._new_reader() as reader:
            report = index(files, beside.writer(), reader, callback=callback)
    documents = _entries(library, beside, report)
    writer = beside.writer()
    while batch := list(islice(documents, BATCH_ITEMS)):
        written = writer.write(batch, isolate=True)
        report.encoded += written.encoded
        report.reused += written.reused
        report.failures += [Failure(source=batch[at].payload.place, reason=why) for at, why in written.failures.items()]
    beside.collection.flush()
    beside.collection.optimize()
    return report


def _entries(library: Library, beside: Library, report: IndexReport) -> Iterator[Entry]:
    """The old collection's points that no file gives again, read again where they show pixels."""
    for point in library.collection.scroll():
        payload = point.payload
        if not (payload.document_id or _is_document(payload.source)):
            continue
        try:
            item = (
                Text(text=payload.text, source=payload.source, title=payload.title)
                if payload.kind == "text"
                else read_item(payload.text, metadata_of(payload), beside.reader)
            )
        except Exception as error:
            report.failures.append(Failure(source=payload.place, reason=str(error)))
            continue
        yield Entry(item=item, payload=payload)
