"""The retriever of a `VLM2VecIndex`, over whatever vector store the index is on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.node_parser.vlm2vec.nodes import to_media_node
from llama_index.node_parser.vlm2vec.pictures import Pictures

from vlm2vec_rag.words import question

if TYPE_CHECKING:
    from llama_index.indices.vlm2vec import VLM2VecIndex


class VLM2VecIndexRetriever(VectorIndexRetriever):
    """LlamaIndex's retriever, which also takes pictures as questions, and awaits stores that have no async client.

    LlamaIndex's own answers a question of a picture with arbitrary nodes, all of score 1.
    """

    def __init__(self, index: VLM2VecIndex, *, pictures: Pictures | None = None, **retriever: Any) -> None:
        """As LlamaIndex's; `pictures` says how much of each node a chat model is shown."""
        super().__init__(index, **retriever)
        self._media_index = index
        self._pictures = pictures

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._shown(super()._retrieve(self._asked(query_bundle)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if getattr(self._vector_store, "_aclient", self._vector_store) is None:
            return await asyncio.to_thread(self._retrieve, query_bundle)
        asked = await asyncio.to_thread(self._asked, query_bundle)
        return self._shown(await super()._aretrieve(asked))

    def _asked(self, query_bundle: QueryBundle) -> QueryBundle:
        """The question, checked; one of pixels with its vector.

        Raises:
            EmptyInput: Nothing is asked.
            InvalidInput: The words are a path or an address.
            FingerprintMismatch: The vector store was built with another model.
        """
        text, image = query_bundle.query_str, query_bundle.image_path
        has_vector = query_bundle.embedding is not None
        if text.strip() or not (has_vector or image):
            question(text)
        self._media_index.check_fits()
        if has_vector or image is None:
            return query_bundle
        return self._media_index.embed_model.query_bundle(text, image)

    def _shown(self, nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        return [NodeWithScore(node=to_media_node(each.node, self._pictures), score=each.score) for each in nodes]
