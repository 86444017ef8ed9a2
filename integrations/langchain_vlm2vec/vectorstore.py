"""`VLM2VecVectorStore`: a collection as a LangChain vector store, for texts, images, pages and clips.

It writes the same points as the command line, the web app and LlamaIndex: what one of them indexed, all find.
"""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from langchain_vlm2vec import encoding, filters
from langchain_vlm2vec.adding import AddingStore
from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.searching import SearchingStore, document_of
from vlm2vec_rag.collection import Filter, open_collection
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import CollectionNotFound, InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.media import MediaLimits
    from vlm2vec_rag.thumbnails import Thumbnails


class VLM2VecVectorStore(AddingStore, SearchingStore):
    """A LangChain vector store on Qdrant: embedded in a folder, in memory, or on a server.

    Scores: `hybrid`, the default where a question has words, joins the ranking of the vectors with that of the words;
    its score is the sum of 1 / (60 + rank), at most 2/61, and only orders. `dense` scores are cosine similarities,
    `bm25` scores are BM25. Relevance scores in [0, 1] are (1 + cosine) / 2, whatever the mode.

    Documents: a text keeps its id and gets back exactly the metadata it came with. What comes from a file has
    `source`, `kind`, `place`, `page`, `start_s`, `end_s` and the like in its metadata; see `vlm2vec_rag.documents`.

    The async methods run the others in threads of the event loop, which stays free.

    >>> store = VLM2VecVectorStore.open("./my.vlm2vec", VLM2VecEmbeddings())
    >>> store.add_images(["cats/tom.png"])
    >>> store.similarity_search("a sleeping cat", k=3, filter={"kind": "image"})
    """

    def __init__(
        self,
        collection: Collection,
        embedding: Embeddings | None = None,
        *,
        mode: Mode = "hybrid",
        limits: MediaLimits | None = None,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        """Use an open collection.

        Args:
            collection: From `open_collection`.
            embedding: What the collection was built with: `VLM2VecEmbeddings`, or any embeddings if it holds texts
                only. None searches by words only.
            mode: How questions are answered unless they say so: hybrid, dense or bm25.
            limits: What a file may cost before it is refused.
            thumbnails: Where to keep small images of what is added, if anywhere.

        Raises:
            FingerprintMismatch: The embeddings are not those the collection was built with.
        """
        self.collection = collection
        self.mode: Mode = mode
        self.limits = limits
        self.thumbnails = thumbnails
        self._embedding = embedding
        if embedding is not None:
            collection.require(encoding.fingerprint_of(embedding))

    # opening

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str] = ":memory:",
        embedding: Embeddings | None = None,
        *,
        name: str = "default",
        create: bool = True,
        mode: Mode = "hybrid",
        limits: MediaLimits | None = None,
        thumbnails: Thumbnails | None = None,
        **place: Any,
    ) -> VLM2VecVectorStore:
        """Open a store, or make it when it is not there.

        Args:
            location: A folder, `:memory:`, or the address of a Qdrant server such as `http://localhost:6333`.
            embedding: As for the store itself. None makes a collection of words only.
            name: The collection at that location.
            create: Make the collection when it is not there.
            mode: As for the store itself, as are `limits` and `thumbnails`.
            limits: What a file may cost before it is refused.
            thumbnails: Where to keep small images of what is added, if anywhere.
            place: More for `vlm2vec_rag.collection.open_collection`: `api_key`, `language`, `cluster` and the like.

        Raises:
            CollectionNotFound: It is not there and was not to be made.
            FingerprintMismatch: It was built with other embeddings; both are named.
        """
        if embedding is not None:
            fingerprint = encoding.fingerprint_of(embedding)
            collection = open_collection(location, name, fingerprint=fingerprint, create=create, **place)
        else:
            try:  # any collection can be searched by words, whatever made its vectors
                collection = open_collection(location, name, create=False, **place)
            except CollectionNotFound:
                if not create:
                    raise
                collection = open_collection(location, name, fingerprint=encoding.WORDS_ONLY, **place)
        return cls(collection, embedding, mode=mode, limits=limits, thumbnails=thumbnails)

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> VLM2VecVectorStore:
        """Open a store and add documents; `ids` go with the documents, `collection` or what `open` takes to the store.

        Raises:
            CollectionError: The place cannot be opened.
            MediaError: A document's file cannot be read.
        """
        ids = kwargs.pop("ids", None)
        store = cls._at(embedding, **kwargs)
        store.add_documents(documents, ids=ids)
        return store

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> VLM2VecVectorStore:
        """As `from_documents`, for texts with metadata."""
        store = cls._at(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any
    ) -> VLM2VecVectorStore:
        """`from_documents` in a thread; LangChain's own would keep only the texts."""
        return await run_in_executor(None, cls.from_documents, documents, embedding, **kwargs)

    @classmethod
    def _at(cls, embedding: Embeddings, *, collection: Collection | None = None, **kwargs: Any) -> VLM2VecVectorStore:
        if collection is None:
            return cls.open(embedding=embedding, **kwargs)
        return cls(collection, embedding, **kwargs)

    @property
    def embeddings(self) -> Embeddings | None:
        """What texts and questions are embedded with."""
        return self._embedding

    def close(self) -> None:
        """Close the collection; a folder can then be opened by another process."""
        self.collection.close()

    def delete(self, ids: Sequence[str] | None = None, *, filter: Wanted = None, **kwargs: Any) -> bool:
        """Delete documents by id, or all that pass a filter. Neither one deletes all, as LangChain defines it.

        Ids that are not there are no error.
        """
        selection = _selection(ids, filter, kwargs)
        if selection != []:
            self.collection.delete(selection)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in the order asked for; ids that are not there are left out."""
        points = self.collection.retrieve(_points(ids)) if ids else []
        return [document_of(each.id, each.payload) for each in points]


def _selection(ids: Sequence[str] | None, filter: Wanted, kwargs: dict[str, Any]) -> Any:
    """What to delete: points by their ids, or a filter; an empty one for all."""
    if kwargs:
        raise InvalidInput(f"no such argument: {', '.join(sorted(kwargs))}; expected ids or filter")
    if ids is not None and filter is not None:
        raise InvalidInput("both ids and a filter are given; delete by one of them")
    if ids is not None:
        return _points(ids)
    condition = filters.condition(filter)
    if filter is not None and (condition is None or condition == Filter()):
        raise InvalidInput("the filter lets everything pass; call delete() without arguments to delete everything")
    return condition or Filter()


def _points(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise InvalidInput(f"ids is the single id {ids!r}; expected a list")
    return [point_id_of(each) for each in ids]
