"""The half of the vector store that adds: documents, texts, images and videos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_vlm2vec.entries import EntryReader, check, one_each
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.library.writing import BATCH_ITEMS, Entry

if TYPE_CHECKING:
    from vlm2vec_rag.library import Library

Uris: TypeAlias = "Sequence[str | os.PathLike[str]]"
Metadatas: TypeAlias = "Sequence[Mapping[str, Any]] | None"
Ids: TypeAlias = "Sequence[str | None] | None"


class AddingStore(VectorStore):
    """Adds to a library batch by batch: a batch that is written stays, whatever happens to the next."""

    library: Library

    def add_documents(self, documents: Iterable[Document], *, ids: Ids = None, **kwargs: Any) -> list[str]:
        """Add documents, or replace those with the same ids.

        Documents of pages, images and clips, as `MediaLoader` gives them, are embedded by what they show: their
        files are read again. What a text splitter cut from them is a text at that place, and all others are texts.
        Equal content that is here already is not encoded again. Metadata that names a file has it opened, so take
        documents of files from nobody you would not let open files.

        Args:
            documents: Any number of them, in any mixture.
            ids: One for each document; before `Document.id`, before an id made from all that the document holds.
            kwargs: `batch_size`, how many documents are encoded and written together (32).

        Returns:
            The ids, one for each document.

        Raises:
            MediaError: A document's file cannot be read; the message names it.
            EmptyInput: A text without a word; the message names it, and nothing is written.
            InvalidInput: A text or metadata that cannot be kept; the message names it, and nothing is written.
        """
        given = _several(documents)
        for each in given:
            if not isinstance(each, Document):
                raise InvalidInput(f"documents holds a {type(each).__name__}; expected Documents, or use add_texts")
        each_id = one_each("ids", ids, len(given), "documents", None)
        check(given, each_id)
        return self._write(self._entries().documents(given, each_id), **kwargs)

    async def aadd_documents(self, documents: Iterable[Document], *, ids: Ids = None, **kwargs: Any) -> list[str]:
        """`add_documents` in a thread; LangChain's own would keep only the texts."""
        return await run_in_executor(None, self.add_documents, documents, ids=ids, **kwargs)

    def add_texts(
        self, texts: Iterable[str], metadatas: Metadatas = None, *, ids: Ids = None, **kwargs: Any
    ) -> list[str]:
        """Add texts with metadata, as `add_documents` does."""
        return self.add_documents(_texts(texts, metadatas), ids=ids, **kwargs)

    def add_images(
        self, uris: Uris, metadatas: Metadatas = None, ids: Ids = None, *, captions: Sequence[str] | None = None
    ) -> list[str]:
        """Add image files.

        Args:
            uris: Paths or `file://` addresses.
            metadatas: One for each image.
            ids: One for each image; without them, those under which the command line knows the same images.
            captions: Words for each image, found by the word side of a search.

        Returns:
            The ids, one for each image.

        Raises:
            MediaError: A file is missing or broken; the message names it.
            InvalidInput: A file is no image.
        """
        given = _several(uris)
        each_metadata = one_each("metadatas", metadatas, len(given), "images", {})
        each_id = one_each("ids", ids, len(given), "images", None)
        each_caption = one_each("captions", captions, len(given), "images", "")
        return self._write(self._entries().images(given, each_metadata, each_id, each_caption))

    def add_videos(self, uris: Uris, metadatas: Metadatas = None) -> list[str]:
        """Add video files, each as clips of half a minute that overlap a little; subtitles are their words.

        Args:
            uris: Paths or `file://` addresses.
            metadatas: One for each video, kept with each of its clips.

        Returns:
            The ids of all clips, in the order of the videos.

        Raises:
            MediaError: A file is missing, broken, or no video; the message names it.
        """
        given = _several(uris)
        each_metadata = one_each("metadatas", metadatas, len(given), "videos", {})
        return self._write(self._entries().videos(given, each_metadata))

    async def aadd_images(self, *args: Any, **kwargs: Any) -> list[str]:
        """`add_images` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.add_images, *args, **kwargs)

    async def aadd_videos(self, *args: Any, **kwargs: Any) -> list[str]:
        """`add_videos` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.add_videos, *args, **kwargs)

    def _write(self, entries: Iterator[Entry], *, batch_size: int = BATCH_ITEMS) -> list[str]:
        if batch_size < 1:
            raise InvalidInput(f"batch_size is {batch_size}; expected 1 or more")
        writer = self.library.writer()
        ids: list[str] = []
        while batch := list(islice(entries, batch_size)):
            writer.write(batch)
            ids += [each.document_id for each in batch]
        return ids

    def _entries(self) -> EntryReader:
        return EntryReader(self.library.reader)


def _texts(texts: Iterable[str], metadatas: Metadatas) -> list[Document]:
    given = _several(texts)
    each_metadata = one_each("metadatas", metadatas, len(given), "texts", {})
    return [
        Document(page_content=text, metadata=dict(metadata))
        for text, metadata in zip(given, each_metadata, strict=True)
    ]


def _several(given: Iterable[Any]) -> list[Any]:
    if isinstance(given, str | os.PathLike):
        raise InvalidInput(f"got the single value {str(given)!r}; expected a list")
    return list(given)
