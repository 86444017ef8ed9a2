"""LangChain's own classes over this package's store and documents: images without words live, parents are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade_media import write_media
from langchain.agents import create_agent
from langchain_classic.chains.query_constructor.schema import AttributeInfo
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MultiQueryRetriever,
    ParentDocumentRetriever,
    SelfQueryRetriever,
)
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.stores import InMemoryStore
from langchain_core.tools.retriever import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore
from langchain_text_splitters import CharacterTextSplitter
from langchain_vlm2vec import (
    MediaLoader,
    VisualRerank,
    VLM2VecEmbeddings,
    VLM2VecRetriever,
    VLM2VecTranslator,
    VLM2VecVectorStore,
    vlm2vec_tool,
)
from qdrant_client import models

from vlm2vec_rag.errors import InvalidInput


class Scripted(GenericFakeChatModel):
    """Says what it is told to, whatever tools it is given."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


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
    named = models.FieldCondition(key="metadata.file_name", match=models.MatchValue(value="red.png"))
    some = models.FieldCondition(key="metadata.file_name", match=models.MatchAny(any=["red.png", "blue.png"]))
    like = models.FieldCondition(key="metadata.file_name", match=models.MatchText(text="REPORT"))
    below = models.FieldCondition(key="metadata.source", match=models.MatchText(text="Talk.mp4"))
    for wanted, expected in (
        (models.Filter(must=[named]), ["red.png"]),
        (models.Filter(must=[some], must_not=[named]), ["blue.png"]),
        (models.Filter(must=[like]), ["report.pdf#page=1", "report.pdf#page=2"]),
        (models.Filter(must=[below]), ["talk.mp4#t=0,3"]),
        (models.Filter(must=[kind, second]), ["report.pdf#page=2"]),
        (models.Filter(must=[models.Filter(should=[second])]), ["report.pdf#page=2"]),
        (models.Filter(must_not=[kind]), [each for each in ALL if "report" not in each]),
    ):
        assert names(filled.similarity_search("anything", k=9, filter=wanted)) == expected


@pytest.mark.parametrize(
    ("query", "written", "expected"),
    [
        ("emissions", 'eq(\\"kind\\", \\"page\\")', ["report.pdf#page=1", "report.pdf#page=2"]),
        ("emissions", 'and(eq(\\"kind\\", \\"page\\"), gt(\\"page\\", 1))', ["report.pdf#page=2"]),
        ("red", 'or(eq(\\"file_name\\", \\"red.png\\"), gte(\\"start_s\\", 0.0))', ["red.png", "talk.mp4#t=0,3"]),
        ("", 'in(\\"kind\\", [\\"image\\", \\"clip\\"])', ["blue.png", "red.png", "talk.mp4#t=0,3"]),
        (
            "",
            'nin(\\"kind\\", \\"page\\")',
            ["blue.png", "note.md#char=0,31", "red.png", "talk.mp4#t=0,3", "document:cat"],
        ),
        ("a", 'like(\\"file_name\\", \\"%REPORT%\\")', ["report.pdf#page=1", "report.pdf#page=2"]),
        ("a", 'contain(\\"tags\\", \\"pets\\")', ["document:cat"]),
        ("a", 'contain(\\"author\\", \\"Lovelace\\")', ["document:cat"]),
        ("a", 'and(gte(\\"seen\\", \\"2026-01-31\\"), lt(\\"seen\\", \\"2026-02-01\\"))', ["document:cat"]),
        ("a", 'and(ne(\\"kind\\", \\"page\\"), not(lt(\\"year\\", 2026)), lte(\\"year\\", 2026))', ["document:cat"]),
        ("a", "NO_FILTER", [*ALL, "document:cat"]),
    ],
)
async def test_a_model_writes_the_filters_of_a_self_query(
    filled: VLM2VecVectorStore, query: str, written: str, expected: list[str]
) -> None:
    filled.add_texts(
        ["a cat"],
        [{"tags": ["pets", "home"], "author": "Ada Lovelace", "seen": "2026-01-31", "year": 2026}],
        ids=["cat"],
    )
    fields = "kind file_name page start_s tags author seen year".split()
    retriever = SelfQueryRetriever.from_llm(
        FakeListLLM(responses=[f'```json\n{{"query": "{query}", "filter": "{written}"}}\n```']),
        filled,
        "Pages, images, clips and texts",
        [AttributeInfo(name=name, description=name, type="string") for name in fields],
        structured_query_translator=VLM2VecTranslator(),
        search_kwargs={"k": 9},
    )
    answers = [retriever.invoke("what the model is asked"), await retriever.ainvoke("what the model is asked")]
    filled.delete(["cat"])
    for answer in answers:
        places = [each.metadata.get("place", f"document:{each.id}").rpartition("/")[2] for each in answer]
        assert sorted(places) == sorted(expected)
        if not query:  # a filter alone: in the order of files
            assert places == expected


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


