"""The retriever takes words and pixels, says how well each hit matched, and tells callbacks of every step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from handmade_media import write_media
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools.retriever import create_retriever_tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_vlm2vec import MediaLoader, VLM2VecEmbeddings, VLM2VecRetriever, VLM2VecVectorStore
from PIL import Image
from pydantic import ValidationError

from vlm2vec_rag import Query
from vlm2vec_rag.collection import Filter
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.retrieval import Retriever

Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Invokes a retriever, plainly or awaited."""

    async def awaited(retriever: Any, *args: Any, **kwargs: Any) -> list[Document]:
        return await retriever.ainvoke(*args, **kwargs)

    async def plain(retriever: Any, *args: Any, **kwargs: Any) -> list[Document]:
        return await asyncio.to_thread(retriever.invoke, *args, **kwargs)

    return awaited if request.param == "async" else plain


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(tmp_path_factory.mktemp("files").resolve())


@pytest.fixture(scope="module")
def filled(embeddings: VLM2VecEmbeddings, files: Path) -> Iterator[VLM2VecVectorStore]:
    """A store with all of the folder and a text; every test here only asks it."""
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    store.add_documents(MediaLoader(files, settings=store.library.media_settings).load())
    store.add_texts(["an apple a day"], [{"author": "Ada"}], ids=["apple"])
    yield store
    store.close()


class Events(BaseCallbackHandler):
    """Notes which run was told of, and below which other."""

    def __init__(self) -> None:
        self.started: dict[UUID, tuple[str, UUID | None]] = {}
        self.ended: dict[UUID, Any] = {}
        self.failed: dict[UUID, BaseException] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, name: str = "", **kwargs: Any) -> None:
        self.started[run_id] = (name, kwargs.get("parent_run_id"))

    on_retriever_start = on_chain_start

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.ended[run_id] = outputs

    on_retriever_end = on_chain_end

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.failed[run_id] = error

    on_retriever_error = on_chain_error


async def test_hits_are_those_of_the_library_with_their_scores(
    filled: VLM2VecVectorStore, files: Path, ask: Ask
) -> None:
    library = Retriever(filled.collection, filled.embeddings.load())  # type: ignore[union-attr]
    blue = Image.open(files / "blue.png").convert("RGB")
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"input": "emission targets"}, {"query": "emission targets"}),
        ({"input": "targets", "mode": "bm25"}, {"query": "targets", "mode": "bm25"}),
        ({"input": "a", "filter": Filter(kinds=("clip",))}, {"query": "a", "filter": Filter(kinds=("clip",))}),
        ({"input": "", "image": files / "blue.png"}, {"query": Query(image=blue)}),
        ({"input": "red", "image": blue, "k": 2}, {"query": Query(text="red", image=blue), "limit": 2}),
        ({"input": "", "clip": [blue, blue]}, {"query": Query(frames=(blue, blue))}),
    ]
    for invoked, searched in asked:
        hits = await ask(VLM2VecRetriever(vectorstore=filled, k=5), **invoked)
        expected = library.search(**{"limit": 5, **searched})
        assert [hit.id for hit in hits] == [each.id for each in expected] != []
        for hit, each in zip(hits, expected, strict=True):
            said = hit.metadata
            assert (said["place"], said["kind"], said["source"]) == (each.place, each.kind, each.source)
            assert hit.score == pytest.approx(each.score, abs=1e-5)
            assert hit.dense_score == pytest.approx(each.dense_score, abs=1e-5)
            assert hit.bm25_score == pytest.approx(each.bm25_score, abs=1e-5)


async def test_k_filter_and_mode_are_set_once_or_for_each_question(filled: VLM2VecVectorStore, ask: Ask) -> None:
    retriever = VLM2VecRetriever(vectorstore=filled, k=3, filter={"kind": "page"}, mode="dense")
    assert {hit.metadata["kind"] for hit in await ask(retriever, "anything")} == {"page"}
    [hit] = await ask(retriever, "apple", k=1, filter={"author": "Ada"}, mode="bm25")
    assert (hit.id, hit.metadata["author"], hit.dense_score) == ("apple", "Ada", None)
    assert len(await ask(retriever.bind(k=1), "anything")) == 1


