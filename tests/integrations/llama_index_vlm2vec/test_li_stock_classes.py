"""LlamaIndex's own classes over this package's store, nodes and documents: what they do with them holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.chat_engine import MultiModalCondensePlusContextChatEngine, MultiModalContextChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.indices.multi_modal import MultiModalVectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.readers import SimpleDirectoryReader
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.indices.vlm2vec import VLM2VecIndex
from llama_index.node_parser.vlm2vec import MediaNodeParser
from llama_index.readers.vlm2vec import VLM2VecReader
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from llama_index_vlm2vec.stamps import STAMP
from PIL import Image
from seeing_llm import Seeing

from vlm2vec_rag.errors import InvalidInput

PLACES = {"report.pdf#page=1", "report.pdf#page=2", "red.png", "blue.png", "talk.mp4#t=0,3", "note.md#char=0,31"}


@pytest.fixture
def store(embed_model: VLM2VecEmbedding) -> Iterator[VLM2VecVectorStore]:
    made = VLM2VecVectorStore.open(":memory:", embed_model)
    yield made
    made.close()


def over(store: VLM2VecVectorStore) -> StorageContext:
    return StorageContext.from_defaults(vector_store=store)


def places(found: list[NodeWithScore]) -> set[str]:
    return {each.node.metadata.get("place", each.node_id).rpartition("/")[2] for each in found}


def held(store: VLM2VecVectorStore) -> dict[str, Any]:
    """What the store's points hold, by place: the vector, and whether it was made of that content."""
    points = store.collection.scroll(with_vectors=True)
    return {point.payload.place.rpartition("/")[2]: point for point in points}


def are_of_pixels(store: VLM2VecVectorStore, nodes: list[Any]) -> None:
    """Every file's vector is the one that the model makes of what it shows."""
    points = held(store)
    for node in nodes[:6]:
        point = points[node.metadata["place"].rpartition("/")[2]]
        assert point.vector == pytest.approx(node.embedding, abs=1e-5), node.metadata["place"]
        assert point.payload.encoded


# 1 and 3: the stock indexes find everything, and embed pixels as pixels


def test_vector_store_index_from_documents(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, documents: list[Document], nodes: list[Any]
) -> None:
    index = VectorStoreIndex.from_documents(documents, over(store), embed_model=embed_model)
    found = index.as_retriever(similarity_top_k=10).retrieve("anything")
    assert places(found) > PLACES and len(found) == len(documents)
    are_of_pixels(store, nodes)


async def test_vector_store_index_of_parsed_nodes_sync_and_awaited(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, documents: list[Document], nodes: list[Any]
) -> None:
    parsed = MediaNodeParser()(documents)
    index = VectorStoreIndex(parsed[:3], storage_context=over(store), embed_model=embed_model)
    await index.ainsert_nodes(parsed[3:])
    are_of_pixels(store, nodes)
    again = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
    for each in (index, again):
        assert places(await each.as_retriever(similarity_top_k=10).aretrieve("anything")) > PLACES


def test_multi_modal_vector_store_index(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, documents: list[Document], nodes: list[Any], media: Path
) -> None:
    index = MultiModalVectorStoreIndex(
        MediaNodeParser()(documents),
        storage_context=over(store),
        embed_model=embed_model,
        image_vector_store=store,
        image_embed_model=embed_model,
    )
    are_of_pixels(store, nodes)
    retriever = index.as_retriever(similarity_top_k=10, image_similarity_top_k=10)
    assert places(retriever.retrieve("anything")) > PLACES
    filled = MultiModalVectorStoreIndex.from_vector_store(
        store, embed_model, image_vector_store=store, image_embed_model=embed_model
    )
    images = filled.as_retriever(image_similarity_top_k=1).image_to_image_retrieve(str(media / "blue.png"))
    assert places(images) == {"blue.png"}


def test_vectors_of_another_model_are_never_kept(
    store: VLM2VecVectorStore, documents: list[Document], nodes: list[Any]
) -> None:
    other = MockEmbedding(embed_dim=store.collection.dim)
    VectorStoreIndex.from_documents(documents, over(store), embed_model=other)
    are_of_pixels(store, nodes)
    [apple] = [point for place, point in held(store).items() if place.startswith("document:")]
    assert apple.vector == pytest.approx(nodes[6].embedding, abs=1e-5)


