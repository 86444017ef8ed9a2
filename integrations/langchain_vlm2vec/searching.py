"""The half of the vector store that finds: by words, by vector, by image, by video, and with diversity."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_vlm2vec import encoding, filters
from langchain_vlm2vec.embeddings import VLM2VecEmbeddings
from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.questions import ImageInput, Video, build_query
from vlm2vec_rag.collection import Found, Payload
from vlm2vec_rag.diversity import maximal_marginal_relevance
from vlm2vec_rag.documents import metadata_of
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Query

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.media import MediaLimits, MediaReader


class SearchingStore(VectorStore):
    """Finds in a collection.

    `k` is how many at most; `filter` a `vlm2vec_rag` Filter, a `qdrant_client` Filter or a dict of metadata; `mode`
    hybrid, dense or bm25, the store's own unless given. A question is always words: no path in it is opened.

    The awaited methods are LangChain's own, which run these in the event loop's threads. Of 64 searches at once against
    a server 20 ms away they took 0.82 s, and requests that were asynchronous themselves 0.93 s; see CHANGELOG.
    """

    collection: Collection
    mode: Mode
    limits: MediaLimits | None
    _embedding: Embeddings | None

    def similarity_search(
        self, query: str, k: int = 4, filter: Wanted = None, *, mode: Mode | None = None, **kwargs: Any
    ) -> list[Document]:
        """What answers a question, best first.

        Raises:
            EmptyInput: The question is empty.
            InvalidInput: The question is a path, or an argument makes no sense.
        """
        _refuse(kwargs)
        return _documents(self.find(query, k=k, filter=filter, mode=mode))

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Wanted = None, *, mode: Mode | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with the mode's score, where more is better; see the class for what it means."""
        _refuse(kwargs)
        return _scored(self.find(query, k=k, filter=filter, mode=mode))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Wanted = None, **kwargs: Any
    ) -> list[Document]:
        """What is nearest to a vector of one's own."""
        _refuse(kwargs)
        return _documents(self._search(embedding, "", "dense", k, filter))

    def similarity_search_by_image(
        self, image: ImageInput, k: int = 4, filter: Wanted = None, *, text: str = ""
    ) -> list[Document]:
        """What looks like an image, or answers words about one.

        Args:
            image: A path, a `file://` address or a PIL image.
            k: At most so many.
            filter: Which may be found.
            text: Words about the image: `the same, at night`.

        Raises:
            MediaError: The image cannot be read; the message names it.
        """
        return _documents(self.find(text, image=image, k=k, filter=filter))

    def similarity_search_by_video(
        self, clip: Video, k: int = 4, filter: Wanted = None, *, text: str = ""
    ) -> list[Document]:
        """What looks like a video, or answers words about one; a path, a `file://` address or frames."""
        return _documents(self.find(text, clip=clip, k=k, filter=filter))

    async def asimilarity_search_by_image(self, *args: Any, **kwargs: Any) -> list[Document]:
        """`similarity_search_by_image` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.similarity_search_by_image, *args, **kwargs)

    async def asimilarity_search_by_video(self, *args: Any, **kwargs: Any) -> list[Document]:
        """`similarity_search_by_video` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.similarity_search_by_video, *args, **kwargs)

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Wanted = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Answers that differ from each other, chosen among the `fetch_k` whose vectors are nearest.

        Args:
            query: The question.
            k: At most so many.
            fetch_k: Among how many to choose.
            lambda_mult: 1 is plain similarity, 0 as different as can be.
            filter: Which may be found.
            kwargs: None; others are refused.
        """
        _refuse(kwargs)
        vector = self._vector(self._query(query), filter)
        return self._diverse(vector, k, fetch_k, lambda_mult, filter)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Wanted = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a vector of one's own."""
        _refuse(kwargs)
        return self._diverse(embedding, k, fetch_k, lambda_mult, filter)

    # relevance scores are those of the vectors: a sum of ranks says nothing of how relevant the best answer is

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        found = self.similarity_search_with_score(query, k, mode="dense", **kwargs)
        return [(document, relevance(score)) for document, score in found]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await run_in_executor(None, self._similarity_search_with_relevance_scores, query, k, **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return relevance

    # what the retriever asks, too

    def find(
        self,
        text: str = "",
        *,
        image: ImageInput | None = None,
        clip: Video | None = None,
        k: int = 4,
        filter: Wanted = None,
        mode: Mode | None = None,
        callbacks: Callbacks = None,
    ) -> list[Found]:
        """The points that answer a question of words, an image, a clip, or words about one; best first."""
        query = self._query(text, image, clip)
        chosen = mode or self.mode
        vector = self._vector(query, filter, callbacks) if self._asks_vectors(chosen, query) else None
        return self._search(vector, query.text, chosen, k, filter)

    def _query(self, text: str, image: ImageInput | None = None, clip: Video | None = None) -> Query:
        return build_query(text, image, clip, self._question_media)

    def _question_media(self) -> AbstractContextManager[MediaReader]:
        from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings

        settings = MediaSettings()
        if isinstance(self._embedding, VLM2VecEmbeddings):
            encoder = self._embedding.load()
            settings = MediaSettings(max_pixels=encoder.max_pixels, frames=encoder.frames)
        return MediaReader(settings, self.limits or MediaLimits())

    def _asks_vectors(self, mode: Mode, query: Query) -> bool:
        if mode == "bm25" and (query.image is not None or query.frames):
            raise InvalidInput("mode 'bm25' asks by words only, and the question shows an image or clip")
        if query.image is not None or query.frames:
            return True
        return mode == "dense" or (mode == "hybrid" and self._embedding is not None and self.collection.dim > 0)

    def _embeddings_for(self, query: Query) -> Embeddings:
        if self._embedding is None:
            raise InvalidInput("the store has no embeddings and searches by words only; ask it with mode='bm25'")
        return self._embedding

    def _vector(self, query: Query, filter: Wanted, callbacks: Callbacks = None) -> ArrayLike:
        return encoding.encode_query(self._embeddings_for(query), query, filters.target(filter), callbacks)

    def _search(self, vector: ArrayLike | None, text: str, mode: Mode, k: int, filter: Wanted) -> list[Found]:
        return self.collection.search(vector, text or None, mode=mode, limit=k, filter=filters.condition(filter))

    def _diverse(self, vector: ArrayLike, k: int, fetch_k: int, lambda_mult: float, filter: Wanted) -> list[Document]:
        if not 0 <= lambda_mult <= 1:
            raise InvalidInput(f"lambda_mult is {lambda_mult}; expected 0 (most different) to 1 (most similar)")
        near = self._search(vector, "", "dense", max(k, fetch_k), filter)
        points = self.collection.retrieve([each.id for each in near], with_vectors=True)
        vectors: Any = [each.vector for each in points]
        chosen = maximal_marginal_relevance(vector, vectors, limit=k, relevance_weight=lambda_mult)
        return [document_of(points[at].id, points[at].payload) for at in chosen]


def document_of(point_id: str, payload: Payload) -> Document:
    """A point as a document: its id and metadata as they came, or those of its file."""
    return Document(id=payload.document_id or point_id, page_content=payload.text, metadata=metadata_of(payload))


def relevance(cosine: float) -> float:
    """Cosine similarity to [0, 1]; rounding can take a cosine of 1 a little above it."""
    return min(max((1 + cosine) / 2, 0.0), 1.0)


def _documents(found: Sequence[Found]) -> list[Document]:
    return [document_of(each.id, each.payload) for each in found]


def _scored(found: Sequence[Found]) -> list[tuple[Document, float]]:
    return [(document_of(each.id, each.payload), each.score) for each in found]


def _refuse(kwargs: dict[str, Any]) -> None:
    """LangChain passes any keyword on; one that means nothing here would be lost without a word."""
    if kwargs:
        raise InvalidInput(f"no such argument: {', '.join(sorted(kwargs))}; expected k, filter or mode")
