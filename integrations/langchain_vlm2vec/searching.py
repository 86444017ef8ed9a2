"""The half of the vector store that finds: by words, by vector, by image, by video, and with diversity."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

from collections.abc import Callable
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_vlm2vec import filters
from langchain_vlm2vec.embeddings import VLM2VecEmbeddings
from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.found import document_of
from vlm2vec_rag.collection import Filter, Found, Point
from vlm2vec_rag.diversity import maximal_marginal_relevance
from vlm2vec_rag.document_filters import both
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Kind, Query
from vlm2vec_rag.library.asking import ClipInput, ImageInput, to_filter
from vlm2vec_rag.retrieval import Retriever, target_of
from vlm2vec_rag.words import is_blank_vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from qdrant_client import models

    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.library import Library


class SearchingStore(VectorStore):
    """Finds in a library.

    `k` is how many at most; `filter` a `vlm2vec_rag` Filter, a `qdrant_client` Filter or a dict of metadata; `mode`
    hybrid, dense or bm25, the store's own unless given. Every search also takes the typed filters of the command line
    by name: `kind="page"`, `source="reports/"`, `pages="3-9"`, `time="1:00-1:30"`, `since=`, `until=`. A question is
    always words: no path in it is opened; an empty one finds nothing, or with a `filter` what passes it, in the order
    of files and pages.

    The awaited methods are LangChain's own, which run these in the threads of the event loop. Give a loop more of them
    where a server is far away: `loop.set_default_executor(ThreadPoolExecutor(32))`.
    """

    library: Library
    mode: Mode
    _embedding: Embeddings | None

    def similarity_search(
        self, query: str, k: int = 4, filter: Wanted = None, *, mode: Mode | None = None, **typed: Any
    ) -> list[Document]:
        """What answers a question, best first; nothing for an empty one, or all that passes a filter that is given.

        Raises:
            InvalidInput: An argument makes no sense.
        """
        if filter is not None and not query.strip():
            return self._passing(filter, typed, k)
        return _documents(self.find(query, k=k, filter=filter, mode=mode, **typed))

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Wanted = None, *, mode: Mode | None = None, **typed: Any
    ) -> list[tuple[Document, float]]:
        """The same with the mode's score, where more is better; see the class for what it means."""
        found = self.find(query, k=k, filter=filter, mode=mode, **typed)
        return [(document_of(each.id, each.payload), each.score) for each in found]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Wanted = None, **typed: Any
    ) -> list[Document]:
        """What is nearest to a vector of one's own; nothing for that of an empty question."""
        wanted, _ = self._wanted(filter, typed)
        if is_blank_vector(embedding):
            return []
        return _documents(self.library.collection.search(embedding, mode="dense", limit=k, filter=wanted))

    def similarity_search_by_image(
        self, image: ImageInput, k: int = 4, filter: Wanted = None, *, text: str = "", **typed: Any
    ) -> list[Document]:
        """What looks like an image, or answers words about one.

        Args:
            image: A path, a `file://` address or a PIL image.
            k: At most so many.
            filter: Which may be found.
            text: Words about the image: `the same, at night`.
            typed: Typed filters by name.

        Raises:
            MediaError: The image cannot be read; the message names it.
        """
        return _documents(self.find(text, image=image, k=k, filter=filter, **typed))

    async def asimilarity_search_by_image(self, *args: Any, **kwargs: Any) -> list[Document]:
        """`similarity_search_by_image` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.similarity_search_by_image, *args, **kwargs)

    def similarity_search_by_clip(
        self, clip: ClipInput, k: int = 4, filter: Wanted = None, *, text: str = "", **typed: Any
    ) -> list[Document]:
        """What looks like a clip, or answers words about one; a path, a `file://` address or frames."""
        return _documents(self.find(text, clip=clip, k=k, filter=filter, **typed))

    async def asimilarity_search_by_clip(self, *args: Any, **kwargs: Any) -> list[Document]:
        """`similarity_search_by_clip` in a thread; the event loop stays free."""
        return await run_in_executor(None, self.similarity_search_by_clip, *args, **kwargs)

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Wanted = None,
        **typed: Any,
    ) -> list[Document]:
        """Answers that differ from each other, chosen among the `fetch_k` whose vectors are nearest.

        Args:
            query: The question.
            k: At most so many.
            fetch_k: Among how many to choose.
            lambda_mult: 1 is plain similarity, 0 as different as can be.
            filter: Which may be found.
            typed: Typed filters by name.
        """
        if not query.strip():
            return [] if filter is None else self._passing(filter, typed, k)
        wanted, target = self._wanted(filter, typed)
        return self._diverse(self._vector(Query(text=query), target), k, fetch_k, lambda_mult, wanted)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Wanted = None,
        **typed: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search` for a vector of one's own."""
        wanted, _ = self._wanted(filter, typed)
        return self._diverse(embedding, k, fetch_k, lambda_mult, wanted)

    # relevance scores are those of the vectors: a sum of ranks says nothing of how relevant the best answer is

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, *, mode: Mode | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        if not self.library.collection.dim:
            raise InvalidInput(
                "a relevance between 0 and 1 is that of vectors, and this collection holds words only; search it by "
                "similarity, without a threshold"
            )
        found = self.find(query, k=k, mode=mode or "dense", **kwargs)
        if mode in ("hybrid", "bm25") and found:
            _, target = self._wanted(kwargs.get("filter"), {name: kwargs[name] for name in kwargs if name != "filter"})
            question = np.asarray(self._vector(Query(text=query), target), dtype=np.float32)
            points = self.library.collection.retrieve([each.id for each in found], with_vectors=True)
            cosines = {each.id: float(question @ each.vector) for each in points if each.vector is not None}
            return [(document_of(each.id, each.payload), relevance(cosines.get(each.id, -1.0))) for each in found]
        return [(document_of(each.id, each.payload), relevance(each.score)) for each in found]

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
        clip: ClipInput | None = None,
        k: int = 4,
        filter: Wanted = None,
        mode: Mode | None = None,
        callbacks: Callbacks = None,
        **typed: Any,
    ) -> list[Found]:
        """The points that answer a question of words, an image, a clip, or words about one; best first.

        Raises:
            InvalidInput: An argument makes no sense, or the model cannot see what is asked with.
            MediaError: The image or clip cannot be read; the message names it.
        """
        chosen, (wanted, target) = mode or self.mode, self._wanted(filter, typed)
        if not isinstance(text, str):
            raise InvalidInput(f"the question is a {type(text).__name__}; expected words in a str")
        shows = image is not None or clip is not None
        if not text.strip() and not shows:
            return []  # an agent that asks for nothing finds nothing, and goes on
        if chosen == "bm25" and shows:
            raise InvalidInput("mode 'bm25' asks by words only, and the question shows an image or clip")
        collection = self.library.collection
        query = self.library.query(text, image=image, clip=clip) if shows else Query(text=text)
        is_encoded = chosen != "bm25" and collection.dim and self.library.encoder is not None
        vector = self._vector(query, target, callbacks) if is_encoded else None
        return Retriever(collection).find(query, vector=vector, mode=chosen, limit=k, filter=wanted)

    def _vector(self, query: Query, target: Kind | None, callbacks: Callbacks = None) -> ArrayLike:
        """(D,) float32, told to callbacks where the embeddings are ours; LangChain tells of no others."""
        if isinstance(self._embedding, VLM2VecEmbeddings):
            return self._embedding.encode_query(query, target=target, callbacks=callbacks)
        if self.library.encoder is None:
            raise InvalidInput("the store was opened for words only; ask it with mode='bm25'")
        vector: ArrayLike = self.library.encoder.encode_queries([query], target=target)[0]
        return vector

    def _wanted(self, filter: Wanted, typed: dict[str, Any]) -> tuple[Filter | models.Filter | None, Kind | None]:
        """Both filters as one, and the one kind that they let pass."""
        collection = self.library.collection
        given = filters.condition(filter, collection)
        named = to_filter({name: value for name, value in typed.items() if value is not None}) if typed else None
        kind = target_of(named) or filters.target(filter)
        if named is None or given is None:
            return (given if named is None else named), kind
        return both(collection.condition(named), collection.condition(given)), kind

    def _passing(self, filter: Wanted, typed: dict[str, Any], k: int) -> list[Document]:
        """What passes the filters, in the order of files and pages: all that is asked where a question is a filter."""
        wanted, _ = self._wanted(filter, typed)

        def place(point: Point) -> tuple[str, int, float, str]:
            payload = point.payload
            return payload.source, payload.page or 0, payload.start_s or 0.0, payload.place

        points = nsmallest(k, self.library.collection.scroll(wanted), key=place)
        return [document_of(each.id, each.payload) for each in points]

    def _diverse(
        self, vector: ArrayLike, k: int, fetch_k: int, lambda_mult: float, wanted: Filter | models.Filter | None
    ) -> list[Document]:
        if not 0 <= lambda_mult <= 1:
            raise InvalidInput(f"lambda_mult is {lambda_mult}; expected 0 (most different) to 1 (most similar)")
        if is_blank_vector(vector):
            return []
        collection = self.library.collection
        near = collection.search(vector, mode="dense", limit=max(k, fetch_k), filter=wanted)
        points = collection.retrieve([each.id for each in near], with_vectors=True)
        vectors: Any = [each.vector for each in points]
        chosen = maximal_marginal_relevance(vector, vectors, limit=k, relevance_weight=lambda_mult)
        return [document_of(points[at].id, points[at].payload) for at in chosen]


def relevance(cosine: float) -> float:
    """Cosine similarity to [0, 1]; rounding can take a cosine of 1 a little above it."""
    return min(max((1 + cosine) / 2, 0.0), 1.0)


def _documents(found: list[Found]) -> list[Document]:
    return [document_of(each.id, each.payload) for each in found]
