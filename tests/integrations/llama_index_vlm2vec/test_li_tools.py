"""A LlamaIndex agent searches files as a tool, and a model that looks puts what was found in a new order."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import QueryBundle
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.postprocessor.vlm2vec import VisualRerank
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.tools.vlm2vec import VLM2VecToolSpec
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore


@pytest.fixture
def filled(embed_model: VLM2VecEmbedding, nodes: list[Any]) -> VLM2VecVectorStore:
    store = VLM2VecVectorStore.open(":memory:", embed_model)
    store.add(nodes)
    return store


async def test_the_tool_gives_an_agent_places_and_images_and_never_ends_it(filled: VLM2VecVectorStore) -> None:
    [tool] = VLM2VecToolSpec(filled.library, similarity_top_k=2).to_tool_list()
    assert tool.metadata.name == "search_files" and "PDF pages" in tool.metadata.description
    for output in (tool(query="red", kind="image"), await tool.acall(query="red", kind="image")):
        assert [block.block_type for block in output.blocks] == ["text", "image", "text", "image"]
        assert "red.png]" in output.content
    assert tool(query="").content == "Nothing was found."
    assert "The search was refused" in tool(query="a", kind="song").content


def test_a_reranker_that_looks_sees_words_and_pixels(filled: VLM2VecVectorStore) -> None:
    def redness(question: str, candidates: Any) -> list[float]:
        assert {bool(each.text) for each in candidates} == {bool(each.images) for each in candidates} == {True, False}
        seen = [each.images[0].resize((1, 1)).getpixel((0, 0)) if each.images else (0, 0, 0) for each in candidates]
        return [red - green - blue for red, green, blue in seen]

    found = VLM2VecRetriever(filled.library, similarity_top_k=9, mode="dense").retrieve("something red")
    reranked = VisualRerank(redness, top_n=3).postprocess_nodes(found, QueryBundle("something red"))
    assert len(reranked) == 3 and reranked[0].node.metadata["file_name"] == "red.png"
    assert (reranked[0].score or 0) > 200
    assert VisualRerank(redness).postprocess_nodes(found, QueryBundle("")) == found
