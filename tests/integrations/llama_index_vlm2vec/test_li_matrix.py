"""Everything a question goes through, on every engine, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import StorageContext
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.indices.vlm2vec import VLM2VecIndex
from llama_index.node_parser.vlm2vec import MediaNode
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.vector_stores.qdrant import QdrantVectorStore
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore

from vlm2vec_rag.items import KINDS

Ask = Callable[[Any, str | QueryBundle], list[NodeWithScore]]
WAYS: list[Ask] = [
    lambda retriever, question: retriever.retrieve(question),
    lambda retriever, question: asyncio.run(retriever.aretrieve(question)),
]


@pytest.fixture(params=WAYS, ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


def build(store: Any, embed_model: VLM2VecEmbedding, nodes: list[BaseNode]) -> VLM2VecIndex:
    return VLM2VecIndex(
        nodes, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=embed_model
    )


@pytest.mark.parametrize("use_async", [False, True], ids=["insert", "ainsert"])
def test_every_item_of_every_kind_is_found_and_best_by_itself(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[BaseNode], ask: Ask, use_async: bool
) -> None:
    store.clear()
    index = build(store, embed_model, [] if use_async else nodes)
    if use_async:
        asyncio.run(index.ainsert_nodes(nodes))
    assert store.collection.count() == len(nodes) == 7
    retriever = index.as_retriever(similarity_top_k=10)
    for node in nodes:
        found = ask(retriever, QueryBundle("", embedding=node.embedding))
        assert {each.node_id for each in found} == {each.node_id for each in nodes}
        assert found[0].node_id == node.node_id
        assert found[0].node.metadata.get("kind") == node.metadata.get("kind")
        assert found[0].score == pytest.approx(1.0, abs=1e-5)


def test_scores_are_the_cosines_of_the_vectors(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[BaseNode], ask: Ask
) -> None:
    retriever = build(store, embed_model, nodes).as_retriever(similarity_top_k=10)
    question = np.asarray(embed_model.get_query_embedding("which one?"))
    cosines = {node.node_id: float(np.asarray(node.embedding) @ question) for node in nodes}
    found = {each.node_id: each.score for each in ask(retriever, "which one?")}
    assert found == pytest.approx(cosines, abs=1e-5)


def test_the_words_of_a_question_find_the_page_that_has_them(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[BaseNode], media: Path, ask: Ask
) -> None:
    index = build(store, embed_model, nodes)
    for mode in ("sparse", "hybrid"):
        found = ask(index.as_retriever(vector_store_query_mode=mode, similarity_top_k=1), "emission targets")
        assert [each.node.metadata["place"] for each in found] == [f"{media / 'report.pdf'}#page=2"]


def test_a_retriever_over_the_collection_answers_as_the_library_does(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[BaseNode], ask: Ask
) -> None:
    from vlm2vec_rag.retrieval import Retriever

    build(store, embed_model, nodes)
    for mode in ("hybrid", "dense", "bm25"):
        retriever = VLM2VecRetriever(store.library, embed_model, mode=mode, similarity_top_k=10)
        hits = Retriever(store.collection, embed_model.encoder).search("emission targets", mode=mode, limit=10)
        found = ask(retriever, "emission targets")
        assert [(each.node_id, each.score) for each in found] == [(hit.id, hit.score) for hit in hits]
        assert len(found) == (1 if mode == "bm25" else 7)


async def test_the_stock_qdrant_store_keeps_everything_too(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[BaseNode]
) -> None:
    client, aclient = store.collection.client, store.collection.aclient
    # without its index of document ids, of which the in-memory client warns
    stock = QdrantVectorStore("stock", client=client, aclient=aclient, index_doc_id=False)
    index = build(stock, embed_model, nodes[:4])
    await index.ainsert_nodes(nodes[4:])
    retriever = index.as_retriever(similarity_top_k=10)
    found, awaited = retriever.retrieve("which one?"), await retriever.aretrieve("which one?")
    assert {each.node_id for each in found} == {each.node_id for each in nodes}
    assert {each.node.metadata.get("kind") for each in found} == {*KINDS, None}
    assert {isinstance(each.node, MediaNode) for each in found if "kind" in each.node.metadata} == {True}
    assert [(each.node_id, each.score) for each in awaited] == [(each.node_id, each.score) for each in found]

    sync_only = VLM2VecIndex.from_vector_store(QdrantVectorStore("stock", client=client), embed_model)
    without_aclient = await sync_only.as_retriever(similarity_top_k=10).aretrieve("which one?")
    assert [each.node_id for each in without_aclient] == [each.node_id for each in found]
    await aclient.close()
