"""LangChain's own classes over this package's store and documents: images without words live, parents are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade_media import write_media
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MultiQueryRetriever,
    ParentDocumentRetriever,
)
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.load import dumpd
from langchain_core.stores import InMemoryStore
from langchain_core.tools.retriever import create_retriever_tool
from langchain_text_splitters import CharacterTextSplitter
from langchain_vlm2vec import (
    MediaLoader,
    VisualRerank,
    VLM2VecEmbeddings,
    VLM2VecRetriever,
    VLM2VecVectorStore,
    vlm2vec_tool,
)
from qdrant_client import models

from vlm2vec_rag.errors import InvalidInput


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(tmp_path_factory.mktemp("files").resolve())


@pytest.fixture(scope="module")
def filled(embeddings: VLM2VecEmbeddings, files: Path) -> Iterator[VLM2VecVectorStore]:
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    store.add_documents(MediaLoader(files, settings=store.library.media_settings).load())
    yield store
    store.close()


def names(documents: list[Document]) -> list[str]:
    return sorted(document.metadata["place"].rpartition("/")[2] for document in documents)


ALL = ["blue.png", "note.md#char=0,31", "red.png", "report.pdf#page=1", "report.pdf#page=2", "talk.mp4#t=0,3"]


def test_an_ensemble_keeps_images_without_words_apart(filled: VLM2VecVectorStore) -> None:
    retrievers: list[Any] = [VLM2VecRetriever(vectorstore=filled, k=9, mode=mode) for mode in ("dense", "hybrid")]
    ensemble = EnsembleRetriever(retrievers=retrievers, weights=[0.5, 0.5])
    assert names(ensemble.invoke("something red")) == ALL


def test_a_union_over_several_questions_has_each_document_once(filled: VLM2VecVectorStore) -> None:
    retriever = MultiQueryRetriever.from_llm(
        VLM2VecRetriever(vectorstore=filled, k=9, mode="dense"), FakeListLLM(responses=["something red\na blue one"])
    )
    assert names(retriever.invoke("which?")) == ALL
    first, second = (VLM2VecRetriever(vectorstore=filled, k=1).invoke(each)[0] for each in ("emission targets",) * 2)
    assert first == second and first.score is not None
    assert first == Document(id=first.id, page_content=first.page_content, metadata=first.metadata)
    assert dumpd(first)["id"] == dumpd(Document("a"))["id"]


def test_a_reranker_that_looks_sees_words_and_pixels(filled: VLM2VecVectorStore) -> None:
    def redness(question: str, candidates: Any) -> list[float]:
        seen = [
            each.images[0].convert("RGB").resize((1, 1)).getpixel((0, 0)) if each.images else (0, 0, 0)
            for each in candidates
        ]
        assert {bool(each.images) for each in candidates} == {True, False}
        assert {bool(each.text) for each in candidates} == {True, False}
        return [red - green - blue for red, green, blue in seen]

    for top_n in (2, None):
        compressed = ContextualCompressionRetriever(
            base_compressor=VisualRerank(score=redness, top_n=top_n),
            base_retriever=VLM2VecRetriever(vectorstore=filled, k=9, mode="dense"),
        )
        found = compressed.invoke("something red")
        assert found[0].metadata["place"].endswith("red.png") and found[0].metadata["relevance_score"] > 200
        assert len(found) == (top_n or 6)
    with pytest.raises(InvalidInput, match="gave 1 scores for 6 hits"):
        VisualRerank(score=lambda question, candidates: [1.0]).compress_documents(
            VLM2VecRetriever(vectorstore=filled, k=9, mode="dense").invoke("a"), "a"
        )


def test_a_retriever_tool_tells_of_images(filled: VLM2VecVectorStore, files: Path) -> None:
    tool = create_retriever_tool(VLM2VecRetriever(vectorstore=filled, kind="image"), "search", "Searches.")
    assert f"image: {files / 'red.png'}" in tool.invoke({"query": "something red"})


def test_parents_are_found_by_their_pieces(embeddings: VLM2VecEmbeddings, files: Path) -> None:
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    parents = ParentDocumentRetriever(
        vectorstore=store,
        docstore=InMemoryStore(),
        child_splitter=CharacterTextSplitter(separator=" ", chunk_size=10, chunk_overlap=0),
        search_kwargs={"mode": "bm25"},
    )
    loaded = MediaLoader(files / "report.pdf", settings=store.library.media_settings).load()
    parents.add_documents(loaded)
    assert {point.payload.kind for point in store.collection.scroll()} == {"text"}
    assert parents.invoke("emission") == [loaded[1]]


def test_filters_of_query_translators_reach_the_fields_of_files(filled: VLM2VecVectorStore) -> None:
    kind = models.FieldCondition(key="metadata.kind", match=models.MatchValue(value="page"))
    second = models.FieldCondition(key="metadata.page", range=models.Range(gt=1))
    for wanted, expected in (
        (models.Filter(must=[kind, second]), ["report.pdf#page=2"]),
        (models.Filter(must=[models.Filter(should=[second])]), ["report.pdf#page=2"]),
        (models.Filter(must_not=[kind]), [each for each in ALL if "report" not in each]),
    ):
        assert names(filled.similarity_search("anything", k=9, filter=wanted)) == expected


async def test_the_tool_gives_an_agent_places_and_images_and_never_ends_it(
    filled: VLM2VecVectorStore, files: Path
) -> None:
    tool = vlm2vec_tool(filled.library, k=2)
    call = {"name": tool.name, "args": {"query": "something red", "kind": "image"}, "id": "1", "type": "tool_call"}
    for message in (tool.invoke(call), await tool.ainvoke(call)):
        assert [block["type"] for block in message.content] == ["text", "text", "image", "text", "image"]
        assert str(files / "red.png") in str(message.content) and len(message.artifact) == 2
    for args, said in (
        ({"query": ""}, "Nothing was found"),
        ({"query": "a", "source": "."}, "The search was refused"),
        ({"query": str(files / "red.png")}, "evidence"),
    ):
        assert said in str(tool.invoke({**call, "args": args}).content)
