"""`VLM2VecVectorStore`: a library as a LangChain vector store, for texts, images, pages and clips.

It writes the same points as the command line, the server and LlamaIndex: what one of them indexed, all find.
"""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from langchain_vlm2vec.adding import AddingStore
from langchain_vlm2vec.embeddings import VLM2VecEmbeddings
from langchain_vlm2vec.encoders import EmbeddingsEncoder
from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.found import document_of
from langchain_vlm2vec.searching import SearchingStore
from vlm2vec_rag.collection import Filter
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.library import Library, open_library

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode


class VLM2VecVectorStore(AddingStore, SearchingStore):
    """LangChain vector store on Qdrant for texts, images, PDF pages and video clips in one space.

    Setup:
        Install `vlm2vec-rag[langchain]`. Qdrant runs inside the process, in a folder or in memory; or start a server
        and give its address.

        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]"

    Instantiate:
        .. code-block:: python

            from langchain_vlm2vec import VLM2VecEmbeddings, VLM2VecVectorStore

            store = VLM2VecVectorStore.open("./my.vlm2vec", VLM2VecEmbeddings(model="nano"))

        A collection that is there is opened with the model that built it; none needs to be named.

    Add documents:
        .. code-block:: python

            from langchain_vlm2vec import MediaLoader

            store.add_documents(MediaLoader("./media").load())
            store.add_images(["cats/tom.png"], captions=["Tom, asleep"])
            store.add_texts(["an apple a day"], [{"author": "Ada"}], ids=["apple"])

    Search:
        .. code-block:: python

            store.similarity_search("a sleeping cat", k=3, kind="image")
            store.similarity_search("revenue", filter={"year": {"$gte": 2024}}, source="reports/")

    Async:
        .. code-block:: python

            await store.asimilarity_search("a sleeping cat", k=3)

    Use as retriever:
        .. code-block:: python

            store.as_retriever(search_type="mmr", search_kwargs={"k": 3, "kind": "page"}).invoke("revenue by region")

    Scores: `hybrid`, the default where a question has words, joins the ranking of the vectors with that of the words;
    its score is a weighted sum of 1 / (60 + rank), and only orders. `dense` scores are cosine similarities, `bm25`
    scores are BM25. Relevance scores in [0, 1] are (1 + cosine) / 2, whatever the mode.

    Documents: a text keeps its id and gets back exactly the metadata it came with. What comes from a file has
    `source`, `kind`, `place`, `page`, `start_s`, `end_s` and the like in its metadata; see `vlm2vec_rag.documents`. An
    image, page or clip without words has a short description as its text.
    """

    def __init__(self, library: Library, embedding: Embeddings | None = None, *, mode: Mode = "hybrid") -> None:
        """Use an open library.

        Args:
            library: From `vlm2vec_rag.open`.
            embedding: The embeddings it was opened with, where LangChain is to be told of them; None makes those that
                it was built with.
            mode: How questions are answered unless they say so: hybrid, dense or bm25.

        Raises:
            FingerprintMismatch: The embeddings are not those the collection was built with.
        """
        if not isinstance(library, Library):
            raise InvalidInput(f"library is a {type(library).__name__}; expected one from vlm2vec_rag.open")
        self.library = library
        self.mode: Mode = mode
        if embedding is not None:
            encoder = embedding.load() if isinstance(embedding, VLM2VecEmbeddings) else EmbeddingsEncoder(embedding)
            library.collection.require(encoder.fingerprint)
        elif library.collection.dim and library.model is not None:
            embedding = VLM2VecEmbeddings.for_library(library)
        self._embedding = embedding

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
        **settings: Any,
    ) -> VLM2VecVectorStore:
        """Open a store, or make it when it is not there.

        Args:
            location: A folder, `:memory:`, or the address of a Qdrant server such as `http://localhost:6333`.
            embedding: `VLM2VecEmbeddings`, or any embeddings for a store of texts. None takes what is recorded, and
                for a new store the best model whose weights are at hand.
            name: The collection at that location.
            create: Make the collection when it is not there.
            mode: As for the store itself.
            settings: More for `vlm2vec_rag.open`: `api_key`, `language`, `limits`, `thumbnails`, `cluster`,
                `model="none"` for words only, ...

        Raises:
            CollectionNotFound: It is not there and was not to be made.
            FingerprintMismatch: It was built with other embeddings; both are named.
            InvalidInput: The embeddings are none, or a setting makes no sense.
        """
        named: dict[str, Any] = {}
        if isinstance(embedding, VLM2VecEmbeddings):
            named = embedding.as_settings()
        elif isinstance(embedding, Embeddings):
            named = {"model": EmbeddingsEncoder(embedding)}
        elif embedding is not None:
            raise InvalidInput(
                f"embedding is a {type(embedding).__name__}; expected VLM2VecEmbeddings or other Embeddings"
            )
        store = cls(open_library(location, name=name, create=create, **{**named, **settings}), mode=mode)
        store._embedding = embedding or store._embedding
        return store

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> VLM2VecVectorStore:
        """Open a store and add documents; `ids` go with the documents, `library` or what `open` takes to the store.

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
    def _at(cls, embedding: Embeddings, *, library: Library | None = None, **kwargs: Any) -> VLM2VecVectorStore:
        return cls.open(embedding=embedding, **kwargs) if library is None else cls(library, embedding, **kwargs)

    @property
    def embeddings(self) -> Embeddings | None:
        """What texts and questions are embedded with."""
        return self._embedding

    @property
    def collection(self) -> Collection:
        """The collection of the library."""
        return self.library.collection

    def close(self) -> None:
        """Close the library; a folder can then be opened by another process."""
        self.library.close()

    def delete(self, ids: Sequence[str] | None = None, *, filter: Wanted = None, **typed: Any) -> bool:
        """Delete documents by id, or all that pass a filter. Neither one deletes all, as LangChain defines it.

        Ids that are not there are no error.
        """
        selection = self._selection(ids, filter, typed)
        if selection != []:
            self.collection.delete(selection)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in the order asked for; ids that are not there are left out."""
        points = self.collection.retrieve(_points(ids)) if ids else []
        return [document_of(each.id, each.payload) for each in points]

    def _selection(self, ids: Sequence[str] | None, filter: Wanted, typed: dict[str, Any]) -> Any:
        """What to delete: points by their ids, or a filter; an empty one for all."""
        if ids is not None and (filter is not None or typed):
            raise InvalidInput("both ids and a filter are given; delete by one of them")
        if ids is not None:
            return _points(ids)
        condition, _ = self._wanted(filter, typed)
        if (filter is not None or typed) and (condition is None or condition == Filter()):
            raise InvalidInput("the filter lets everything pass; call delete() without arguments to delete everything")
        return condition or Filter()


def _points(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise InvalidInput(f"ids is the single id {ids!r}; expected a list")
    return [point_id_of(each) for each in ids]
