"""Paths to a collection: only what changed is encoded, one bad file never ends a run, a killed run goes on.

What is indexed is read from the collection itself. A file whose hash is there and whole is skipped. Of a changed file,
or one that a killed run left half done, only items whose content is new are encoded; the others take the vector that
is there already. Stale points go last, so that a file can be found at every moment.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vlm2vec_rag.collection import Filter, Payload, Point
from vlm2vec_rag.errors import InvalidInput, MediaError, UnsupportedMedia, VlmRagError
from vlm2vec_rag.items import Item
from vlm2vec_rag.media import SUPPORTED, MediaLimits, MediaReader, MediaSettings, find_media
from vlm2vec_rag.prefetch import prefetch

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Vectors
    from vlm2vec_rag.thumbnails import Thumbnails

logger = logging.getLogger(__name__)

BATCH_ITEMS = 32  # encoded and written together; what a kill can cost
PREFETCH_ITEMS = 16  # read ahead while the encoder works: 50 MB of pages


class Observer(Protocol):
    """Is told how a run goes; a progress bar is one."""

    def planned(self, files: int, items: int) -> None:
        """So many files will be read, which make so many items as far as can be told before."""

    def file_done(self, source: str, error: str | None) -> None:
        """A file is whole in the collection, or failed."""

    def items_done(self, kinds: Mapping[str, int]) -> None:
        """So many more items of each kind are in the collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file that could not be indexed, or not all of it."""

    source: str
    reason: str


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What a run did."""

    indexed: int = 0  # files
    unchanged: int = 0  # files
    failures: list[Failure] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # sources that were pruned
    gone: list[str] = field(default_factory=list)  # sources whose file is no longer there, kept
    encoded: Counter[str] = field(default_factory=Counter)  # items by kind, encoded anew
    reused: Counter[str] = field(default_factory=Counter)  # items by kind whose vector was there already
    seconds: float = 0.0
    encode_s: float = 0.0
    write_s: float = 0.0

    @property
    def items(self) -> int:
        """Items written in this run."""
        return self.encoded.total() + self.reused.total()


@dataclass(slots=True, kw_only=True)
class _File:
    """A file on its way into the collection."""

    path: Path
    hash: str
    modified_at: datetime
    expected: int = 0  # items, as far as can be told before
    written: int = 0
    read: int | None = None  # items in all, once it is read to the end
    error: str | None = None

    @property
    def source(self) -> str:
        return self.path.as_posix()


def index(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    collection: Collection,
    encoder: Encoder | None = None,
    *,
    media: MediaSettings | None = None,
    limits: MediaLimits | None = None,
    thumbnails: Thumbnails | None = None,
    prune: bool = False,
    observer: Observer | None = None,
) -> IndexReport:
    """Bring files and folders into a collection, or up to date in it.

    Args:
        paths: Files and folders; folders are walked.
        collection: Opened with the encoder's fingerprint.
        encoder: None indexes words only.
        media: How files become items; None takes the collection's own settings. A collection keeps to one way.
        limits: What a file may cost before it is refused.
        thumbnails: Where to keep small images, if anywhere.
        prune: Delete what came from files below `paths` that are no longer there.
        observer: Is told how the run goes.

    Returns:
        What was done; files that failed are in it with their reasons.

    Raises:
        MediaError: A path is not there, or holds nothing that can be read.
        InvalidInput: The collection was indexed with other media settings.
        FingerprintMismatch: The encoder is not the one the collection was built with.
    """
    from vlm2vec_rag.retrieval import Retriever

    Retriever(collection, encoder)  # refuses an encoder that does not fit
    if encoder is None and collection.dim:
        raise InvalidInput(
            f"the collection {collection.name!r} holds vectors of {collection.fingerprint}, and no encoder is given; "
            "index with the encoder it was built with"
        )
    started = time.perf_counter()
    settings = settle_media(collection, encoder, media)
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    report = IndexReport()
    found = list(find_media(given))
    known = collection.sources()
    if not found and not _gone(given, found, known):
        raise UnsupportedMedia(
            f"there is nothing to index in {', '.join(map(str, given)) or 'no paths'}; "
            f"expected files such as {', '.join(sorted(SUPPORTED)[:12])} …"
        )
    with MediaReader(settings, limits or MediaLimits()) as reader:
        todo: list[_File] = []
        for path in found:
            try:
                file = _describe(path)
                source = known.get(file.source)
                if source is not None and source.is_complete and source.file_hash == file.hash:
                    report.unchanged += 1
                    continue
                file.expected = reader.probe(path).items
                todo.append(file)
            except (MediaError, OSError) as error:
                _fail(report, observer, path.as_posix(), str(error))
        if observer:
            observer.planned(len(todo), sum(file.expected for file in todo))
        run = _Run(collection, encoder, thumbnails, report, observer)
        with prefetch(_items(todo, reader), PREFETCH_ITEMS) as items:
            run.write(items)
    report.gone = _gone(given, found, known)
    if prune and report.gone:
        collection.delete(Filter(sources=report.gone))
        report.removed, report.gone = report.gone, []
    collection.flush()
    collection.optimize()  # some seconds for each 10,000 new points, nothing for a few
    report.seconds = time.perf_counter() - started
    return report


