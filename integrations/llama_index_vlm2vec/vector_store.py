"""`VLM2VecVectorStore`: nodes to points of a collection and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores import MetadataFilters, VectorStoreQuery, VectorStoreQueryResult
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryMode

from llama_index_vlm2vec.filters import condition
from llama_index_vlm2vec.nodes import to_node, to_payload
from vlm2vec_rag.collection import Filter, Found, Point, open_collection
from vlm2vec_rag.diversity import maximal_marginal_relevance
from vlm2vec_rag.documents import FRAMEWORK_FIELD, point_id_of
from vlm2vec_rag.errors import CollectionNotFound, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.library.model import ModelName

if TYPE_CHECKING:
    from qdrant_client import models

    from llama_index_vlm2vec.embedding import VLM2VecEmbedding
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode

MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "dense",
    VectorStoreQueryMode.SPARSE: "bm25",
    VectorStoreQueryMode.TEXT_SEARCH: "bm25",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
}
_QUERY_OPTIONS = frozenset({"qdrant_filters", "mmr_threshold", "mmr_prefetch_k", "mmr_prefetch_factor"})


class VLM2VecVectorStore(BasePydanticVectorStore):
    """A collection on Qdrant, embedded in a folder, in memory or on a server, as a LlamaIndex vector store.

    Query modes: `default` compares vectors (the score is their cosine similarity), `sparse` and `text_search` compare
    words (BM25), `hybrid` joins both rankings (the score is a sum of 1 / (60 + rank) and only orders; `alpha` is the
    share of the vectors, by default what suits the model). `mmr` gives nodes that differ from each other.

    A node of a file comes back as a `MediaNode`, any other node as it was stored.

    >>> store = VLM2VecVectorStore.open("./my.vlm2vec", embed_model)
    >>> index = VLM2VecIndex.from_vector_store(store, embed_model)
    """

    stores_text: bool = True
    is_embedding_query: bool = True

    _collection: Collection = PrivateAttr()

    def __init__(self, collection: Collection) -> None:
        """Use an open collection, from `vlm2vec_rag.collection.open_collection`."""
        super().__init__(stores_text=True)
        self._collection = collection

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str] = ":memory:",
        embed_model: VLM2VecEmbedding | None = None,
        *,
        name: str = "default",
        create: bool = True,
        **place: Any,
    ) -> VLM2VecVectorStore:
        """Open a store, or make it when it is not there.

        Args:
            location: A folder, `:memory:`, or the address of a Qdrant server such as `http://localhost:6333`.
            embed_model: What the nodes are embedded with; its model is loaded, to see that it fits. None opens
                whatever is there, or makes a collection that is searched by words only.
            name: The collection at that location.
            create: Make the collection when it is not there.
            place: More for `open_collection`: `api_key`, `language`, `cluster` and the like.

        Raises:
            CollectionNotFound: It is not there and was not to be made.
            FingerprintMismatch: It was built with another model; both are named.
        """
        if embed_model is not None:
            collection = open_collection(location, name, fingerprint=embed_model.fingerprint, create=create, **place)
            if (named := embed_model.encoder.loaded_from) is not None:
                ModelName.of(*named).record(collection)
            return cls(collection)
        try:
            return cls(open_collection(location, name, create=False, **place))
        except CollectionNotFound:
            if not create:
                raise
            return cls(open_collection(location, name, fingerprint=Fingerprint(model="words only"), **place))

    @classmethod
    def class_name(cls) -> str:
        return "VLM2VecVectorStore"

    @property
    def collection(self) -> Collection:
        """The collection behind this."""
        return self._collection

    @property
    def client(self) -> Any:
        """The Qdrant client behind the collection."""
        return self._collection.client

    def close(self) -> None:
        """Close the collection; a folder can then be opened by another process."""
        self._collection.close()

    # writing

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write embedded nodes, replacing those with the same ids, and return their ids.

        A collection of words only takes nodes as they are.

        Raises:
            InvalidInput: A node has no embedding, or one of another width.
        """
        now = datetime.now(timezone.utc)
        points = []
        for node in nodes:
            if node.embedding is None and self._collection.dim:
                raise InvalidInput(f"node {node.node_id} has no embedding; embed it with VLM2VecEmbedding first")
            id_, payload = to_payload(node)
            vector = None if node.embedding is None else np.asarray(node.embedding, dtype=np.float32)
            points.append(Point(id=id_, payload=replace(payload, indexed_at=now), vector=vector))
        self._collection.upsert(points)
        return [point.payload.document_id or point.id for point in points]

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """`add` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete what came from a document: its id, the path of a file, or a place in one (`report.pdf#page=3`)."""
        from qdrant_client import models

        def equals(key: str, value: str) -> models.FieldCondition:
            return models.FieldCondition(key=key, match=models.MatchValue(value=value))

        source, _, fragment = ref_doc_id.rpartition("#")
        of_document: list[models.Condition] = [
            equals("source", ref_doc_id),
            equals(f"metadata.{FRAMEWORK_FIELD}.ref_doc_id", ref_doc_id),
        ]
        at_place = models.Filter(must=[equals("source", source), equals("fragment", fragment)])
        self._collection.delete(models.Filter(should=[*of_document, at_place] if source else of_document))

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """`delete` in a thread; the event loop stays free."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes with these ids that pass the filters; ids that are not there are no error.

        Raises:
            InvalidInput: Neither is given; `clear` deletes all.
        """
        if node_ids is None and filters is None:
            raise InvalidInput("neither node_ids nor filters are given; use clear() to delete all nodes")
        if wanted := _among(condition(filters, self._collection), node_ids):
            self._collection.delete(wanted)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` in a thread; the event loop stays free."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    def clear(self) -> None:
        """Delete all nodes; the collection stays."""
        self._collection.delete(Filter())

    async def aclear(self) -> None:
        """`clear` in a thread; the event loop stays free."""
        await asyncio.to_thread(self.clear)

    def persist(self, persist_path: str = "", fs: Any = None) -> None:
        """Make everything written so far survive a power cut; where it is kept was said when it was opened."""
        self._collection.flush()

    # reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes with these ids that pass the filters, with their embeddings; all nodes where neither is given."""
        wanted = _among(condition(filters, self._collection), node_ids)
        return [_node(point) for point in self._collection.scroll(wanted, with_vectors=True)]

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """`get_nodes` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find the nodes nearest to a vector, or that share words with a text, or both.

        Args:
            query: LlamaIndex's query; see the class for the modes. Empty `node_ids` or `doc_ids` restrict nothing.
            kwargs: `qdrant_filters`, a `qdrant_client.models.Filter` in place of the query's own. For the mode `mmr`:
                `mmr_threshold` (1 is plain similarity, 0 as different as can be), and among how many to choose,
                `mmr_prefetch_k`, or as a multiple of `similarity_top_k`, `mmr_prefetch_factor` (4).

        Raises:
            EmptyInput: The query has nothing that its mode could use.
            InvalidInput: The mode or a filter is not supported.
        """
        if query.mode not in (*MODES, VectorStoreQueryMode.MMR):
            supported = ", ".join(each.value for each in (*MODES, VectorStoreQueryMode.MMR))
            raise InvalidInput(
                f"query mode {query.mode.value!r} is not supported: it fits a classifier to every question; "
                f"expected one of {supported}"
            )
        if unknown := sorted(kwargs.keys() - _QUERY_OPTIONS):
            raise InvalidInput(f"no option {', '.join(map(repr, unknown))}; expected some of {sorted(_QUERY_OPTIONS)}")
        wanted = kwargs.get("qdrant_filters") or condition(query.filters, self._collection)
        if query.node_ids:  # LlamaIndex's own retriever gives an empty list where it means all
            wanted = _among(wanted, query.node_ids)
        if query.doc_ids:
            wanted = _of_documents(wanted, query.doc_ids)
        if query.mode == VectorStoreQueryMode.MMR:
            found = self._diverse(query, wanted, kwargs)
        else:
            mode = MODES[query.mode]
            limit = (query.hybrid_top_k if mode == "hybrid" else None) or query.similarity_top_k
            found = self._collection.search(
                query.query_embedding,
                query.query_str,
                mode=mode,
                limit=limit,
                filter=wanted,
                dense_weight=_weight(query.alpha) if mode == "hybrid" else None,
            )
        nodes = [to_node(each.payload, each.id) for each in found]
        return VectorStoreQueryResult(
            nodes=nodes, similarities=[each.score for each in found], ids=[node.node_id for node in nodes]
        )

    def _diverse(self, query: VectorStoreQuery, wanted: models.Filter | None, options: dict[str, Any]) -> list[Found]:
        threshold = query.mmr_threshold if query.mmr_threshold is not None else options.get("mmr_threshold")
        candidates = options.get("mmr_prefetch_k") or query.similarity_top_k * options.get("mmr_prefetch_factor", 4)
        near = self._collection.search(
            query.query_embedding, mode="dense", limit=max(candidates, query.similarity_top_k), filter=wanted
        )
        points = {each.id: each for each in self._collection.retrieve([each.id for each in near], with_vectors=True)}
        there = [each for each in near if each.id in points]
        vectors: Any = [points[each.id].vector for each in there]
        chosen = maximal_marginal_relevance(
            query.query_embedding or [],
            vectors,
            limit=query.similarity_top_k,
            relevance_weight=0.5 if threshold is None else threshold,
        )
        return [there[at] for at in chosen]

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """`query` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.query, query, **kwargs)


def _node(point: Point) -> BaseNode:
    node = to_node(point.payload, point.id)
    node.embedding = None if point.vector is None else point.vector.tolist()
    return node


def _among(wanted: models.Filter | None, node_ids: Sequence[str] | None) -> models.Filter | None:
    """The filter, for these nodes only."""
    from qdrant_client import models

    if node_ids is None:
        return wanted
    among = models.HasIdCondition(has_id=[point_id_of(each) for each in node_ids])
    return models.Filter(must=[among] if wanted is None else [among, wanted])


def _weight(alpha: float | None) -> float | None:
    """The weight of the dense ranking where that of words has 1; None is the model's own."""
    if alpha is None:
        return None
    if not 0 <= alpha <= 1:
        raise InvalidInput(f"alpha is {alpha}; expected 0 (words only) to 1 (vectors only)")
    return alpha / max(1 - alpha, 1e-6)


def _of_documents(wanted: models.Filter | None, doc_ids: Sequence[str]) -> models.Filter:
    """The filter, for nodes of these documents or files only."""
    from qdrant_client import models

    keys = ("source", f"metadata.{FRAMEWORK_FIELD}.ref_doc_id")
    any_of = models.MatchAny(any=list(doc_ids))
    of_these = models.Filter(should=[models.FieldCondition(key=key, match=any_of) for key in keys])
    return of_these if wanted is None else models.Filter(must=[wanted, of_these])
