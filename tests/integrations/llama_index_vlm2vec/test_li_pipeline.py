"""LlamaIndex's `IngestionPipeline`: what changed is embedded again, what did not is not, in one process or in two."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.node_parser.vlm2vec import MediaNode, MediaNodeParser
from llama_index.readers.vlm2vec import VLM2VecReader
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from PIL import Image


@pytest.fixture
def in_memory(embed_model: VLM2VecEmbedding) -> VLM2VecVectorStore:
    return VLM2VecVectorStore.open(":memory:", embed_model)


def pipeline(embed_model: VLM2VecEmbedding, **settings: Any) -> IngestionPipeline:
    return IngestionPipeline(transformations=[MediaNodeParser(), embed_model], **settings)


def test_the_points_are_those_of_the_index(
    embed_model: VLM2VecEmbedding, in_memory: VLM2VecVectorStore, documents: list[Document], nodes: list[Any]
) -> None:
    made = pipeline(embed_model, vector_store=in_memory).run(documents=documents)
    files = [(each.node_id, each.metadata) for each in nodes if isinstance(each, MediaNode)]
    assert [(each.node_id, each.metadata) for each in made if isinstance(each, MediaNode)] == files
    for one, other in zip(made, nodes, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert in_memory.collection.count() == len(documents)


def test_documents_need_no_parser(embed_model: VLM2VecEmbedding, documents: list[Document], nodes: list[Any]) -> None:
    made = IngestionPipeline(transformations=[embed_model]).run(documents=documents[:6])
    assert [each.node_id for each in made] == [each.node_id for each in nodes[:6]]


def test_only_what_changed_is_embedded_again(
    embed_model: VLM2VecEmbedding, in_memory: VLM2VecVectorStore, tmp_path: Path
) -> None:
    for color in ("red", "blue"):
        Image.new("RGB", (60, 60), color).save(tmp_path / f"{color}.png")
    settings = embed_model.media_settings
    steps = pipeline(
        embed_model,
        vector_store=in_memory,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )

    def run() -> int:
        return len(steps.run(documents=VLM2VecReader(tmp_path, settings=settings).load_data()))

    assert (run(), run()) == (2, 0)
    Image.new("RGB", (60, 60), "green").save(tmp_path / "red.png")
    assert run() == 1
    assert in_memory.collection.count() == 2
    green = embed_model.get_image_embedding(str(tmp_path / "red.png"))
    [changed] = [each for each in in_memory.get_nodes() if each.metadata["file_name"] == "red.png"]
    assert changed.embedding == pytest.approx(green, abs=1e-6)
    (tmp_path / "blue.png").unlink()
    assert run() == 0
    assert [each.metadata["file_name"] for each in in_memory.get_nodes()] == ["red.png"]


def test_two_images_without_words_are_two_to_the_cache(embed_model: VLM2VecEmbedding, media: Path) -> None:
    steps = pipeline(embed_model)
    made = [
        steps.run(documents=VLM2VecReader(media / name, settings=embed_model.media_settings).load_data())
        for name in ("red.png", "blue.png", "red.png")
    ]
    assert [each.metadata["file_name"] for [each] in made] == ["red.png", "blue.png", "red.png"]
    assert made[0][0].embedding == pytest.approx(made[2][0].embedding, abs=1e-6)


def test_an_image_that_changed_since_it_was_loaded_is_stored_as_it_is_now(
    embed_model: VLM2VecEmbedding, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (60, 60), "red").save(path)
    loaded = VLM2VecReader(path, settings=embed_model.media_settings).load_data()
    Image.new("RGB", (60, 60), "blue").save(path)
    [now] = VLM2VecReader(path, settings=embed_model.media_settings).load_data()
    [made] = embed_model(loaded)
    assert made.metadata["content_hash"] == now.metadata["content_hash"]
    assert made.node_id == MediaNodeParser()([now])[0].node_id


@pytest.mark.slow
def test_two_processes_give_the_same_vectors(
    embed_model: VLM2VecEmbedding, documents: list[Document], nodes: list[Any]
) -> None:
    def too_late(*_: object) -> None:
        raise TimeoutError("a worker died, and the pool waits for it for ever")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(240)
    made = pipeline(embed_model).run(documents=documents, num_workers=2)
    signal.alarm(0)
    expected = {each.metadata.get("place"): each.embedding for each in nodes}
    assert len(made) == len(nodes)
    for each in made:
        assert each.embedding == pytest.approx(expected[each.metadata.get("place")], abs=1e-5)