async def test_callbacks_see_the_retrieval_and_the_embedding_below_it(filled: VLM2VecVectorStore, ask: Ask) -> None:
    events = Events()
    hits = await ask(VLM2VecRetriever(vectorstore=filled, k=2), "a car", config={"callbacks": [events]})
    (retrieval, (name, above)), (embedding, (embed_name, parent)) = events.started.items()
    assert (name, above, embed_name, parent) == ("VLM2VecRetriever", None, "embed_query", retrieval)
    dim = filled.collection.dim
    assert events.ended == {embedding: {"vectors": 1, "dim": dim}, retrieval: hits}


async def test_callbacks_see_what_fails(filled: VLM2VecVectorStore, files: Path, ask: Ask) -> None:
    events = Events()
    with pytest.raises(UnreadableMedia, match=r"gone\.png"):
        await ask(VLM2VecRetriever(vectorstore=filled), "a", image=files / "gone.png", config={"callbacks": [events]})
    assert len(events.failed) == len(events.started) == 1


async def test_awaited_callbacks_are_awaited(filled: VLM2VecVectorStore) -> None:
    class Awaited(AsyncCallbackHandler):
        seen: list[str] = []  # noqa: RUF012  one test, one list

        async def on_retriever_start(self, *args: Any, name: str = "", **kwargs: Any) -> None:
            self.seen.append(name)

        async def on_chain_start(self, *args: Any, name: str = "", **kwargs: Any) -> None:
            self.seen.append(name)

    await VLM2VecRetriever(vectorstore=filled).ainvoke("a car", config={"callbacks": [Awaited()]})
    assert Awaited.seen == ["VLM2VecRetriever", "embed_query"]


async def test_in_a_chain_in_batches_and_as_a_tool(filled: VLM2VecVectorStore) -> None:
    retriever = VLM2VecRetriever(vectorstore=filled, k=1)
    chain = {"hits": retriever, "question": RunnablePassthrough()}
    from langchain_core.runnables import RunnableParallel

    answer = RunnableParallel(chain).invoke("emission targets")
    assert answer["hits"][0].page_content == "Emission targets" and answer["question"] == "emission targets"
    batches = await retriever.abatch(["quarterly revenue", "an apple a day"])
    assert [each.page_content for [each] in batches] == ["Quarterly revenue", "an apple a day"]
    tool = create_retriever_tool(
        retriever, "search_files", "Searches.", document_prompt=PromptTemplate.from_template("{place}: {page_content}")
    )
    assert tool.invoke({"query": "an apple a day"}) == "document:apple: an apple a day"
    assert (await tool.ainvoke({"query": "emission targets"})).endswith("report.pdf#page=2: Emission targets")


async def test_langchains_own_retriever_over_the_store_works_in_each_way(filled: VLM2VecVectorStore, ask: Ask) -> None:
    by_similarity = filled.as_retriever(search_kwargs={"k": 2, "filter": {"kind": "page"}})
    diverse = filled.as_retriever(search_type="mmr", search_kwargs={"k": 3, "lambda_mult": 0.2})
    above = filled.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.0, "k": 7}
    )
    assert [len(await ask(each, "anything")) for each in (by_similarity, diverse, above)] == [2, 3, 7]
    for mode, count in (("dense", 2), ("hybrid", 2), ("bm25", 1)):  # one page has these words
        for threshold, expected_count in ((0.0, count), (1.0, 0)):
            kwargs = {"score_threshold": threshold, "k": 2, "mode": mode, "kind": "page"}
            above = filled.as_retriever(search_type="similarity_score_threshold", search_kwargs=kwargs)
            assert len(await ask(above, "emission targets")) == expected_count
    dense = filled.similarity_search_with_relevance_scores("emission targets", k=9)
    expected = {each.id: score for each, score in dense}
    for mode in ("hybrid", "bm25"):
        scored = filled.similarity_search_with_relevance_scores("emission targets", k=3, mode=mode)
        assert {each.id: score for each, score in scored} == pytest.approx(
            {each.id: expected[each.id] for each, _ in scored}, abs=1e-5
        )
    words_only = VLM2VecVectorStore.open(":memory:", model="none")
    with pytest.raises(InvalidInput, match="holds words only"):
        words_only.similarity_search_with_relevance_scores("emission targets")


