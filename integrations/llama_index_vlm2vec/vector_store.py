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
from llama_index.core.utils import iter_batch
from llama_index.core.vector_stores import MetadataFilters, VectorStoreQuery, VectorStoreQueryResult
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryMode

from llama_index_vlm2vec.embedding import VLM2VecEmbedding
from llama_index_vlm2vec.filters import condition
from llama_index_vlm2vec.items import items_of
from llama_index_vlm2vec.nodes import to_node, to_payload
from llama_index_vlm2vec.stamps import is_stamped, stamp
from vlm2vec_rag.collection import Filter, Found, Point
from vlm2vec_rag.diversity import maximal_marginal_relevance
from vlm2vec_rag.document_metadata import FRAMEWORK_FIELD
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Query
from vlm2vec_rag.library.writing import BATCH_ITEMS, Entry
from vlm2vec_rag.words import is_blank_vector

if TYPE_CHECKING:
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.library import Library

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

    A node of a file comes back as a `MediaNode`, any other node as it was stored. A vector is kept only if
    `VLM2VecEmbedding` made it of the node's very content; every other node is embedded by the store itself, pages,
    images and clips by their pixels, whatever class of LlamaIndex brings it.

    >>> store = VLM2VecVectorStore.open("./my.vlm2vec", embed_model)
    >>> index = VLM2VecIndex.from_vector_store(store)  # knows the store's own embedding
    >>> index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)

    LlamaIndex's own indexes have to be told the embedding: without one they take `Settings.embed_model`, and load
    OpenAI's where that is not set, before they look at the store (llama-index-core 0.14.25,
    `indices/vector_store/base.py` line 63, `settings.py` line 66). Its error about an OpenAI key means just that.
    """

    stores_text: bool = True
    is_embedding_query: bool = True

    _library: Library = PrivateAttr()

    def __init__(self, library: Library) -> None:
        """Use an open library, from `vlm2vec_rag.open`."""
        super().__init__(stores_text=True)
        self._library = library

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str] = ":memory:",
        embed_model: VLM2VecEmbedding | None = None,
        *,
        name: str = "default",
        create: bool = True,
        **settings: Any,
    ) -> VLM2VecVectorStore:
        """Open a store, or make it when it is not there.

        Args:
            location: A folder, `:memory:`, or the address of a Qdrant server such as `http://localhost:6333`.
            embed_model: What nodes are embedded with. None takes what is recorded in the collection, and for a new one
                the best whose weights are at hand.
            name: The collection at that location.
            create: Make the collection when it is not there.
            settings: More for `vlm2vec_rag.open`: `api_key`, `language`, `cluster`, `model="none"` for words only, ...

        Raises:
            CollectionNotFound: It is not there and was not to be made.
            FingerprintMismatch: It was built with another model; both are named.
        """
        from vlm2vec_rag.library import open_library

        named = {} if embed_model is None else embed_model.as_settings()
        return cls(open_library(location, name=name, create=create, **{**named, **settings}))

    @classmethod
    def class_name(cls) -> str:
        return "VLM2VecVectorStore"

    @property
    def library(self) -> Library:
        """The library behind this: the collection, with its model and reader."""
        return self._library

    @property
    def embed_model(self) -> VLM2VecEmbedding:
        """The embedding that the collection was built with.

        Raises:
            InvalidInput: The collection holds words only.
        """
        return VLM2VecEmbedding.for_library(self._library)

    @property
    def client(self) -> Any:
        """The Qdrant client behind the collection."""
        return self.collection.client

    @property
    def collection(self) -> Collection:
        """The collection of the library."""
        return self._library.collection

    def close(self) -> None:
        """Close the collection; a folder can then be opened by another process."""
        self._library.close()

    # writing

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes, replacing those with the same ids, and return their ids.

        Raises:
            EmptyInput: A node with neither pixels nor words; the message names it.
            InvalidInput: A node holds what cannot be kept, or needs to be embedded and the store has no model.
            MediaError: The file of a node that needs to be embedded cannot be read.
        """
        fingerprint = self._library.fingerprint
        payloads = [to_payload(node) for node in nodes]  # refuses what cannot be kept before anything is written
        now = datetime.now(timezone.utc)
        points: list[Point] = []
        to_embed: list[int] = []
        ids = [payload.document_id or id_ for id_, payload in payloads]
        for at, (node, (id_, payload)) in enumerate(zip(nodes, payloads, strict=True)):
            if fingerprint.dim and not is_stamped(node, payload.content_hash, fingerprint):
                to_embed.append(at)
                continue
            vector = np.asarray(node.embedding, dtype=np.float32) if fingerprint.dim else None
            points.append(
                Point(id=id_, payload=replace(payload, indexed_at=now, encoded=vector is not None), vector=vector)
            )
        for at, id_ in zip(to_embed, self._embed([nodes[at] for at in to_embed]), strict=True):
            ids[at] = id_
        self.collection.upsert(points)
        return ids

    def _embed(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Write nodes with vectors of their content, made by the collection's own model."""
        if not nodes:
            return []
        if self._library.encoder is None:
            raise InvalidInput(
                f"node {nodes[0].node_id} has no embedding that VLM2VecEmbedding made of its content, and the store "
                "was opened for words only; open it with the model that built it"
            )
        writer = self._library.writer()
        written: list[str] = []
        for batch in iter_batch(nodes, BATCH_ITEMS):
            entries: list[Entry] = []
            for node in batch:
                made, item = items_of(node, lambda: self._library.reader)
                entries.append(Entry(item=item, payload=to_payload(made)[1]))
            writer.write(entries)
            written += [entry.document_id for entry in entries]
        return written

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
        self.collection.delete(models.Filter(should=[*of_document, at_place] if source else of_document))

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
        if wanted := _among(condition(filters, self.collection), node_ids):
            self.collection.delete(wanted)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` in a thread; the event loop stays free."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    def clear(self) -> None:
        """Delete all nodes; the collection stays."""
        self.collection.delete(Filter())

    async def aclear(self) -> None:
        """`clear` in a thread; the event loop stays free."""
        await asyncio.to_thread(self.clear)

    def persist(self, persist_path: str = "", fs: Any = None) -> None:
        """Make everything written so far survive a power cut; where it is kept was said when it was opened."""
        self.collection.flush()

    # reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes with these ids that pass the filters, with their embeddings; all nodes where neither is given."""
        wanted = _among(condition(filters, self.collection), node_ids)
        return [self._node(point) for point in self.collection.scroll(wanted, with_vectors=True)]

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """`get_nodes` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find the nodes nearest to a vector, or that share words with a text, or both.

        Args:
            query: LlamaIndex's query; see the class for the modes. Empty `node_ids` or `doc_ids` restrict nothing. An
                empty question finds nothing; words without a vector are embedded by the store itself.
            kwargs: `qdrant_filters`, a `qdrant_client.models.Filter` in place of the query's own. For the mode `mmr`:
                `mmr_threshold` (1 is plain similarity, 0 as different as can be), and among how many to choose,
                `mmr_prefetch_k`, or as a multiple of `similarity_top_k`, `mmr_prefetch_factor` (4).

        Raises:
            EmptyInput: The query has nothing that its mode could use.
            InvalidInput: The mode or a filter is not supported, or the vector is of another embedding than the store's;
                the message names the store's.
        """
        if query.mode not in (*MODES, VectorStoreQueryMode.MMR):
            supported = ", ".join(each.value for each in (*MODES, VectorStoreQueryMode.MMR))
            raise InvalidInput(
                f"query mode {query.mode.value!r} is not supported: it fits a classifier to every question; "
                f"expected one of {supported}"
            )
        if unknown := sorted(kwargs.keys() - _QUERY_OPTIONS):
            raise InvalidInput(f"no option {', '.join(map(repr, unknown))}; expected some of {sorted(_QUERY_OPTIONS)}")
        vector = self._vector(query)
        if vector is None and not (query.query_str or "").strip():
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        wanted = kwargs.get("qdrant_filters") or condition(query.filters, self.collection)
        if query.node_ids:  # LlamaIndex's own retriever gives an empty list where it means all
            wanted = _among(wanted, query.node_ids)
        if query.doc_ids:
            wanted = _of_documents(wanted, query.doc_ids)
        if query.mode == VectorStoreQueryMode.MMR:
            found = self._diverse(query, vector, wanted, kwargs)
        else:
            mode = MODES[query.mode]
            limit = (query.hybrid_top_k if mode == "hybrid" else None) or query.similarity_top_k
            found = self.collection.search(
                vector,
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

    def _node(self, point: Point) -> BaseNode:
        node = to_node(point.payload, point.id)
        if point.vector is not None:
            node.embedding = point.vector.tolist()
            if point.payload.encoded:  # so that another store takes it as it is
                stamp(node, point.payload.content_hash, self._library.fingerprint)
        return node

    def _vector(self, query: VectorStoreQuery) -> list[float] | None:
        """The vector of a question, where its mode compares vectors; None for an empty question."""
        vector, dim, words = query.query_embedding, self.collection.dim, (query.query_str or "").strip()
        if MODES.get(query.mode) == "bm25" or (vector is not None and is_blank_vector(vector)):
            return None
        if vector is not None and dim and len(vector) != dim:
            raise InvalidInput(
                f"the question has a vector of {len(vector)} numbers, and this store's are {dim} wide, made by "
                f"{self._library.fingerprint.model}: another embedding asks; give the index the store's own, "
                "embed_model=store.embed_model"
            )
        if vector is None and words and dim and self._library.encoder is not None:
            return self.embed_model.encode_question(Query(text=words))
        return vector

    def _diverse(
        self,
        query: VectorStoreQuery,
        vector: list[float] | None,
        wanted: models.Filter | None,
        options: dict[str, Any],
    ) -> list[Found]:
        threshold = query.mmr_threshold if query.mmr_threshold is not None else options.get("mmr_threshold")
        candidates = options.get("mmr_prefetch_k") or query.similarity_top_k * options.get("mmr_prefetch_factor", 4)
        near = self.collection.search(
            vector, mode="dense", limit=max(candidates, query.similarity_top_k), filter=wanted
        )
        points = {each.id: each for each in self.collection.retrieve([each.id for each in near], with_vectors=True)}
        there = [each for each in near if each.id in points]
        vectors: Any = [points[each.id].vector for each in there]
        chosen = maximal_marginal_relevance(
            vector or [],
            vectors,
            limit=query.similarity_top_k,
            relevance_weight=0.5 if threshold is None else threshold,
        )
        return [there[at] for at in chosen]

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """`query` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.query, query, **kwargs)


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
