"""`VLM2VecEmbedding`: what it gives, what it refuses, and how it travels."""

from __future__ import annotations

import asyncio
import copy
import pickle
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import ImageNode, MediaResource, Node, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from PIL import Image

from vlm2vec_rag.errors import EmptyInput, InvalidInput, MediaError, ModelNotFound, UnsupportedMedia
from vlm2vec_rag.items import Query
from vlm2vec_rag.media import MediaReader
from vlm2vec_rag.words import is_blank_vector


def near(vector: Any) -> Any:
    return pytest.approx(np.asarray(vector).tolist(), abs=1e-6)


def test_it_is_a_multimodal_embedding(embed_model: VLM2VecEmbedding) -> None:
    assert isinstance(embed_model, MultiModalEmbedding)


@pytest.mark.parametrize(
    ("one", "many", "inputs"),
    [
        ("get_text_embedding", "get_text_embedding_batch", lambda media: ["a cat", "a dog", "two dogs"]),
        (
            "get_image_embedding",
            "get_image_embedding_batch",
            lambda media: [str(media / "red.png"), str(media / "blue.png")],
        ),
        ("get_video_embedding", "get_video_embeddings", lambda media: [media / "talk.mp4", str(media / "talk.mp4")]),
    ],
    ids=["text", "image", "video"],
)
async def test_one_or_many_sync_or_async_the_vectors_are_the_same(
    embed_model: VLM2VecEmbedding, media: Path, one: str, many: str, inputs: Callable[[Path], list[Any]]
) -> None:
    given = inputs(media)
    expected = [getattr(embed_model, one)(each) for each in given]
    assert np.linalg.norm(expected, axis=1) == pytest.approx(1.0, abs=1e-6)
    small_batches = embed_model.model_copy(update={"embed_batch_size": 2})
    for batch in (
        getattr(small_batches, many)(given),
        await getattr(small_batches, f"a{many}")(given),
        await asyncio.gather(*[getattr(embed_model, f"a{one}")(each) for each in given]),
    ):
        np.testing.assert_allclose(batch, expected, atol=1e-6)


async def test_the_vectors_are_the_librarys_own(embed_model: VLM2VecEmbedding, media: Path) -> None:
    encoder = embed_model.encoder
    with MediaReader(embed_model.media_settings) as reader:
        image = reader.image(media / "red.png")
        clip = reader.clip(media / "talk.mp4", 0.0, 3.0)
    text, seen, video = encoder.encode_items(["a cat", image, clip])
    assert embed_model.get_text_embedding("a cat") == near(text)
    assert embed_model.get_image_embedding(str(media / "red.png")) == near(seen)
    assert embed_model.get_image_embedding(BytesIO((media / "red.png").read_bytes())) == near(seen)
    assert embed_model.get_video_embedding(media / "talk.mp4") == near(video)

    questions = [
        (Query(text="a cat"), {"text": "a cat"}),
        (Query(image=image.image), {"image": media / "red.png"}),
        (Query(image=image.image), {"image": Image.open(media / "red.png")}),
        (Query(text="at night", image=image.image), {"text": "at night", "image": str(media / "red.png")}),
        (Query(frames=clip.frames), {"clip": media / "talk.mp4"}),
        (Query(text="later", frames=clip.frames), {"text": "later", "clip": str(media / "talk.mp4")}),
    ]
    for query, asked in questions:
        [expected] = encoder.encode_queries([query])
        for bundle in (embed_model.query_bundle(**asked), await embed_model.aquery_bundle(**asked)):  # type: ignore[arg-type]
            assert bundle.embedding == near(expected)
            assert bundle.query_str == query.text
    assert embed_model.get_query_embedding("a cat") == near(encoder.encode_queries(["a cat"])[0])


def test_a_question_and_a_text_of_the_same_words_differ(embed_model: VLM2VecEmbedding) -> None:
    question, text = embed_model.get_query_embedding("a cat"), embed_model.get_text_embedding("a cat")
    assert np.dot(question, text) < 0.99


