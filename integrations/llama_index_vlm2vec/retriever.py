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
from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.nodes import to_node
from vlm2vec_rag.collection import Filter, open_collection
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.words import question

if TYPE_CHECKING:
    from llama_index.core.llms import LLM
    from llama_index.core.vector_stores import MetadataFilters
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.items import Kind


class VLM2VecRetriever(BaseRetriever):
    """Answers questions from one collection: the same hits, in the same order, as `vlm2vec-rag search`.

    >>> with VLM2VecRetriever("./my.vlm2vec") as retriever:
    ...     retriever.retrieve("the chart with the falling line")
    """

    def __init__(
        self,
        collection: Collection | str | os.PathLike[str],
        embed_model: VLM2VecEmbedding | None = None,
        *,
        name: str = "default",
        mode: Mode | None = None,
        similarity_top_k: int = 5,
        filter: Filter | None = None,
        filters: MetadataFilters | None = None,
        images: ImageBudget | None = None,
        **retriever: Any,
    ) -> None:
        """Open a collection; what is not there is not made.

        Args:
            collection: A folder, the address of a Qdrant server, or an open collection.
            embed_model: What it was built with; None takes what the collection itself names, where words are not
                enough. The model is loaded by the first question.
            name: The collection at that place.
            mode: `hybrid` joins both rankings, `dense` compares vectors, `bm25` compares words. None fuses, or compares
                words in a collection of words only.
            similarity_top_k: At most so many nodes.
            filter: Which items may be found; where it lets one kind pass, questions are asked as to that kind.
            filters: The same in LlamaIndex's terms.
            images: How much of each node a chat model is shown.
            retriever: More for LlamaIndex's `BaseRetriever`: `callback_manager`, `verbose` and the like.

        Raises:
            CollectionNotFound: It is not there.
            CollectionLocked: Another process has it open.
            FingerprintMismatch: It was built with another model; raised by the first question.
            InvalidInput: An argument makes no sense, or no model is named anywhere.
        """
        if filter is not None and filters is not None:
            raise InvalidInput("both filter and filters are given; pass one of them")
        from vlm2vec_rag.collection.searching import MODES

        if mode is not None and mode not in MODES:
            raise InvalidInput(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
        if similarity_top_k < 1:
            raise InvalidInput(f"similarity_top_k is {similarity_top_k}; expected 1 or more")
        self._is_own = isinstance(collection, str | os.PathLike)
        self._collection = _open(collection, name) if isinstance(collection, str | os.PathLike) else collection
        self._mode: Mode = mode or ("hybrid" if self._collection.dim else "bm25")
        self._embed_model = embed_model
        if embed_model is None and self._mode != "bm25":
            try:
                self._embed_model = VLM2VecEmbedding.for_collection(self._collection)
            except BaseException:
                self.close()
                raise
        self.similarity_top_k = similarity_top_k
        self._filter = filter
        self._filters = filters
        self._images = images
        super().__init__(**retriever)

    @property
    def collection(self) -> Collection:
        """The collection that answers."""
        return self._collection

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
            self._collection.close()

    def __enter__(self) -> VLM2VecRetriever:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        text = query_bundle.query_str
        vector = None if self._mode == "bm25" else self._vector(query_bundle)
        if vector is None or text.strip():
            text = question(text)
        found = self._collection.search(
            vector, text or None, mode=self._mode, limit=self.similarity_top_k, filter=self._condition()
        )
        return [NodeWithScore(node=to_node(each.payload, each.id, self._images), score=each.score) for each in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _vector(self, query_bundle: QueryBundle) -> list[float]:
        if query_bundle.embedding is not None:
            return query_bundle.embedding
        assert self._embed_model is not None  # noqa: S101  held by __init__ for every mode but bm25
        self._embed_model.check_fits(self._collection)
        return self._embed_model.get_question_embedding(
            query_bundle.query_str, query_bundle.image_path, target=self._target()
        )

    def _target(self) -> Kind | None:
        kinds = self._filter.kinds if self._filter else ()
        return kinds[0] if len(kinds) == 1 else None

    def _condition(self) -> Filter | models.Filter | None:
        if self._filters is None:
            return self._filter
        from llama_index_vlm2vec.filters import condition

        return condition(self._filters, self._collection)


def _open(location: str | os.PathLike[str], name: str) -> Collection:
    from pathlib import Path

    from vlm2vec_rag.errors import CollectionNotFound

    place = os.fspath(location)
    if "://" not in place and place != ":memory:" and not Path(place).expanduser().is_dir():
        raise CollectionNotFound(
            f"there is no collection at {place}; make one with: vlm2vec-rag index PATH... -c {place}"
        )
    return open_collection(location, name, create=False)