def test_an_index_that_asks_with_another_embedding_is_told_the_stores_own(
    store: VLM2VecVectorStore, nodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(nodes)
    foreign = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(embed_dim=store.collection.dim + 1))
    with pytest.raises(InvalidInput, match=r"another embedding asks.*embed_model=store\.embed_model"):
        foreign.as_retriever().retrieve("a cat")
    # where none is named, LlamaIndex loads OpenAI's before it looks at the store; ours say what is missing
    monkeypatch.setattr(Settings, "_embed_model", None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises((ValueError, ImportError), match=r"(?i)openai"):
        VectorStoreIndex.from_vector_store(store)
    with pytest.raises(InvalidInput, match=r"embed_model is missing.*embed_model=VLM2VecEmbedding"):
        VLM2VecIndex(nodes)
    assert VLM2VecIndex.from_vector_store(store).as_retriever().retrieve("a cat")
    own = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
    assert own.as_retriever().retrieve("a cat")


def test_a_stamp_holds_for_its_content_and_its_vector_only(store: VLM2VecVectorStore, nodes: list[Any]) -> None:
    swapped = [node.model_copy(deep=True) for node in nodes[:2]]
    swapped[0].embedding, swapped[1].embedding = swapped[1].embedding, swapped[0].embedding
    forged = nodes[2].model_copy(deep=True)
    forged.metadata[STAMP] = nodes[3].metadata[STAMP]
    forged.embedding = nodes[3].embedding
    store.add([*swapped, forged])
    points = held(store)
    for node in nodes[:3]:
        assert points[node.metadata["place"].rpartition("/")[2]].vector == pytest.approx(node.embedding, abs=1e-5)


def test_stamped_nodes_need_no_model_and_others_are_refused_by_name(
    embed_model: VLM2VecEmbedding, nodes: list[Any], tmp_path: Path
) -> None:
    VLM2VecVectorStore.open(tmp_path / "c", embed_model).close()
    store = VLM2VecVectorStore.open(tmp_path / "c", model="none")
    assert len(store.add(nodes)) == len(nodes)
    bare = nodes[0].model_copy(deep=True)
    del bare.metadata[STAMP]
    with pytest.raises(InvalidInput, match=f"node {bare.node_id} has no embedding that VLM2VecEmbedding made"):
        store.add([bare])
    store.close()


def test_pieces_of_a_page_are_texts_with_their_place(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, documents: list[Document]
) -> None:
    page = next(each for each in documents if each.metadata.get("page") == 2)
    splitter = SentenceSplitter(chunk_size=90, chunk_overlap=0)
    long = page.model_copy(deep=True)
    long.set_content(" ".join(f"Sentence {number} says that emissions fall." for number in range(20)))
    VectorStoreIndex.from_documents([long], over(store), embed_model=embed_model, transformations=[splitter])
    points = list(store.collection.scroll())
    assert len(points) > 2 and {point.payload.kind for point in points} == {"text"}
    assert len({tuple(point.payload.content_hash) for point in points}) == len(points)
    found = VectorStoreIndex.from_vector_store(store, embed_model=embed_model).as_retriever().retrieve("emissions")
    assert places(found) == {"report.pdf#page=2"}
    assert {(each.node.metadata["kind"], each.node.metadata["page"]) for each in found} == {("text", 2)}
    assert all("Sentence" in each.text for each in found)


# 2: ids of one's own


def mine(media: Path, embed_model: VLM2VecEmbedding) -> list[Document]:
    loaded = VLM2VecReader(media, settings=embed_model.media_settings).load_data()
    for number, document in enumerate(loaded):
        document.id_ = f"my-{number}"
    return loaded


def test_documents_are_deleted_updated_and_refreshed_by_ids_of_ones_own(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, tmp_path: Path
) -> None:
    for color in ("red", "blue", "green"):
        Image.new("RGB", (60, 60), color).save(tmp_path / f"{color}.png")
    index = VLM2VecIndex.from_documents(mine(tmp_path, embed_model), over(store))
    assert {node.ref_doc_id for node in store.get_nodes()} == {"my-0", "my-1", "my-2"}
    index.delete_ref_doc("my-0", delete_from_docstore=True)
    assert set(held(store)) == {"green.png", "red.png"}
    Image.new("RGB", (60, 60), "yellow").save(tmp_path / "green.png")
    assert index.refresh_ref_docs(mine(tmp_path, embed_model)) == [True, True, False]
    points = held(store)
    assert set(points) == {"blue.png", "green.png", "red.png"} and store.collection.count() == 3
    [yellow] = [each for each in mine(tmp_path, embed_model) if each.metadata["file_name"] == "green.png"]
    assert points["green.png"].payload.content_hash == yellow.metadata["content_hash"]
    index.update_ref_doc(yellow)
    assert store.collection.count() == 3
    for key in ("ref_doc_id", "doc_id"):
        wanted = MetadataFilters(filters=[MetadataFilter(key=key, value="my-2")])
        assert [node.metadata["file_name"] for node in store.get_nodes(filters=wanted)] == ["red.png"]
    assert [node.ref_doc_id for node in store.get_nodes(["no such node"])] == []


@pytest.mark.parametrize("filename_as_id", [False, True])
@pytest.mark.parametrize("strategy", [DocstoreStrategy.UPSERTS, DocstoreStrategy.UPSERTS_AND_DELETE])
def test_a_pipeline_leaves_nothing_stale(
    store: VLM2VecVectorStore,
    embed_model: VLM2VecEmbedding,
    tmp_path: Path,
    strategy: DocstoreStrategy,
    filename_as_id: bool,
) -> None:
    for color in ("red", "blue"):
        Image.new("RGB", (60, 60), color).save(tmp_path / f"{color}.png")
    steps = IngestionPipeline(
        transformations=[MediaNodeParser(), embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=strategy,
    )

    def run() -> int:
        reader = VLM2VecReader(settings=embed_model.media_settings)
        loaded = SimpleDirectoryReader(
            str(tmp_path), file_extractor={".png": reader}, filename_as_id=filename_as_id
        ).load_data()
        if not filename_as_id:
            for document in loaded:
                document.id_ = f"my-{document.metadata['file_name']}"
        return len(steps.run(documents=loaded))

    assert (run(), run()) == (2, 0)
    Image.new("RGB", (60, 60), "yellow").save(tmp_path / "red.png")
    (tmp_path / "blue.png").unlink()
    assert run() == 1
    stays = {"red.png"} if strategy == DocstoreStrategy.UPSERTS_AND_DELETE else {"red.png", "blue.png"}
    assert set(held(store)) == stays and store.collection.count() == len(stays)


# 4: kept and loaded again


@pytest.mark.parametrize("is_ours", [True, False], ids=["our store", "LlamaIndex's own store"])
def test_an_index_is_loaded_from_storage_as_what_it_was(
    embed_model: VLM2VecEmbedding, nodes: list[Any], tmp_path: Path, is_ours: bool
) -> None:
    def opened() -> Any:
        return VLM2VecVectorStore.open(tmp_path / "c", embed_model)

    stores: dict[str, Any] = {"vector_store": opened()} if is_ours else {}
    index = VLM2VecIndex(nodes, storage_context=StorageContext.from_defaults(**stores), embed_model=embed_model)
    index.storage_context.persist(tmp_path / "kept")
    if is_ours:
        stores["vector_store"].close()
        stores = {"vector_store": opened()}
    context = StorageContext.from_defaults(persist_dir=str(tmp_path / "kept"), **stores)
    loaded = load_index_from_storage(context, embed_model=embed_model)
    assert type(loaded) is VLM2VecIndex
    found = loaded.as_retriever(similarity_top_k=10).retrieve("anything")
    assert places(found) > PLACES and len(found) == len(nodes)
    seen = next(each.node for each in found if each.node.metadata.get("file_name") == "red.png")
    assert [block.block_type for block in seen.get_content_blocks()] == ["image"]
    if is_ours:
        stores["vector_store"].close()


# 5: what chat engines show to their model


@pytest.mark.parametrize("engine", [MultiModalContextChatEngine, MultiModalCondensePlusContextChatEngine])
async def test_multi_modal_chat_engines_show_the_images(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[Any], engine: Any
) -> None:
    store.add(nodes)
    model = Seeing()
    filters = MetadataFilters(filters=[MetadataFilter(key="kind", value="image")])
    for index in (VLM2VecIndex.from_vector_store(store), VectorStoreIndex.from_vector_store(store, embed_model)):
        retriever = index.as_retriever(similarity_top_k=2, filters=filters)
        chat = engine.from_defaults(retriever=retriever, multi_modal_llm=model, memory=ChatMemoryBuffer.from_defaults())
        assert "what is red?" in (chat.chat("what is red?").response or "")
        colors = sorted(image.getpixel((20, 20)) for image in model.images())
        assert colors == [pytest.approx((0, 0, 254), abs=3), pytest.approx((254, 0, 0), abs=3)]
        await chat.achat("and what is blue?")
        assert len(model.images()) == 2


def test_every_kind_that_is_seen_is_an_image_node_whose_pixels_wait(
    store: VLM2VecVectorStore, nodes: list[Any], media: Path, tmp_path: Path
) -> None:
    store.add(nodes)
    for node in store.get_nodes():
        kind = node.metadata.get("kind")
        assert isinstance(node, ImageNode) == (kind in ("page", "image", "clip"))
        if not isinstance(node, ImageNode):
            continue
        assert len(node.to_json()) < 10_000 and '"image": null' in node.to_json()
        image = Image.open(node.resolve_image())
        assert image.width * image.height <= 1_003_520
        if kind == "clip":  # its frames in rows of two
            assert image.width > 64 and image.height > 36
    shutil.copy(media / "red.png", tmp_path / "gone.png")
    [gone] = MediaNodeParser()(VLM2VecReader(tmp_path).load_data())
    store.add([gone])
    (tmp_path / "gone.png").unlink()
    [node] = store.get_nodes([gone.node_id])
    assert isinstance(node, ImageNode) and node.image  # a grey square, and a line in the log


# and what worked stays


def test_query_fusion_over_two_retrievers_keeps_every_image(store: VLM2VecVectorStore, nodes: list[Any]) -> None:
    store.add(nodes)
    index = VLM2VecIndex.from_vector_store(store)
    Settings.llm = Seeing()
    fusion = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=10), index.as_retriever(vector_store_query_mode="sparse")],
        similarity_top_k=10,
        num_queries=1,
        use_async=False,
    )
    assert places(fusion.retrieve("emission targets")) > PLACES