class _Run:
    """Takes items from the reader in batches, encodes what is new, writes, and finishes files."""

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder | None,
        thumbnails: Thumbnails | None,
        report: IndexReport,
        observer: Observer | None,
    ) -> None:
        self.collection, self.encoder, self.thumbnails = collection, encoder, thumbnails
        self.report, self.observer = report, observer

    def write(self, items: Iterable[tuple[_File, Item | None]]) -> None:
        """Write all items; an end mark (None) follows the last item of each file."""
        batch: list[tuple[_File, Item]] = []
        ended: list[_File] = []
        for file, item in items:
            if item is None:
                ended.append(file)
            else:
                batch.append((file, item))
            if len(batch) >= BATCH_ITEMS:
                self._flush(batch, ended)
        self._flush(batch, ended)

    def _flush(self, batch: list[tuple[_File, Item]], ended: list[_File]) -> None:
        if batch:
            self._write_batch(batch)
        for file in ended:
            self._finish(file)
        batch.clear()
        ended.clear()

    def _write_batch(self, batch: list[tuple[_File, Item]]) -> None:
        hashes = [item.content_hash for _, item in batch]
        vectors: dict[str, Any] = dict(self.collection.vectors_by_content(hashes)) if self.encoder else {}
        new = {
            content_hash: (file, item)
            for content_hash, (file, item) in zip(hashes, batch, strict=True)
            if content_hash not in vectors
        }
        if self.encoder is not None:
            vectors |= self._encode(self.encoder, new)
        now = datetime.now(timezone.utc)
        points, kinds = [], Counter[str]()
        for content_hash, (file, item) in zip(hashes, batch, strict=True):
            if self.encoder is not None and content_hash not in vectors:
                continue  # its file is marked as failed
            payload = Payload.of(
                item, file_hash=file.hash, file_points=file.expected, modified_at=file.modified_at, indexed_at=now
            )
            points.append(Point(id=payload.id, payload=payload, vector=vectors.get(content_hash)))
            (self.report.encoded if content_hash in new else self.report.reused)[item.kind] += 1
            kinds[item.kind] += 1
            file.written += 1
            if self.thumbnails:
                self.thumbnails.keep(item)
        started = time.perf_counter()
        self.collection.upsert(points)
        self.report.write_s += time.perf_counter() - started
        if self.observer:
            self.observer.items_done(kinds)

    def _encode(self, encoder: Encoder, new: dict[str, tuple[_File, Item]]) -> dict[str, Any]:
        """Vectors by content hash; where a batch fails, one by one, so that a single item cannot take others along."""
        if not new:
            return {}
        started = time.perf_counter()
        try:
            vectors: Vectors = encoder.encode_items([item for _, item in new.values()])
            return dict(zip(new, vectors, strict=True))
        except VlmRagError as error:
            if len(new) == 1:
                [(file, item)] = new.values()
                file.error = f"{item.fragment or item.kind}: {error}"
                return {}
        finally:
            self.report.encode_s += time.perf_counter() - started
        single: dict[str, Any] = {}
        for content_hash, pair in new.items():
            single |= self._encode(encoder, {content_hash: pair})
        return single

    def _finish(self, file: _File) -> None:
        """Take away what an earlier version left, and only then count the file as done."""
        if file.error is not None:
            _fail(self.report, self.observer, file.source, file.error)
            return
        mine = Filter(sources=[file.source], file_hashes=[file.hash])
        if file.read != file.expected:
            self.collection.set_payload(mine, {"file_points": file.read})
        self.collection.delete(Filter(sources=[file.source], not_file_hashes=[file.hash]))
        self.report.indexed += 1
        if self.observer:
            self.observer.file_done(file.source, None)


def _items(files: Iterable[_File], reader: MediaReader) -> Iterator[tuple[_File, Item | None]]:
    """The items of all files, one after the other, an end mark after each file's last."""
    for file in files:
        count = 0
        try:
            for item in reader.items(file.path):
                count += 1
                yield file, item
            file.read = count
        except (MediaError, OSError) as error:
            file.error = str(error)
        yield file, None


def settle_media(collection: Collection, encoder: Encoder | None, media: MediaSettings | None) -> MediaSettings:
    """The one way in which this collection's files become items: the recorded one, or from now on this one.

    Raises:
        InvalidInput: Other settings than the recorded ones are asked for; the message names the differences.
    """
    settings = media or MediaSettings()
    if encoder is not None:
        settings = replace(settings, max_pixels=encoder.max_pixels, frames=encoder.frames)
    recorded = collection.settings.get("media")
    if recorded is not None and media is None:
        settings = MediaSettings.from_signature(recorded, settings)
    signature = settings.signature()
    if recorded is None:
        collection.update_settings({"media": signature})
    elif signature != recorded:
        apart = {name: (recorded.get(name), signature.get(name)) for name in signature.keys() | recorded.keys()}
        differences = ", ".join(f"{name} {old!r} against {new!r}" for name, (old, new) in apart.items() if old != new)
        raise InvalidInput(
            f"the collection {collection.name!r} was indexed with other media settings: {differences}; "
            "leave them out to keep to its own, or index into another collection"
        )
    return settings


def file_version(path: Path) -> tuple[str, datetime]:
    """SHA-256 of a file's bytes, and when it was last written."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        modified_s = os.fstat(file.fileno()).st_mtime
    return digest.hexdigest(), datetime.fromtimestamp(modified_s, timezone.utc)


def _describe(path: Path) -> _File:
    file_hash, modified_at = file_version(path)
    return _File(path=path, hash=file_hash, modified_at=modified_at)


def _gone(given: Sequence[str | os.PathLike[str]], found: Iterable[Path], known: Iterable[str]) -> list[str]:
    """Sources in the collection that lay below the given folders and are no longer there."""
    here = {path.as_posix() for path in found}
    folders = [Path(each).resolve().as_posix().rstrip("/") + "/" for each in given if Path(each).is_dir()]
    return [
        source
        for source in known
        if source not in here and source.startswith(tuple(folders)) and not Path(source).exists()
    ]


def _fail(report: IndexReport, observer: Observer | None, source: str, reason: str) -> None:
    report.failures.append(Failure(source=source, reason=reason))
    logger.info("%s failed: %s", source, reason)
    if observer:
        observer.file_done(source, reason)
