"""`VLM2VecRetriever`: answers from a collection that is there, whoever indexed it, with nothing indexed again."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_vlm2vec.embedding import VLM2VecEmbedding
from llama_index_vlm2vec.filters import condition
from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.nodes import to_node
from vlm2vec_rag.document_filters import both
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Query
from vlm2vec_rag.library import Library, open_library
from vlm2vec_rag.library.asking import FilterInput, to_filter
from vlm2vec_rag.retrieval import Retriever, target_of
from vlm2vec_rag.words import is_blank_vector

if TYPE_CHECKING:
    from llama_index.core.llms import LLM
    from llama_index.core.vector_stores import MetadataFilters
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection, Filter
    from vlm2vec_rag.collection.searching import Mode


class VLM2VecRetriever(BaseRetriever):
    """Answers questions from one collection: the same hits, in the same order, as `vlm2vec-rag search`.

    It is opened with the model that built it; none needs to be named.

    >>> with VLM2VecRetriever("./my.vlm2vec", kind="page", source="reports/") as retriever:
    ...     retriever.retrieve("the chart with the falling line")
    """

    def __init__(
        self,
        library: Library | str | os.PathLike[str],
        embed_model: VLM2VecEmbedding | None = None,
        *,
        name: str = "default",
        mode: Mode | None = None,
        similarity_top_k: int = 5,
        filter: FilterInput = None,
        filters: MetadataFilters | None = None,
        images: ImageBudget | None = None,
        callback_manager: Any = None,
        verbose: bool = False,
        **typed: Any,
    ) -> None:
        """Open a collection; what is not there is not made.

        Args:
            library: A folder, the address of a Qdrant server, or an open library.
            embed_model: What it was built with; None takes what the collection itself names. The model is loaded by
                the first question.
            name: The collection at that place.
            mode: `hybrid` joins both rankings, `dense` compares vectors, `bm25` compares words. None is hybrid, or
                bm25 in a collection of words only.
            similarity_top_k: At most so many nodes.
            filter: Which items may be found, as a `Filter` or typed values by name; where it lets one kind pass,
                questions are asked as to that kind.
            filters: More of it in LlamaIndex's terms; both must hold.
            images: How much of each node a chat model is shown.
            callback_manager: LlamaIndex's.
            verbose: LlamaIndex's.
            typed: Typed values, as the command line takes them: `kind`, `source`, `pages`, `time`, `since`, `until`
                and `metadata`.

        Raises:
            CollectionNotFound: It is not there.
            CollectionLocked: Another process has it open.
            FingerprintMismatch: It was built with another model.
            InvalidInput: An argument makes no sense, or no model is named anywhere.
        """
        from vlm2vec_rag.collection.searching import MODES

        if filter is not None and typed:
            raise InvalidInput("both filter and typed filters are given; put them all into filter, or none")
        if mode is not None and mode not in MODES:
            raise InvalidInput(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
        if similarity_top_k < 1:
            raise InvalidInput(f"similarity_top_k is {similarity_top_k}; expected 1 or more")
        self._filter = to_filter(filter if filter is not None else typed or None)
        self._is_own = not isinstance(library, Library)
        if isinstance(library, Library):
            self._library = library
        else:
            named = {} if embed_model is None else embed_model.as_settings()
            named = {"model": "none"} if mode == "bm25" and embed_model is None else named
            self._library = open_library(library, name=name, create=False, **named)
        has_vectors = bool(self._library.collection.dim)
        self._mode: Mode = mode or ("hybrid" if has_vectors else "bm25")
        self._embed_model = embed_model
        if embed_model is None and self._mode != "bm25" and has_vectors:
            self._embed_model = VLM2VecEmbedding.for_library(self._library)
        self.similarity_top_k = similarity_top_k
        self._filters = filters
        self._images = images
        super().__init__(callback_manager=callback_manager, verbose=verbose)

    @property
    def library(self) -> Library:
        """What answers."""
        return self._library

    @property
    def collection(self) -> Collection:
        """The collection of the library."""
        return self._library.collection

    @property
    def embed_model(self) -> VLM2VecEmbedding | None:
        """What questions are embedded with; None where only words are compared."""
        return self._embed_model

    def as_query_engine(
        self,
        llm: LLM | None = None,
        *,
        multimodal: bool = True,
        response_mode: ResponseMode = ResponseMode.SIMPLE_SUMMARIZE,
        **engine: Any,
    ) -> RetrieverQueryEngine:
        """A query engine whose model sees the pages, images and clip frames that were found.

        Args:
            llm: A chat model; None takes LlamaIndex's `Settings.llm`.
            multimodal: False shows it their words only.
            response_mode: By default one call with all that was found, so that images can be compared; LlamaIndex's
                own modes may hand them over one by one.
            engine: More for LlamaIndex's `RetrieverQueryEngine.from_args`: `node_postprocessors` and the like.
        """
        return RetrieverQueryEngine.from_args(
            self, llm=llm, multimodal=multimodal, response_mode=response_mode, **engine
        )

    def close(self) -> None:
        """Close the collection, where this opened it; a folder can then be opened by another process."""
        if self._is_own:
            self._library.close()

    def __enter__(self) -> VLM2VecRetriever:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        text, image, vector = query_bundle.query_str, query_bundle.image_path, query_bundle.embedding
        if not text.strip() and image is None and (vector is None or is_blank_vector(vector)):
            return []  # an agent that asks for nothing finds nothing, and goes on
        # a string is words; only the image of a bundle is a file
        query = Query(text=text) if image is None else self._library.query(text, image=image)
        if self._mode != "bm25" and vector is None and self._embed_model is not None:
            self._embed_model.check_fits(self._library.collection)
            vector = self._embed_model.encode_question(query, target_of(self._filter))
        found = Retriever(self._library.collection).find(
            query,
            vector=None if self._mode == "bm25" else vector,
            mode=self._mode,
            limit=self.similarity_top_k,
            filter=self._condition(),
        )
        return [NodeWithScore(node=to_node(each.payload, each.id, self._images), score=each.score) for each in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _condition(self) -> Filter | models.Filter | None:
        collection = self._library.collection
        native = condition(self._filters, collection)
        return self._filter if native is None else both(collection.condition(self._filter), native)