def test_what_a_question_looks_for_and_its_own_instruction_change_its_vector(embed_model: VLM2VecEmbedding) -> None:
    plain = embed_model.get_query_embedding("a cat")
    for change in ({"target": "clip"}, {"query_instruction": "Find a pet:"}):
        other = embed_model.model_copy(update=change)
        assert np.dot(other.get_query_embedding("a cat"), plain) < 0.99
        assert other.get_text_embedding("a cat") == near(embed_model.get_text_embedding("a cat"))


def test_nothing_is_loaded_before_the_first_vector() -> None:
    embed_model = VLM2VecEmbedding("no/such-model")
    assert embed_model.to_dict()["model_name"] == "no/such-model"
    with pytest.raises(ModelNotFound, match="no/such-model"):
        embed_model.get_text_embedding("a cat")


def test_a_misspelt_setting_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"no setting 'devise'; expected some of adapter, .*device"):
        VLM2VecEmbedding(devise="cuda")


def test_two_of_the_same_model_share_it(embed_model: VLM2VecEmbedding) -> None:
    again = VLM2VecEmbedding.from_dict(embed_model.to_dict())
    assert again.encoder is embed_model.encoder


@pytest.mark.parametrize("copied", [lambda each: pickle.loads(pickle.dumps(each)), copy.copy, copy.deepcopy])
def test_a_copy_gives_the_same_vectors(embed_model: VLM2VecEmbedding, copied: Any, caplog: Any) -> None:
    embed_model.get_text_embedding("load it first")
    again = copied(embed_model)
    assert again.to_dict() == embed_model.to_dict()
    assert again.get_text_embedding("a cat") == near(embed_model.get_text_embedding("a cat"))
    assert not caplog.records


def test_one_around_a_loaded_encoder_works_and_is_not_pickled(encoder: Any) -> None:
    embed_model = VLM2VecEmbedding.from_encoder(encoder)
    assert embed_model.get_text_embedding("a cat") == near(encoder.encode_items(["a cat"])[0])
    with pytest.raises(InvalidInput, match="name the model instead"):
        pickle.dumps(embed_model)


def test_a_cache_that_knows_only_the_text_is_refused(embed_model: VLM2VecEmbedding) -> None:
    with pytest.raises(InvalidInput, match="embeddings_cache"):
        VLM2VecEmbedding(embeddings_cache=SimpleKVStore())
    with pytest.raises(InvalidInput, match="embeddings_cache"):
        embed_model.model_copy().embeddings_cache = SimpleKVStore()


