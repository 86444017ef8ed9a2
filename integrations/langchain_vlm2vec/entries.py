"""Documents, images and videos to entries of the library's writer: read, checked and described."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_vlm2vec.loader import path_of
from vlm2vec_rag.document_metadata import kept_metadata
from vlm2vec_rag.documents import (
    document_id_of,
    file_payload,
    is_of_file,
    read_item,
    text_payload,
    without_description,
)
from vlm2vec_rag.errors import EmptyInput, InvalidInput, UnsupportedMedia
from vlm2vec_rag.items import Item, Text
from vlm2vec_rag.library.writing import Entry
from vlm2vec_rag.media import file_version

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader


def check(documents: Sequence[Document], ids: Sequence[str | None]) -> None:
    """See that all of them can be kept, before the first is written.

    Raises:
        EmptyInput: A text without a word; the message names it.
        InvalidInput: A text or metadata that cannot be kept; the message names it.
    """
    for at, (document, given) in enumerate(zip(documents, ids, strict=True)):
        name = given or document.id or ""
        if not is_of_file(document.metadata) and not document.page_content.strip():
            raise EmptyInput(f"document {at} {name} is a text without a word; leave it out")
        try:
            text_payload(document.page_content, document.metadata, name)
        except InvalidInput as error:
            raise InvalidInput(f"document {at} cannot be kept: {error}") from None


class EntryReader:
    """Makes entries, and opens files for them. Remembers what is known of each file: its hash, its number of items."""

    def __init__(self, media: MediaReader) -> None:
        self._media = media
        self._files: dict[str, dict[str, Any]] = {}
        self._read: tuple[str, Item] | None = None  # the pieces of a page come one after the other

    def documents(self, documents: Iterable[Document], ids: Iterable[str | None]) -> Iterator[Entry]:
        """A document of a file with what it shows there; any other one as a text with metadata of the user's own.

        What a text splitter cut from a page is a text at that place: it does not stand for the page's pixels.
        """
        for document, given in zip(documents, ids, strict=True):
            metadata = document.metadata
            text = without_description(document.page_content, metadata)
            document_id = given or document.id or document_id_of(document.page_content, metadata)
            if is_of_file(metadata) and (item := self._whole(document, text)) is not None:
                yield Entry.of(item, document_id, **self._file(item.source))
            else:
                payload = text_payload(document.page_content, metadata, document_id)
                yield Entry(item=Text(text=document.page_content), payload=payload)

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
            item = replace(item, text=caption or item.text, metadata={**item.metadata, **kept_metadata(metadata)})
            yield Entry.of(item, given, **self._file(item.source))

    def videos(self, uris: Iterable[str | os.PathLike[str]], metadatas: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
        """All clips of video files."""
        for uri, metadata in zip(uris, metadatas, strict=True):
            path = path_of(uri)
            info = self._media.probe(path)
            if info.kind != "video":
                raise UnsupportedMedia(f"{path} is a {info.format} file; expected a video")
            for item in self._media.items(path):
                clip = replace(item, metadata={**item.metadata, **kept_metadata(metadata)})
                yield Entry.of(clip, None, **self._file(item.source))

    def _whole(self, document: Document, text: str) -> Item | None:
        """What a document of a file shows, with its words; None where it is a piece of it."""
        metadata = document.metadata
        if metadata["kind"] == "text":
            is_all = Text(text=text).content_hash == metadata["content_hash"]
            return read_item(text, metadata, self._media) if is_all else None
        item = self._item(metadata)
        # under its own id it stands for all of it, whatever words it was given: a caption, or OCR
        if document.id == file_payload("", metadata).id or not item.text.strip() or _words(item.text) == _words(text):
            return read_item(text, metadata, self._media, item)
        return None

    def _item(self, metadata: Mapping[str, Any]) -> Item:
        if self._read is None or self._read[0] != metadata["place"]:
            self._read = metadata["place"], read_item(None, metadata, self._media)
        return self._read[1]

    def _file(self, source: str) -> dict[str, Any]:
        """What the command line writes of a file, so that it takes this one for indexed."""
        if source not in self._files:
            version, items = file_version(source), self._media.probe(source).items
            file = {"file_hash": version.hash, "modified_at": version.modified_at, "file_points": items}
            self._files[source] = file
        return self._files[source]


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


def _words(text: str) -> list[str]:
    return text.split()
