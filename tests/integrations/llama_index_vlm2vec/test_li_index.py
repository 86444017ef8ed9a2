"""`VLM2VecIndex`: what a chat model is shown, what is kept, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import MockEmbedding, StorageContext
from llama_index.core.schema import ImageNode, MediaResource, Node, QueryBundle, TextNode
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.indices.vlm2vec import VLM2VecIndex
from llama_index.readers.vlm2vec import VLM2VecReader
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.nodes import words
from seeing_llm import Seeing

from vlm2vec_rag.errors import FingerprintMismatch, InvalidInput, MediaError


@pytest.fixture
def index(embed_model: VLM2VecEmbedding, nodes: list[Any]) -> VLM2VecIndex:
    storage = StorageContext.from_defaults(vector_store=VLM2VecVectorStore.open(":memory:", embed_model))
    return VLM2VecIndex(nodes, storage_context=storage, embed_model=embed_model)


async def test_a_chat_model_sees_the_page_the_image_and_the_frames(
    index: VLM2VecIndex, embed_model: VLM2VecEmbedding, nodes: list[Any]
) -> None:
    expected = {"page": 1, "image": 1, "clip": 4, "text": 0}
    model = Seeing()
    engine = index.as_query_engine(llm=model, multimodal=True, similarity_top_k=1)
    for node in nodes[:6]:
        question = QueryBundle("what is it?", embedding=node.embedding)
        for response in (engine.query(question), await engine.aquery(question)):
            assert response.source_nodes[0].node_id == node.node_id
            assert model.shown.count("image") == expected[node.metadata["kind"]]
            assert node.metadata["file_name"] in model.told
            assert words(node) in model.told
            assert all(each.width * each.height <= 1_003_520 for each in model.images())


def test_the_image_shown_is_the_one_found(index: VLM2VecIndex, embed_model: VLM2VecEmbedding, media: Path) -> None:
    model = Seeing()
    engine = index.as_query_engine(llm=model, multimodal=True, similarity_top_k=1)
    for name, color in (("red.png", (254, 0, 0)), ("blue.png", (0, 0, 254))):
        vector = embed_model.get_image_embedding(str(media / name))
        engine.query(QueryBundle("what color is it?", embedding=vector))
        [image] = model.images()
        assert image.getpixel((20, 20)) == pytest.approx(color, abs=3)


def test_how_much_is_shown_can_be_bounded(index: VLM2VecIndex, nodes: list[Any]) -> None:
    clip = next(node for node in nodes if node.metadata["kind"] == "clip")
    model = Seeing()
    small = ImageBudget(max_pixels=2 * 28 * 28 * 8, frames=2)
    engine = index.as_query_engine(llm=model, multimodal=True, similarity_top_k=1, images=small)
    engine.query(QueryBundle("what is it?", embedding=clip.embedding))
    assert len(model.images()) == 2
    assert all(each.width * each.height <= 28 * 28 * 8 for each in model.images())
    with pytest.raises(InvalidInput, match="shows nothing"):
        ImageBudget(frames=0)


def test_a_file_that_is_gone_is_said_and_the_answer_is_made(
    embed_model: VLM2VecEmbedding, media: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(media / "red.png", tmp_path / "red.png")
    loaded = VLM2VecReader(tmp_path, settings=embed_model.media_settings).load_data()
    model = Seeing()
    engine = VLM2VecIndex.from_documents(loaded, embed_model=embed_model).as_query_engine(llm=model, multimodal=True)
    (tmp_path / "red.png").unlink()
    assert engine.query("what is it?").source_nodes
    assert "image" not in model.shown
    assert "(the image itself cannot be shown)" in model.told
    assert "red.png" in caplog.text


def test_a_node_holds_no_pixels_before_and_after(index: VLM2VecIndex) -> None:
    for found in index.as_retriever(similarity_top_k=10).retrieve("which one?"):
        found.node.embedding = None
        found.node.get_content_blocks()
        assert len(found.node.to_json()) < 6000


# what is kept


def test_nodes_of_every_origin_are_found_side_by_side(embed_model: VLM2VecEmbedding, media: Path) -> None:
    red, talk = media / "red.png", media / "talk.mp4"
    index = VLM2VecIndex([TextNode(text="a cat")], embed_model=embed_model)
    index.insert_nodes(
        [
            ImageNode(image_path=str(red)),  # LlamaIndex's own retriever would find this one alone
            Node(video_resource=MediaResource(path=talk)),
            TextNode(text="a dog"),
        ]
    )
    found = index.as_retriever(similarity_top_k=10).retrieve("which one?")
    assert sorted(each.node.metadata.get("kind", each.node.get_content()) for each in found) == [
        "a cat",
        "a dog",
        "clip",
        "image",
    ]


def test_what_has_neither_pixels_nor_words_is_named(
    embed_model: VLM2VecEmbedding, caplog: pytest.LogCaptureFixture
) -> None:
    index = VLM2VecIndex([TextNode(text="a cat"), TextNode(id_="hollow", text="")], embed_model=embed_model)
    assert len(index.as_retriever(similarity_top_k=10).retrieve("which one?")) == 1
    assert "nodes hollow" in caplog.text


def test_indexing_leaves_the_given_nodes_as_they_were(embed_model: VLM2VecEmbedding) -> None:
    given = TextNode(text="a cat")
    VLM2VecIndex([given], embed_model=embed_model)
    assert given.embedding is None


# questions


async def test_an_image_is_a_question(index: VLM2VecIndex, embed_model: VLM2VecEmbedding, media: Path) -> None:
    path = str(media / "red.png")
    retrievers = [index.as_retriever(similarity_top_k=7), _over(index, embed_model)]
    for retriever in retrievers:
        for asked in (QueryBundle("", image_path=path), embed_model.query_bundle(image=path)):
            found = retriever.retrieve(asked)
            assert len({each.score for each in found}) > 1
            awaited = await retriever.aretrieve(asked)
            assert [each.node_id for each in awaited] == [each.node_id for each in found]
            expected = embed_model.query_bundle(image=path).embedding
            again = retriever.retrieve(QueryBundle("", embedding=expected))
            assert [each.node_id for each in again] == [each.node_id for each in found]


@pytest.mark.parametrize("asked", ["", " ", QueryBundle("")])
async def test_an_agent_that_asks_for_nothing_finds_nothing(
    index: VLM2VecIndex, embed_model: VLM2VecEmbedding, asked: str | QueryBundle
) -> None:
    for retriever in (index.as_retriever(), _over(index, embed_model)):
        assert retriever.retrieve(asked) == await retriever.aretrieve(asked) == []


async def test_a_path_as_a_question_is_searched_as_words(
    index: VLM2VecIndex, embed_model: VLM2VecEmbedding, media: Path
) -> None:
    for retriever in (index.as_retriever(), _over(index, embed_model)):
        for asked in ("red.png", str(media / "red.png"), "https://example.org/red.png"):
            found = retriever.retrieve(asked)
            assert found and [each.node_id for each in await retriever.aretrieve(asked)] == [
                each.node_id for each in found
            ]


def test_an_image_that_cannot_be_read_is_named(index: VLM2VecIndex, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.png"):
        index.as_retriever().retrieve(QueryBundle("", image_path=str(tmp_path / "gone.png")))


# what does not fit


def test_a_missing_embedding_is_ours_and_not_openais(embed_model: VLM2VecEmbedding, nodes: list[Any]) -> None:
    with pytest.raises(InvalidInput, match=r"embed_model=VLM2VecEmbedding"):
        VLM2VecIndex([TextNode(text="a")])
    store = VLM2VecVectorStore.open(":memory:", embed_model)
    index = VLM2VecIndex.from_vector_store(store)
    index.insert_nodes(nodes)
    assert index.embed_model.fingerprint == embed_model.fingerprint
    assert len(index.as_retriever(similarity_top_k=9).retrieve("anything")) == len(nodes)


def test_another_embedding_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a VLM2VecEmbedding"):
        VLM2VecIndex([TextNode(text="a")], embed_model=MockEmbedding(4))


def test_a_store_of_another_model_is_refused(
    index: VLM2VecIndex, embed_model: VLM2VecEmbedding, tiny_base: Path
) -> None:
    other = VLM2VecEmbedding(tiny_base, device="cpu", dtype="float32", max_pixels=embed_model.max_pixels, frames=4)
    wrong = VLM2VecIndex.from_vector_store(index.vector_store, other)
    for use in (
        lambda: wrong.as_retriever().retrieve("a cat"),
        lambda: wrong.insert_nodes([TextNode(text="a cat")]),
        lambda: _over(index, other).retrieve("a cat"),
    ):
        with pytest.raises(FingerprintMismatch, match="adapter"):
            use()


def _over(index: VLM2VecIndex, embed_model: VLM2VecEmbedding | None, **settings: Any) -> VLM2VecRetriever:
    return VLM2VecRetriever(index.vector_store.library, embed_model, similarity_top_k=7, **settings)  # type: ignore[attr-defined]