@pytest.mark.parametrize(
    "change",
    [
        {"model_name": "another"},
        {"adapter": None},
        {"revision": "main"},
        {"dtype": "bfloat16"},
        {"max_pixels": 100 * 28 * 28},
        {"frames": 8},
        {"target": "page"},
        {"query_instruction": "Find:"},
        {"media": {"supersample": 2.0}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_its_dict_tells_apart_what_changes_a_vector(embed_model: VLM2VecEmbedding, change: dict[str, Any]) -> None:
    settings = {name: value for name, value in embed_model.to_dict().items() if name != "class_name"}
    other = VLM2VecEmbedding.from_dict(settings | change)
    assert other.to_dict() != embed_model.to_dict()
    assert VLM2VecEmbedding.from_dict(other.to_dict()).to_dict() == other.to_dict()


def test_its_dict_tells_weights_apart_that_were_trained_in_place(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_adapter, folder)
    embed_model = VLM2VecEmbedding(tiny_base, adapter=folder)
    before = embed_model.to_dict()
    weights = folder / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert embed_model.to_dict() != before


def test_its_dict_holds_no_password(embed_model: VLM2VecEmbedding) -> None:
    from dataclasses import replace

    secret = embed_model.model_copy(update={"media": replace(embed_model.media, passwords="hunter2")})
    assert "hunter2" not in str(secret.to_dict())
    assert "hunter2" not in repr(secret)
    assert pickle.loads(pickle.dumps(secret)).media.passwords == ("hunter2",)


# nothing a question says is opened


@pytest.mark.parametrize("shape", ["{}", "file://{}", " {} "])
async def test_a_path_or_address_as_a_question_is_words_and_not_opened(
    embed_model: VLM2VecEmbedding, media: Path, shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = shape.format(media / "red.png")
    expected = near(embed_model.encoder.encode_queries([asked])[0])
    assert embed_model.get_query_embedding(asked) == expected
    assert await embed_model.aget_query_embedding(asked) == expected
    assert embed_model.query_bundle(asked).embedding == expected
    assert embed_model.get_agg_embedding_from_queries([asked]) == expected
    assert len([each for each in caplog.messages if "red.png" in each and "searched as words" in each]) == 4
    assert embed_model.get_text_embedding(asked) != near(embed_model.get_image_embedding(str(media / "red.png")))


@pytest.mark.parametrize("empty", ["", "  \n"])
async def test_an_empty_question_has_a_vector_that_says_so_and_an_empty_text_is_refused(
    embed_model: VLM2VecEmbedding, empty: str
) -> None:
    made = [
        embed_model.get_query_embedding(empty),
        await embed_model.aget_query_embedding(empty),
        embed_model.query_bundle(empty).embedding,
    ]
    assert all(len(each or ()) == embed_model.encoder.dim and is_blank_vector(each) for each in made)  # type: ignore[arg-type]
    with pytest.raises(EmptyInput):
        embed_model.get_text_embedding(empty)


def test_an_image_and_a_clip_at_once_are_refused(embed_model: VLM2VecEmbedding, media: Path) -> None:
    with pytest.raises(InvalidInput, match="both image and clip"):
        embed_model.query_bundle(image=media / "red.png", clip=media / "talk.mp4")


def test_a_file_that_cannot_be_read_is_named(embed_model: VLM2VecEmbedding, media: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes((media / "red.png").read_bytes()[:60])
    with pytest.raises(MediaError, match=r"broken\.png"):
        embed_model.get_image_embedding(str(broken))
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        embed_model.get_video_embedding(tmp_path / "gone.mp4")
    with pytest.raises(UnsupportedMedia, match=r"red\.png is a png file; expected a video"):
        embed_model.get_video_embedding(media / "red.png")
    with pytest.raises(UnsupportedMedia, match="nothing is downloaded"):
        embed_model.get_image_embedding("https://example.org/cat.png")


# nodes of other readers


def test_nodes_of_other_readers_are_embedded_by_what_they_show(embed_model: VLM2VecEmbedding, media: Path) -> None:
    red, talk = str(media / "red.png"), str(media / "talk.mp4")
    given = [
        TextNode(text="a cat", metadata={"author": "Ada"}),
        ImageNode(image_path=red, text="a red wall", metadata={"author": "Ada"}),
        Node(image_resource=MediaResource(path=Path(red))),
        Node(video_resource=MediaResource(path=Path(talk))),
    ]
    text, image, resource, video = embed_model(given)
    assert text.embedding == near(embed_model.get_text_embedding("author: Ada\n\na cat"))
    assert image.embedding == resource.embedding == near(embed_model.get_image_embedding(red))
    assert video.embedding == near(embed_model.get_video_embedding(talk))
    assert image.metadata["kind"] == "image"
    assert image.metadata["author"] == "Ada"
    assert image.get_content() == "a red wall"
    assert video.metadata["place"] == f"{talk}#t=0,3"


@pytest.mark.parametrize(
    "node",
    [
        ImageNode(id_="n1", image="aGVsbG8="),
        ImageNode(id_="n1", image_url="https://example.org/cat.png"),
        Node(id_="n1", image_resource=MediaResource(url="https://example.org/cat.png")),
    ],
    ids=["bytes", "address", "resource"],
)
def test_a_node_without_a_file_is_refused_and_nothing_is_downloaded(embed_model: VLM2VecEmbedding, node: Any) -> None:
    with pytest.raises(InvalidInput, match="n1 holds its image in memory or as an address"):
        embed_model([node])


def test_an_empty_node_is_named(embed_model: VLM2VecEmbedding) -> None:
    with pytest.raises(EmptyInput, match="node n1"):
        embed_model([TextNode(id_="n1", text=" ")])