# an agent asks for file names, full paths and nothing at all, and goes on

ODD_QUESTIONS = ["", "  \n", "report.pdf", "{}/red.png", "./talk.mp4", "file://{}/red.png", "https://example.org/a.png"]


@pytest.mark.parametrize("is_ours", [True, False], ids=["our store", "LlamaIndex's own store"])
async def test_stock_retrievers_and_their_tools_take_whatever_an_agent_asks(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[Any], media: Path, is_ours: bool
) -> None:
    store.add(nodes)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model) if is_ours else None
    index = index or VectorStoreIndex(nodes, embed_model=embed_model)
    for mode in ("default", "hybrid", "mmr") if is_ours else ("default",):
        retriever = index.as_retriever(similarity_top_k=2, vector_store_query_mode=mode)
        tool = RetrieverTool.from_defaults(retriever, name="search", description="Searches.")
        engine = RetrieverQueryEngine.from_args(retriever, llm=Seeing())
        ask = QueryEngineTool.from_defaults(engine, name="ask")
        for question in (each.format(media) for each in ODD_QUESTIONS):
            if not (question or is_ours):
                continue  # LlamaIndex asks no embedding about "", and its own store then multiplies None
            answers = [tool(question), await tool.acall(question), ask(question), await ask.acall(question)]
            assert not any(answer.is_error for answer in answers), question
            if question.strip() or is_ours:
                found = [len(answer.raw_output) for answer in answers[:2]]
                assert found == ([2, 2] if question.strip() else [0, 0]), question
        several = QueryBundle("a", custom_embedding_strs=["", str(media / "red.png")])
        assert len(retriever.retrieve(several)) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's workflows look at all that an agent has
async def test_an_agent_goes_on_after_a_path_and_after_nothing(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding, nodes: list[Any], media: Path
) -> None:
    store.add(nodes)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
    tool = RetrieverTool.from_defaults(index.as_retriever(), name="search", description="Searches.")
    asked = ["", str(media / "red.png"), "emission targets"]
    replies = [
        ChatMessage(blocks=[ToolCallBlock(tool_name="search", tool_kwargs={"input": question})]) for question in asked
    ]
    script = iter([*replies, ChatMessage("Enough.")])
    llm = MockFunctionCallingLLM(is_chat_model=True, response_generator=lambda *_, **__: next(script))
    answer = await FunctionAgent(tools=[tool], llm=llm).run("What is in the report?")
    assert [each.tool_output.is_error for each in answer.tool_calls] == [False] * 3
    assert str(answer) == "Enough."
