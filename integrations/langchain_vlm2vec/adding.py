"""The half of the vector store that adds: documents, texts, images and videos, each also awaited."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_vlm2vec import encoding
from langchain_vlm2vec.embeddings import VLM2VecEmbeddings
from langchain_vlm2vec.writing import Entry, EntryReader, batches, new_items, one_each, points_of
from vlm2vec_rag.encoder import DEFAULT_MODEL
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.library.model import ModelName

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
    from vlm2vec_rag.thumbnails import Thumbnails

Uris: TypeAlias = "Sequence[str | os.PathLike[str]]"
Metadatas: TypeAlias = "Sequence[Mapping[str, Any]] | None"
Ids: TypeAlias = "Sequence[str | None] | None"

BATCH_DOCUMENTS = 32  # read, encoded and written together: 100 MB of pages


class AddingStore(VectorStore):
    """Adds to a collection batch by batch: a batch that is written stays, whatever happens to the next."""

    collection: Collection
    limits: MediaLimits | None
    thumbnails: Thumbnails | None
    _embedding: Embeddings | None

    def add_documents(self, documents: Iterable[Document], *, ids: Ids = None, **kwargs: Any) -> list[str]:
        """Add documents, or replace those with the same ids.

        Documents of pages, images and clips, as `MediaLoader` gives them, are embedded by what they show: their
        files are read again. All others are texts. Equal content that is here already is not encoded again.
        Metadata that names a file has it opened, so take documents of files from nobody you would not let open files.

        Args:
            documents: Any number of them, in any mixture.
            ids: One for each document; before `Document.id`, before an id made from all that the document holds.
            kwargs: `batch_size`, how many documents are encoded and written together (32).

        Returns:
            The ids, one for each document.

        Raises:
            MediaError: A document's file cannot be read; the message names it.
            EmptyInput: A text without a word.
        """
        return self._write(_documents(documents, ids), **kwargs)

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
        return self._write(_images(uris, metadatas, ids, captions))

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
        return self._write(_videos(uris, metadatas))

    async def aadd_images(self, *args: Any, **kwargs: Any) -> list[str]:
        """`add_images` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.add_images, *args, **kwargs)

    async def aadd_videos(self, *args: Any, **kwargs: Any) -> list[str]:
        """`add_videos` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.add_videos, *args, **kwargs)

    # inside: an entry maker reads, and is asked for one batch after the other

    def _write(self, entries: Maker, *, batch_size: int = BATCH_DOCUMENTS) -> list[str]:
        ids: list[str] = []
        with self._media() as media:
            for batch in batches(entries(EntryReader(media)), batch_size):
                hashes = [each.payload.content_hash for each in batch]
                vectors: dict[str, Any] = dict(self.collection.vectors_by_content(hashes))
                if self._embedding is not None and (new := new_items(batch, vectors)):
                    made = encoding.encode_items(self._embedding, list(new.values()))
                    vectors |= zip(new, made, strict=True)
                self.collection.upsert(points_of(batch, vectors))
                self._keep_thumbnails(batch)
                ids += [each.document_id for each in batch]
        return ids

    def media_settings(self) -> MediaSettings:
        """How this collection's files become items: as recorded in it, or by default, and recorded from now on.

        The model's name is recorded as well, so that the command line needs no option to search here.
        With these, `MediaLoader` gives documents the ids under which the command line knows the same pages and clips.

        Raises:
            InvalidInput: The collection holds vectors, and the store has no embeddings to make more.
        """
        from vlm2vec_rag.library.indexing import record_media, settle_media

        if self._embedding is None and self.collection.dim:
            raise InvalidInput(
                f"the collection {self.collection.name!r} holds vectors of {self.collection.fingerprint}, and the "
                "store has no embeddings; open it with those it was built with to add to it"
            )
        if isinstance(self._embedding, VLM2VecEmbeddings) and self._embedding.encoder is None:
            ModelName.of(self._embedding.model or DEFAULT_MODEL, self._embedding.adapter).record(self.collection)
        settings = settle_media(self.collection)
        record_media(self.collection, settings)
        return settings

    def _media(self) -> MediaReader:
        from vlm2vec_rag.media import MediaLimits, MediaReader

        return MediaReader(self.media_settings(), self.limits or MediaLimits())

    def _keep_thumbnails(self, batch: Sequence[Entry]) -> None:
        if self.thumbnails:
            for each in batch:
                self.thumbnails.keep(each.item)


Maker: TypeAlias = Callable[[EntryReader], Iterator[Entry]]


def _documents(documents: Iterable[Document], ids: Ids) -> Maker:
    given = _several(documents)
    for each in given:
        if not isinstance(each, Document):
            raise InvalidInput(f"documents holds a {type(each).__name__}; expected Documents, or add_texts for strings")
    each_id = one_each("ids", ids, len(given), "documents", None)
    return lambda reader: reader.documents(given, each_id)


def _images(uris: Uris, metadatas: Metadatas, ids: Ids, captions: Sequence[str] | None) -> Maker:
    given = _several(uris)
    each_metadata = one_each("metadatas", metadatas, len(given), "images", {})
    each_id = one_each("ids", ids, len(given), "images", None)
    each_caption = one_each("captions", captions, len(given), "images", "")
    return lambda reader: reader.images(given, each_metadata, each_id, each_caption)


def _videos(uris: Uris, metadatas: Metadatas) -> Maker:
    given = _several(uris)
    each_metadata = one_each("metadatas", metadatas, len(given), "videos", {})
    return lambda reader: reader.videos(given, each_metadata)


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