# an agent asks for file names, full paths and nothing at all, and goes on


@pytest.fixture(scope="module", params=["our store", "LangChain's own in memory", "LangChain's own on Qdrant"])
def asked_by_agents(
    request: pytest.FixtureRequest, filled: VLM2VecVectorStore, embeddings: VLM2VecEmbeddings
) -> VectorStore:
    """Stores whose stock retriever embeds questions with `embed_query`, and our own."""
    if request.param == "our store":
        return filled
    texts = ["an apple a day", "the report of the year", "a red wall"]
    if "memory" in request.param:
        return InMemoryVectorStore.from_texts(texts, embeddings)
    return QdrantVectorStore.from_texts(texts, embeddings, location=":memory:", collection_name="stock")


ODD_QUESTIONS = ["", "  \n", "report.pdf", "{}/red.png", "./talk.mp4", "file://{}/red.png", "https://example.org/a.png"]


async def test_stock_retrievers_and_their_tools_take_whatever_an_agent_asks(
    asked_by_agents: VectorStore, files: Path
) -> None:
    is_ours = isinstance(asked_by_agents, VLM2VecVectorStore)
    settings: dict[str, dict[str, Any]] = {"similarity": {}, "mmr": {}}
    if not isinstance(asked_by_agents, InMemoryVectorStore):  # which knows no relevance
        settings["similarity_score_threshold"] = {"score_threshold": 0.0}
    for search_type, more in settings.items():
        retriever = asked_by_agents.as_retriever(search_type=search_type, search_kwargs={"k": 2, **more})
        tool = create_retriever_tool(retriever, "search", "Searches.")
        for question in (each.format(files) for each in ODD_QUESTIONS):
            answer = tool.invoke({"query": question})
            assert answer == await tool.ainvoke({"query": question})
            assert bool(answer) == bool(question.strip() or not is_ours), question
    if is_ours:
        blank = asked_by_agents.embeddings.embed_query("")  # type: ignore[union-attr]
        assert asked_by_agents.similarity_search_by_vector(blank) == []
        assert asked_by_agents.max_marginal_relevance_search_by_vector(blank) == []


def test_an_agent_goes_on_after_a_path_and_after_nothing(asked_by_agents: VectorStore, files: Path) -> None:
    tool = create_retriever_tool(asked_by_agents.as_retriever(), "search", "Searches.")
    asked = ["", str(files / "red.png"), "emission targets"]
    replies = [
        AIMessage("", tool_calls=[{"name": "search", "args": {"query": question}, "id": str(number)}])
        for number, question in enumerate(asked)
    ]
    agent = create_agent(Scripted(messages=iter([*replies, AIMessage("Enough.")])), [tool])
    messages = agent.invoke({"messages": [HumanMessage("What is in the report?")]})["messages"]
    answers = [each for each in messages if isinstance(each, ToolMessage)]
    assert [each.status for each in answers] == ["success"] * 3 and messages[-1].text == "Enough."
    assert all(each.text for each in answers[1:])
