"""`VLM2VecIndex`: LlamaIndex's vector index, with nothing dropped and nodes embedded by what they show."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

from llama_index.core import Settings, StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import BaseNode, Document, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index_vlm2vec.embedding import VLM2VecEmbedding
from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.node_parser import MediaNodeParser
from llama_index_vlm2vec.nodes import shown_file, stands_for_file, to_seen_node
from llama_index_vlm2vec.registry import MediaIndexDict
from llama_index_vlm2vec.vector_store import VLM2VecVectorStore
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Query
from vlm2vec_rag.words import is_blank_vector

logger = logging.getLogger(__name__)


class VLM2VecIndex(VectorStoreIndex):
    """Pages, images, clips and texts in one index; `VLM2VecVectorStore` and the stock `QdrantVectorStore` both serve.

    >>> index = VLM2VecIndex.from_documents(VLM2VecReader("./media").load_data(), embed_model=embed_model)
    >>> index.as_query_engine(llm=vision_model, multimodal=True).query("Which car is red?")
    """

    index_struct_cls = MediaIndexDict

    def __init__(self, nodes: Sequence[BaseNode] | None = None, **settings: Any) -> None:
        """Index nodes. The settings are those of LlamaIndex's `VectorStoreIndex`: `embed_model`, `storage_context`...

        Raises:
            InvalidInput: The embedding is no `VLM2VecEmbedding`; others see no pixels.
            FingerprintMismatch: The vector store was built with another model.
            MediaError: A node's file cannot be read; the message names it.
        """
        given = settings["embed_model"] = settings.get("embed_model") or _embed_model_of(
            settings.get("storage_context")
        )
        if not isinstance(given, VLM2VecEmbedding):
            raise InvalidInput(f"embed_model is {given!r}; expected a VLM2VecEmbedding, which sees pixels")
        # LlamaIndex's own cuts documents into pieces of text, also those that are inserted later
        settings["transformations"] = settings.get("transformations") or [MediaNodeParser()]
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
        """What nodes and questions are embedded with."""
        return cast(VLM2VecEmbedding, self._embed_model)

    def check_fits(self) -> None:
        """See that the vector store, where it says so, was built with this embedding.

        Raises:
            FingerprintMismatch: It was built with another one; both are named.
        """
        if isinstance(self._vector_store, VLM2VecVectorStore):
            self.embed_model.check_fits(self._vector_store.collection)

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

    def _delete_from_docstore(self, ref_doc_id: str) -> None:
        super()._delete_from_docstore(ref_doc_id)
        # LlamaIndex's own keeps the document's hash, and takes it for there when it is to be refreshed
        self._docstore.delete_document(ref_doc_id, raise_error=False)

    async def _adelete_from_docstore(self, ref_doc_id: str) -> None:
        await super()._adelete_from_docstore(ref_doc_id)
        await self._docstore.adelete_document(ref_doc_id, raise_error=False)

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
        if _asks_nothing(query_bundle):
            return []
        return self._shown(super()._retrieve(self._asked(query_bundle)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if _asks_nothing(query_bundle):
            return []
        if getattr(self._vector_store, "_aclient", self._vector_store) is None:
            return await asyncio.to_thread(self._retrieve, query_bundle)
        asked = await asyncio.to_thread(self._asked, query_bundle)
        return self._shown(await super()._aretrieve(asked))

    def _asked(self, query_bundle: QueryBundle) -> QueryBundle:
        """The question with its vector, where its mode needs one.

        Raises:
            FingerprintMismatch: The vector store was built with another model.
        """
        text, image = query_bundle.query_str, query_bundle.image_path
        has_vector = query_bundle.embedding is not None
        self._media_index.check_fits()
        embed_model = self._media_index.embed_model
        if not has_vector and image is not None:
            return QueryBundle(query_str=text, embedding=embed_model.get_question_embedding(text, image))
        if not has_vector and self._needs_embedding():
            # a string is words, also where an agent asks with the path of a file
            return QueryBundle(query_str=text, embedding=embed_model.encode_question(Query(text=text)))
        return query_bundle

    def _shown(self, nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        return [NodeWithScore(node=to_seen_node(each.node, self._images), score=each.score) for each in nodes]


def _asks_nothing(query: QueryBundle) -> bool:
    """An agent that asks for nothing finds nothing, and goes on."""
    has_vector = query.embedding is not None and not is_blank_vector(query.embedding)
    return not has_vector and query.image_path is None and not query.query_str.strip()


def _embed_model_of(storage_context: StorageContext | None) -> VLM2VecEmbedding:
    """The embedding of the store, or else the one that LlamaIndex's settings hold.

    Raises:
        InvalidInput: Neither is ours. LlamaIndex would take OpenAI's, and ask for its key.
    """
    store = None if storage_context is None else storage_context.vector_store
    if isinstance(store, VLM2VecVectorStore) and store.collection.dim:
        return store.embed_model
    set_for_all = Settings._embed_model
    if isinstance(set_for_all, VLM2VecEmbedding):
        return set_for_all
    raise InvalidInput(
        f"embed_model is missing ({type(set_for_all).__name__} is set for all); give "
        "embed_model=VLM2VecEmbedding(...), or a VLM2VecVectorStore, which knows its own"
    )


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
