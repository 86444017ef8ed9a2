"""LangChain's and LlamaIndex's own Qdrant stores run on the embedded engine, and answer as on qdrant-client's store."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from points_and_places import FINGERPRINT
from qdrant_client import QdrantClient, models

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.collection.threaded import ThreadedClient

pytestmark = pytest.mark.slow  # importing both frameworks takes seconds

WORDS = "invoice total amount due cat kitchen revenue quarter growth video clip page chart table figure".split()
RNG = np.random.default_rng(0)
# each of a length of its own, so that no two score alike
TEXTS = [" ".join(RNG.choice(WORDS, 5 + number)) + f" n{number}" for number in range(40)]
IDS = [str(uuid.UUID(int=number + 1)) for number in range(40)]
BM25 = Bm25()


def embed(text: str) -> list[float]:
    """A bag of words: each has a direction of its own."""
    rows = [np.random.default_rng(sum(map(ord, word))).standard_normal(32) for word in text.split()]
    return [float(number) for number in np.mean(rows, axis=0)]


def langchain_answers(client: Any) -> dict[str, Any]:
    from langchain_core.embeddings import Embeddings
    from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector

    class Dense(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [embed(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return embed(text)

    class Sparse(SparseEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[SparseVector]:
            words = [BM25.encode_text(text) for text in texts]
            return [SparseVector(indices=each.indices, values=each.values) for each in words]

        def embed_query(self, text: str) -> SparseVector:
            words = BM25.encode_query(text)
            return SparseVector(indices=words.indices, values=words.values)

    client.create_collection(
        "langchain",
        vectors_config={"dense": models.VectorParams(size=32, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )

    def store(mode: RetrievalMode) -> QdrantVectorStore:
        return QdrantVectorStore(
            client=client,
            collection_name="langchain",
            embedding=Dense(),
            sparse_embedding=Sparse(),
            retrieval_mode=mode,
            vector_name="dense",
            sparse_vector_name="bm25",
        )

    whole = store(RetrievalMode.HYBRID)
    whole.add_texts(TEXTS, [{"page": n, "source": "a.pdf" if n % 2 else "b.pdf"} for n in range(40)], ids=IDS)
    chosen = models.Filter(
        must=[
            models.FieldCondition(key="metadata.source", match=models.MatchValue(value="a.pdf")),
            models.FieldCondition(key="metadata.page", range=models.Range(gte=5)),
        ]
    )
    answers: dict[str, Any] = {}
    for mode in (RetrievalMode.DENSE, RetrievalMode.SPARSE):
        found = store(mode).similarity_search_with_score("invoice total n7", k=4, filter=chosen)
        answers[mode.value] = [(document.metadata["_id"], round(score, 4)) for document, score in found]
    answers["hybrid"] = [each.metadata["_id"] for each in whole.similarity_search(TEXTS[9], k=1)]
    diverse = store(RetrievalMode.DENSE).max_marginal_relevance_search("video clip", k=3)
    answers["diverse"] = [document.metadata["_id"] for document in diverse]
    whole.delete(IDS[:2])
    answers["left"] = sorted(document.metadata["_id"] for document in whole.get_by_ids(IDS[:4]))
    return answers


def llama_index_answers(client: Any) -> dict[str, Any]:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores.types import (
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
    )
    from llama_index.vector_stores.qdrant import QdrantVectorStore

    def encode(texts: list[str], *, is_query: bool) -> tuple[list[list[int]], list[list[float]]]:
        words = [(BM25.encode_query if is_query else BM25.encode_text)(text) for text in texts]
        return [each.indices for each in words], [each.values for each in words]

    store = QdrantVectorStore(
        "llama_index",
        client=client,
        aclient=ThreadedClient(client),
        enable_hybrid=True,
        sparse_doc_fn=lambda texts: encode(texts, is_query=False),
        sparse_query_fn=lambda texts: encode(texts, is_query=True),
        sparse_config=models.SparseVectorParams(modifier=models.Modifier.IDF),
    )
    store.add(
        [
            TextNode(
                id_=IDS[n],
                text=TEXTS[n],
                metadata={"page": n, "source": "a.pdf" if n % 2 else "b.pdf"},
                embedding=embed(TEXTS[n]),
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document{n // 5}")},
            )
            for n in range(40)
        ]
    )
    chosen = MetadataFilters(
        filters=[
            MetadataFilter(key="source", value="a.pdf"),
            MetadataFilter(key="page", value=5, operator=FilterOperator.GTE),
        ]
    )

    def query(mode: VectorStoreQueryMode) -> VectorStoreQuery:
        text = "invoice total n7"
        return VectorStoreQuery(
            query_embedding=embed(text), query_str=text, similarity_top_k=4, sparse_top_k=4, mode=mode, filters=chosen
        )

    answers: dict[str, Any] = {}
    for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.SPARSE):
        result = store.query(query(mode))
        answers[mode.value] = [
            (each, round(score, 4)) for each, score in zip(result.ids, result.similarities, strict=True)
        ]
    answers["hybrid"] = store.query(query(VectorStoreQueryMode.HYBRID)).ids[0]
    awaited = asyncio.run(store.aquery(query(VectorStoreQueryMode.DEFAULT)))
    answers["awaited"] = awaited.ids == store.query(query(VectorStoreQueryMode.DEFAULT)).ids
    store.delete("document3")
    store.delete_nodes([IDS[0]])
    answers["left"] = sorted(node.node_id for node in store.get_nodes(filters=chosen))
    return answers


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_a_stock_store_answers_alike_on_both(tmp_path: Path, framework: str) -> None:
    answers = {"langchain": langchain_answers, "llama_index": llama_index_answers}[framework]
    reference = QdrantClient(":memory:")
    with open_collection(tmp_path / "db", fingerprint=FINGERPRINT) as collection:
        ours = answers(collection.client)
    theirs = answers(reference)
    reference.close()
    assert ours == theirs
    assert ours["left"]