async def test_typed_filters_are_those_of_the_command_line_beside_langchains_own(
    filled: VLM2VecVectorStore, ask: Ask
) -> None:
    for typed, expected in (
        ({"kind": "page"}, {"report.pdf#page=1", "report.pdf#page=2"}),
        ({"kind": "page", "filter": {"page": {"$gt": 1}}}, {"report.pdf#page=2"}),
        ({"source": "*.png"}, {"red.png", "blue.png"}),
        ({"pages": "2-"}, {"report.pdf#page=2"}),
        ({"time": "0:01-0:02", "until": "2100-01-01"}, {"talk.mp4#t=0,3"}),
        ({"since": "2100-01-01"}, set()),
    ):
        whole = await ask(VLM2VecRetriever(vectorstore=filled, k=10, **typed), "anything")
        asked = await ask(VLM2VecRetriever(vectorstore=filled, k=10), "anything", **typed)
        for hits in (whole, asked):
            assert {hit.metadata["place"].rpartition("/")[2] for hit in hits} == expected, typed


async def test_an_agent_that_asks_for_a_file_name_or_for_nothing_goes_on(
    filled: VLM2VecVectorStore, files: Path, ask: Ask
) -> None:
    for retriever in (VLM2VecRetriever(vectorstore=filled), filled.as_retriever(search_type="mmr")):
        for nothing in ("", "  "):
            assert await ask(retriever, nothing) == []
        for name in ("report.pdf", str(files / "red.png"), "https://example.org/a.png"):
            assert await ask(retriever, name)
    tool = create_retriever_tool(VLM2VecRetriever(vectorstore=filled), "search", "Searches.")
    assert tool.invoke({"query": ""}) == ""


def test_a_folder_is_enough(filled: VLM2VecVectorStore, embeddings: VLM2VecEmbeddings, tmp_path: Path) -> None:
    VLM2VecVectorStore.from_texts(["an apple a day"], embeddings, location=tmp_path / "c").close()
    retriever = VLM2VecRetriever(tmp_path / "c", k=2)
    assert [hit.page_content for hit in retriever.invoke("apple")] == ["an apple a day"]
    retriever.vectorstore.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input": {"query": "a"}}, InvalidInput, "question is a dict"),
        ({"image": "a.png", "clip": "b.mp4"}, InvalidInput, "an image and a clip"),
        ({"image": "http://example.org/a.png"}, InvalidInput, "none is fetched"),
        ({"k": 0}, InvalidInput, "limit is 0"),
        ({"mode": "both"}, InvalidInput, "mode is 'both'"),
        ({"top_k": 3}, InvalidInput, "no filter is called 'top_k'"),
        ({"pages": "many"}, InvalidInput, "pages 'many' is no range"),
    ],
)
async def test_bad_questions_are_named(
    filled: VLM2VecVectorStore, ask: Ask, options: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        await ask(VLM2VecRetriever(vectorstore=filled), **{"input": "a", **options})


def test_bad_settings_are_named(memory_store: VLM2VecVectorStore) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        VLM2VecRetriever(vectorstore=memory_store, k=0)
    with pytest.raises(ValidationError, match="top_k"):
        VLM2VecRetriever(vectorstore=memory_store, top_k=3)


def test_traces_say_what_answers(memory_store: VLM2VecVectorStore) -> None:
    params = VLM2VecRetriever(vectorstore=memory_store)._get_ls_params()
    assert params["ls_vector_store_provider"] == "VLM2VecVectorStore"
    assert params["ls_embedding_provider"] == "VLM2VecEmbeddings"


def test_a_trace_holds_the_model_and_the_scores(filled: VLM2VecVectorStore, tiny: dict[str, Any]) -> None:
    collected = RunCollectorCallbackHandler()
    hits = VLM2VecRetriever(vectorstore=filled, k=2).invoke("emission targets", config={"callbacks": [collected]})
    [run] = collected.traced_runs
    sent = [json.loads(document.model_dump_json()) for document in (run.outputs or {})["documents"]]
    assert [document["score"] for document in sent] == [hit.score for hit in hits]  # type: ignore[attr-defined]
    assert (run.extra or {})["metadata"]["ls_embedding_model"] == filled.library.fingerprint.model
    [embedding] = run.child_runs
    told = (embedding.extra or {})["metadata"]
    assert (embedding.name, told["ls_provider"], told["ls_model_name"]) == ("embed_query", "vlm2vec_rag", tiny["model"])
