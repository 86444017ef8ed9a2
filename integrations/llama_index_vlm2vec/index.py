"""`VLM2VecIndex`: LlamaIndex's vector index, with nothing dropped and nodes embedded by what they show."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import BaseNode, Document, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index_vlm2vec.embedding import VLM2VecEmbedding
from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.node_parser import MediaNodeParser
from llama_index_vlm2vec.nodes import shown_file, stands_for_file, to_media_node
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.words import question

logger = logging.getLogger(__name__)


class VLM2VecIndex(VectorStoreIndex):
    """Pages, images, clips and texts in one index; `VLM2VecVectorStore` and the stock `QdrantVectorStore` both serve.

    >>> index = VLM2VecIndex.from_documents(VLM2VecReader("./media").load_data(), embed_model=embed_model)
    >>> index.as_query_engine(llm=vision_model, multimodal=True).query("Which car is red?")
    """

    def __init__(self, nodes: Sequence[BaseNode] | None = None, **settings: Any) -> None:
        """Index nodes. The settings are those of LlamaIndex's `VectorStoreIndex`: `embed_model`, `storage_context`...

        Raises:
            InvalidInput: The embedding is no `VLM2VecEmbedding`; others see no pixels.
            FingerprintMismatch: The vector store was built with another model.
            MediaError: A node's file cannot be read; the message names it.
        """
        given = settings.get("embed_model")
        if given is not None and not isinstance(given, VLM2VecEmbedding):
            raise InvalidInput(f"embed_model is {given!r}; expected a VLM2VecEmbedding, which sees pixels")
        super().__init__(nodes=nodes, **settings)

    @classmethod
    def from_documents(  # type: ignore[override]  # any node will do
        cls,
        documents: Sequence[Document] | Sequence[BaseNode],
        storage_context: StorageContext | None = None,
        *,
        transformations: list[TransformComponent] | None = None,
        **settings: Any,
    ) -> VLM2VecIndex:
        """Index documents. Those of files stay whole, texts are split; see `MediaNodeParser`."""
        return super().from_documents(
            cast("Sequence[Document]", documents),
            storage_context=storage_context,
            transformations=transformations or [MediaNodeParser()],
            **settings,
        )

    @classmethod
    def from_vector_store(  # type: ignore[override]  # a narrower embedding
        cls, vector_store: BasePydanticVectorStore, embed_model: VLM2VecEmbedding | None = None, **settings: Any
    ) -> VLM2VecIndex:
        """The index over what a vector store holds already."""
        return cast(VLM2VecIndex, super().from_vector_store(vector_store, embed_model, **settings))

    @property
    def embed_model(self) -> VLM2VecEmbedding:
        """What nodes and questions are embedded with.

        Raises:
            InvalidInput: None was given, and LlamaIndex's `Settings.embed_model` is another one.
        """
        if not isinstance(self._embed_model, VLM2VecEmbedding):
            raise InvalidInput(f"embed_model is {self._embed_model!r}; expected a VLM2VecEmbedding, which sees pixels")
        return self._embed_model

    def check_fits(self) -> None:
        """See that the vector store, where it says so, was built with this embedding.

        Raises:
            FingerprintMismatch: It was built with another one; both are named.
        """
        from vlm2vec_rag.collection import Collection

        collection = getattr(self._vector_store, "collection", None)
        if isinstance(collection, Collection):
            self.embed_model.check_fits(collection)

    def as_retriever(self, *, images: ImageBudget | None = None, **retriever: Any) -> BaseRetriever:
        """A retriever that finds every node, and takes images as questions.

        Args:
            images: How much of each node a chat model is shown.
            retriever: More for LlamaIndex's `VectorIndexRetriever`: `similarity_top_k`, `vector_store_query_mode`,
                `filters` and the like.
        """
        # LlamaIndex's own is limited to the ids of the index's ImageNodes, where there are any: it never finds a text
        return VLM2VecIndexRetriever(
            self,
            images=images,
            callback_manager=self._callback_manager,
            object_map=self._object_map,
            **retriever,
        )

    def build_index_from_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> IndexDict:
        """Index nodes; LlamaIndex's own drops images that have no words."""
        return self._build_index_from_nodes(_with_content(nodes), **insert_kwargs)

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Index more nodes; those with the same ids are replaced."""
        super().insert_nodes(_with_content(nodes), **insert_kwargs)

    async def ainsert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """`insert_nodes` without blocking the event loop."""
        await super().ainsert_nodes(_with_content(nodes), **insert_kwargs)

    def _get_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        self.check_fits()
        copies = [node.model_copy(deep=True) for node in nodes]
        embedded = iter(
            self.embed_model([each for each in copies if each.embedding is None], show_progress=show_progress)
        )
        return [next(embedded) if each.embedding is None else each for each in copies]

    async def _aget_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        return await asyncio.to_thread(self._get_node_with_embedding, nodes, show_progress)


class VLM2VecIndexRetriever(VectorIndexRetriever):
    """LlamaIndex's retriever, which also takes images as questions, and awaits stores that have no async client.

    LlamaIndex's own answers a question of an image with arbitrary nodes, all of score 1.
    """

    def __init__(self, index: VLM2VecIndex, *, images: ImageBudget | None = None, **retriever: Any) -> None:
        """As LlamaIndex's; `images` says how much of each node a chat model is shown."""
        super().__init__(index, **retriever)
        self._media_index = index
        self._images = images

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
        return [NodeWithScore(node=to_media_node(each.node, self._images), score=each.score) for each in nodes]


def _with_content(nodes: Sequence[BaseNode]) -> list[BaseNode]:
    """The nodes that have pixels or words; the others are named in the log."""
    kept: list[BaseNode] = []
    empty: list[BaseNode] = []
    for node in nodes:
        has_pixels = stands_for_file(node) or shown_file(node) is not None
        has_content = has_pixels or bool(node.get_content(metadata_mode=MetadataMode.EMBED).strip())
        (kept if has_content else empty).append(node)
    if empty:
        logger.warning("left out, with neither pixels nor words: nodes %s", ", ".join(node.node_id for node in empty))
    return kept
