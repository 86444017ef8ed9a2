"""Paths to a collection: only what changed is encoded, one bad file never ends a run, a killed run goes on.

What is indexed is read from the collection itself. A file whose hash is there and whole is skipped. Of a changed file,
or one that a killed run left half done, only items whose content is new are encoded; the others take the vector that
is there already. Stale points go last, so that a file can be found at every moment.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from vlm2vec_rag.collection import Filter
from vlm2vec_rag.errors import InvalidInput, MediaError, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.items import Item
from vlm2vec_rag.languages import DetectedLanguage
from vlm2vec_rag.library.sampling import sample_texts
from vlm2vec_rag.library.writing import BATCH_ITEMS, Entry, Writer, reason_of
from vlm2vec_rag.media import (
    SUPPORTED,
    FileVersion,
    MediaInfo,
    MediaReader,
    MediaSettings,
    PassedOver,
    file_version,
    find_media,
)
from vlm2vec_rag.notebook import table
from vlm2vec_rag.prefetch import prefetch
from vlm2vec_rag.terminal import displayable

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection

logger = logging.getLogger(__name__)

PREFETCH_ITEMS = 16  # read ahead while the encoder works: 50 MB of pages

Paths: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
Prune: TypeAlias = "bool | Literal['all']"


class IndexCallback(Protocol):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is to be said of a file that was indexed: a guessed encoding, an image that is cut off."""

    source: str
    text: str


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What a run did."""

    indexed: int = 0  # files
    unchanged: int = 0  # files
    failures: list[Failure] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    pages_without_words: int = 0  # nothing to find them by but their pixels
    pages_with_broken_text: int = 0  # whose text layer says nothing; of these, OCR may have read the words
    language: DetectedLanguage | None = None  # of the words, where this run decided it
    has_ocr: bool = False  # whether pages without words are read by OCR
    passed_over: PassedOver = field(default_factory=PassedOver)  # in the folders that were walked
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

    def _repr_html_(self) -> str:
        rows = {"files indexed": self.indexed, "unchanged": self.unchanged, "items": self.items}
        return table(rows, [f"{each.source}: {each.reason}" for each in self.failures])


@dataclass(slots=True, kw_only=True)
class _File:
    """A file on its way into the collection."""

    path: Path
    version: FileVersion
    info: MediaInfo | None = None
    expected: int = 0  # items, as far as can be told before
    read: int | None = None  # items in all, once it is read to the end
    error: str | None = None
    notes: Sequence[str] = ()

    @property
    def source(self) -> str:
        return self.path.as_posix()

    @property
    def hash(self) -> str:
        return self.version.hash


def index(
    paths: Paths,
    writer: Writer,
    reader: MediaReader,
    *,
    prune: Prune = False,
    callback: IndexCallback | None = None,
) -> IndexReport:
    """Bring files and folders into a collection, or up to date in it.

    Args:
        paths: Files and folders; folders are walked.
        writer: Encodes, and writes into the collection.
        reader: Reads files the way this collection keeps to.
        prune: Delete what came from files below `paths` that are no longer there; "all" where that is most of the
            collection.
        callback: Is told how the run goes.

    Returns:
        What was done; files that failed are in it with their reasons.

    Raises:
        MediaError: A path is not there, or holds nothing that can be read.
        InvalidInput: A path is empty, or pruning would take most of the collection away.
        CollectionError: The collection cannot be read or written.
    """
    started = time.perf_counter()
    collection = writer.collection
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if any(not os.fspath(each).strip() for each in given):
        raise InvalidInput("a path to index is empty; give files or folders by name, or '.' for the present folder")
    report = IndexReport(has_ocr=reader.settings.ocr != "off")
    found = list(find_media(given, passed_over=report.passed_over))
    known = collection.sources()
    report.gone = _gone(given, found, known)
    if not found and not report.gone:
        raise UnsupportedMedia(
            f"there is nothing to index in {', '.join(map(str, given)) or 'no paths'}; "
            f"expected files such as {', '.join(sorted(SUPPORTED)[:12])} …"
            + (f"; what is there is not read: {report.passed_over}" if report.passed_over.kinds else "")
        )
    if prune is True:
        _check_prune(report.gone, known)
    for place, reason in report.passed_over.unreadable.items():
        _fail(report, callback, place, reason)
    todo: list[_File] = []
    for path in found:
        try:
            file = _describe(path, reader)
            source = known.get(file.source)
            if source is not None and source.is_complete and source.file_hash == file.hash:
                report.unchanged += 1
                continue
            file.info = reader.probe(path)
            file.expected = file.info.items
            todo.append(file)
        except (MediaError, OSError) as error:
            _fail(report, callback, path.as_posix(), str(error))
    if callback:
        callback.planned(len(todo), sum(file.expected for file in todo))
    is_undecided = not collection.language
    if is_undecided:
        collection.detect_language(sample_texts([(file.path, file.info) for file in todo if file.info], reader))
    run = _Run(writer, report, callback)
    with prefetch(_items(todo, reader), PREFETCH_ITEMS, cancel=reader.cancel) as items:
        run.write(items)
    if prune and report.gone:
        collection.delete(Filter(sources=report.gone))
        report.removed, report.gone = report.gone, []
    if is_undecided:
        report.language = collection.detected_language
    collection.flush()
    collection.optimize()  # some seconds for each 10,000 new points, nothing for a few
    report.encode_s, report.write_s = writer.encode_s, writer.write_s
    report.seconds = time.perf_counter() - started
    return report


class _Run:
    """Takes items from the reader in batches, has them written, and finishes files."""

    def __init__(self, writer: Writer, report: IndexReport, callback: IndexCallback | None) -> None:
        self.writer, self.report, self.callback = writer, report, callback

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
        entries: list[Entry] = []
        kept: list[tuple[_File, Item]] = []
        for file, item in batch:
            version = file.version
            try:
                entry = Entry.of(
                    item, file_hash=version.hash, file_points=file.expected, modified_at=version.modified_at
                )
                entries.append(entry)
                kept.append((file, item))
            except Exception as error:  # of whatever a file holds, only itself is lost
                file.error = file.error or f"{item.fragment or item.kind}: {reason_of(error)}"
        pages = [item for _, item in batch if item.kind == "page"]
        self.report.pages_without_words += sum(not item.text for item in pages)
        self.report.pages_with_broken_text += sum(item.metadata.get("text_layer") == "broken" for item in pages)
        written = self.writer.write(entries, isolate=True)
        for at, reason in written.failures.items():
            file, item = kept[at]
            file.error = file.error or f"{item.fragment or item.kind}: {reason}"
        self.report.encoded += written.encoded
        self.report.reused += written.reused
        if self.callback:
            self.callback.items_done(written.encoded + written.reused)

    def _finish(self, file: _File) -> None:
        """Take away what an earlier version left, and only then count the file as done."""
        self.report.notes += [Note(source=file.source, text=text) for text in file.notes]
        if file.error is None and not file.version.is_current():
            file.error = "was written to while it was read; run the same command again when that is done"
        if file.error is not None:
            _fail(self.report, self.callback, file.source, file.error)
            return
        collection = self.writer.collection
        mine = Filter(sources=[file.source], file_hashes=[file.hash])
        if file.read != file.expected:
            collection.set_payload(mine, {"file_points": file.read})
        collection.delete(Filter(sources=[file.source], not_file_hashes=[file.hash]))
        self.report.indexed += 1
        if self.callback:
            self.callback.file_done(file.source, None)


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
        file.notes = reader.take_notes(file.path)
        yield file, None


def settle_media(collection: Collection, media: MediaSettings | None = None) -> MediaSettings:
    """The one way in which this collection's files become items: the recorded one, or else the one asked for.

    The pixel budget and the frames of a clip are those of the collection's model.

    Raises:
        InvalidInput: Other settings than the recorded ones are asked for; the message names the differences.
    """
    settings = media or MediaSettings()
    made_with = collection.fingerprint
    if made_with.max_pixels:  # else words only, or embeddings that see no pixels
        settings = replace(settings, max_pixels=made_with.max_pixels, frames=made_with.frames)
    recorded = collection.settings.get("media")
    if recorded is None:
        return settings
    if media is None or media == MediaSettings(passwords=media.passwords):
        return MediaSettings.from_signature(recorded, settings)
    settings = settings.keeping(recorded)
    signature = settings.signature()
    if signature != recorded:
        apart = {name: (recorded.get(name), signature.get(name)) for name in signature.keys() | recorded.keys()}
        differences = ", ".join(
            f"{name} {old!r} against {new!r}" for name, (old, new) in sorted(apart.items()) if old != new
        )
        raise InvalidInput(
            f"the collection {collection.name!r} was indexed with other media settings: {differences}; "
            "leave them out to keep to its own, or index into another collection"
        )
    return settings


def record_media(collection: Collection, settings: MediaSettings) -> None:
    """Write the settings into a collection that has none yet; from then on it keeps to them."""
    if collection.settings.get("media") is None:
        collection.update_settings({"media": settings.signature()})


def _describe(path: Path, reader: MediaReader) -> _File:
    """A file before it is read.

    Raises:
        MediaError: It cannot be read, or cannot be named in a collection.
    """
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise UnreadableMedia(f"{displayable(path)}: its name is not UTF-8; rename it (convmv does many)") from None
    return _File(path=path, version=file_version(path, reader.limits))


def _gone(given: Sequence[str | os.PathLike[str]], found: Iterable[Path], known: Iterable[str]) -> list[str]:
    """Sources in the collection that lay below the given folders and are no longer there."""
    here = {path.as_posix() for path in found}
    folders = [Path(each).resolve().as_posix().rstrip("/") + "/" for each in given if Path(each).is_dir()]
    return [source for source in known if source not in here and source.startswith(tuple(folders)) and _is_gone(source)]


def _is_gone(source: str) -> bool:
    """Whether a file is surely no longer there: a folder that may not be looked into hides it, and no more."""
    try:
        Path(source).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _check_prune(gone: Sequence[str], known: Mapping[str, object]) -> None:
    """Stop before half of a collection or more goes: a disk that is not mounted looks like an empty folder."""
    if len(gone) > 1 and 2 * len(gone) >= len(known):
        raise InvalidInput(
            f"pruning would remove {len(gone)} of {len(known)} files from the collection, {gone[0]} among them; "
            "if a disk is not mounted, mount it; if they are to go, prune with 'all' (on the command line: --yes)"
        )


def _fail(report: IndexReport, callback: IndexCallback | None, source: str, reason: str) -> None:
    source, reason = displayable(source), displayable(reason)
    report.failures.append(Failure(source=source, reason=reason))
    logger.debug("%s failed: %s", source, reason)  # the callback and the report tell it already
    if callback:
        callback.file_done(source, reason)
