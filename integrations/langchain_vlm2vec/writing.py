"""Documents, images and videos to the points that a store writes: read, encoded where new, and described."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_vlm2vec.loader import path_of
from vlm2vec_rag.collection import Payload, Point
from vlm2vec_rag.documents import document_id_of, is_of_file, point_id_of, read_item, text_payload
from vlm2vec_rag.errors import InvalidInput, UnsupportedMedia
from vlm2vec_rag.items import Item, Text
from vlm2vec_rag.media import file_version

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A document on its way into the collection: what is encoded, and what is kept of it."""

    document_id: str
    item: Item
    payload: Payload

    @classmethod
    def of_file(cls, item: Item, document_id: str | None, **file: Any) -> Entry:
        """An item of a file, under an id of the user's own or under the one that all know it by."""
        payload = Payload.of(item, **file)
        if document_id is None or point_id_of(document_id) == payload.id:
            return cls(document_id=payload.id, item=item, payload=payload)
        return cls(document_id=document_id, item=item, payload=replace(payload, document_id=document_id))


class EntryReader:
    """Makes entries, and opens files for them. Remembers what is known of each file: its hash, its number of items."""

    def __init__(self, media: MediaReader) -> None:
        self._media = media  # its process starts with the first file
        self._files: dict[str, dict[str, Any]] = {}

    def documents(self, documents: Iterable[Document], ids: Iterable[str | None]) -> Iterator[Entry]:
        """A document of a file with what it shows there; any other one as a text with metadata of the user's own."""
        for document, given in zip(documents, ids, strict=True):
            text, metadata = document.page_content, document.metadata
            document_id = given or document.id or document_id_of(text, metadata)
            if is_of_file(metadata):
                item = read_item(text, metadata, self._media)
                yield Entry.of_file(item, document_id, **self._file(item.source))
            else:
                payload = text_payload(text, metadata, document_id)
                yield Entry(document_id=document_id, item=Text(text=text), payload=payload)

    def images(
        self,
        uris: Iterable[str | os.PathLike[str]],
        metadatas: Iterable[Mapping[str, Any]],
        ids: Iterable[str | None],
        captions: Iterable[str],
    ) -> Iterator[Entry]:
        """Image files, each with a caption or none."""
        for uri, metadata, given, caption in zip(uris, metadatas, ids, captions, strict=True):
            item = self._media.image(path_of(uri))
            item = replace(item, text=caption or item.text, metadata={**item.metadata, **metadata})
            yield Entry.of_file(item, given, **self._file(item.source))

    def videos(self, uris: Iterable[str | os.PathLike[str]], metadatas: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
        """All clips of video files."""
        for uri, metadata in zip(uris, metadatas, strict=True):
            path = path_of(uri)
            info = self._media.probe(path)
            if info.kind != "video":
                raise UnsupportedMedia(f"{path} is a {info.format} file; expected a video")
            for item in self._media.items(path):
                clip = replace(item, metadata={**item.metadata, **metadata})
                yield Entry.of_file(clip, None, **self._file(item.source))

    def _file(self, source: str) -> dict[str, Any]:
        """What the command line writes of a file, so that it takes this one for indexed."""
        if source not in self._files:
            version, items = file_version(source), self._media.probe(source).items
            file = {"file_hash": version.hash, "modified_at": version.modified_at, "file_points": items}
            self._files[source] = file
        return self._files[source]


def batches(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """Lists of at most `size` entries, read while they are asked for."""
    if size < 1:
        raise InvalidInput(f"batch_size is {size}; expected 1 or more")
    rest = iter(entries)
    while batch := list(islice(rest, size)):
        yield batch


def new_items(batch: Sequence[Entry], known: Mapping[str, Any]) -> dict[str, Item]:
    """What has no vector yet, by content hash; equal content is encoded once."""
    return {each.payload.content_hash: each.item for each in batch if each.payload.content_hash not in known}


def points_of(batch: Sequence[Entry], vectors: Mapping[str, Any]) -> list[Point]:
    """Points that are written now, with vectors by content hash."""
    now = datetime.now(timezone.utc)
    return [
        Point(
            id=point_id_of(each.document_id),
            payload=replace(each.payload, indexed_at=now, encoded=each.payload.content_hash in vectors),
            vector=vectors.get(each.payload.content_hash),
        )
        for each in batch
    ]


def one_each(name: str, values: Sequence[Any] | None, count: int, of: str, default: Any) -> list[Any]:
    """A list with a value for each document, image or video.

    Raises:
        InvalidInput: There are more values, or fewer.
    """
    if values is None:
        return [default] * count
    if isinstance(values, str) or len(given := list(values)) != count:
        number = f"the string {values!r}" if isinstance(values, str) else str(len(list(values)))
        raise InvalidInput(f"{name} has {number} for {count} {of}; give one for each, or leave {name} out")
    return given
