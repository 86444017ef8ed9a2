"""The embeddings give the encoder's vectors, load late, are shared and pickled, and tell LangChain's callbacks."""

from __future__ import annotations

import asyncio
import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_vlm2vec import VLM2VecEmbeddings
from PIL import Image
from pydantic import ValidationError

from vlm2vec_rag import Clip, Query
from vlm2vec_rag import Image as ImageItem
from vlm2vec_rag.errors import EmptyInput, InvalidInput, MediaError, ModelNotFound, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaReader, MediaSettings


class Runs(BaseCallbackHandler):
    """Notes the runs it is told of."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def on_chain_start(self, serialized: Any, inputs: Any, *, name: str = "", **kwargs: Any) -> None:
        self.seen.append((f"start {name}", inputs))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.seen.append(("end", outputs))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.seen.append(("error", error))


def test_texts_and_questions_have_the_encoders_own_vectors(embeddings: VLM2VecEmbeddings) -> None:
    encoder = embeddings.load()
    np.testing.assert_allclose(embeddings.embed_documents(["a", "b c"]), encoder.encode_items(["a", "b c"]), atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query("a car"), encoder.encode_queries(["a car"])[0], atol=1e-6)
    as_page = embeddings.model_copy(update={"target": "image"}).embed_query("a car")
    np.testing.assert_allclose(as_page, encoder.encode_queries(["a car"], target="image")[0], atol=1e-6)
    assert not np.allclose(as_page, embeddings.embed_query("a car"), atol=1e-3)


def test_an_image_has_the_vector_of_its_pixels(embeddings: VLM2VecEmbeddings, media: Path) -> None:
    images = [ImageItem(image=Image.open(media / name).convert("RGB")) for name in ("red.png", "blue.png")]
    expected = embeddings.load().encode_items(images)
    assert not np.allclose(expected[0], expected[1], atol=1e-3)
    uris = [media / "red.png", (media / "blue.png").as_uri()]
    np.testing.assert_allclose(embeddings.embed_image(uris), expected, atol=1e-5)


def test_a_video_is_one_clip_from_start_to_end(embeddings: VLM2VecEmbeddings, media: Path) -> None:
    with MediaReader(MediaSettings(max_pixels=embeddings.max_pixels, frames=4)) as reader:
        [item] = reader.items(media / "talk.mp4")
    assert isinstance(item, Clip)
    expected = embeddings.load().encode_items([item])
    np.testing.assert_allclose(embeddings.embed_video([str(media / "talk.mp4")]), expected, atol=1e-5)


async def test_awaited_they_are_the_same_and_the_event_loop_goes_on(embeddings: VLM2VecEmbeddings, media: Path) -> None:
    steps = 0

    async def count() -> None:
        nonlocal steps
        while True:
            await asyncio.sleep(0.001)
            steps += 1

    counting = asyncio.create_task(count())
    image = [media / "red.png"]
    awaited = [
        await embeddings.aembed_documents(["a"]),
        await embeddings.aembed_image(image),
        await embeddings.aembed_video([media / "talk.mp4"]),
        [await embeddings.aembed_query("a")],
    ]
    counting.cancel()
    expected = [
        embeddings.embed_documents(["a"]),
        embeddings.embed_image(image),
        embeddings.embed_video([media / "talk.mp4"]),
        [embeddings.embed_query("a")],
    ]
    for mine, theirs in zip(awaited, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert steps >= 20  # reading an image and a film alone takes over 100 ms


def test_the_model_is_loaded_at_first_use_and_shared(tiny: dict[str, Any]) -> None:
    one, other = VLM2VecEmbeddings(**tiny), VLM2VecEmbeddings(**tiny)
    assert one._loaded is None
    assert one.load() is other.load()
    assert copy.deepcopy(one).load() is one.load()


def test_a_pickled_copy_gives_the_same_vectors(tiny: dict[str, Any]) -> None:
    embeddings = VLM2VecEmbeddings(**tiny)
    expected = embeddings.embed_query("a car")
    data = pickle.dumps(embeddings)
    assert len(data) < 2_000  # settings, no weights
    again = pickle.loads(data)
    assert again._loaded is None and again.model_dump() == embeddings.model_dump()
    np.testing.assert_allclose(again.embed_query("a car"), expected, atol=1e-6)


def test_a_loaded_encoder_is_taken_as_it_is_and_not_pickled(encoder: Any) -> None:
    embeddings = VLM2VecEmbeddings(encoder=encoder)
    assert embeddings.load() is encoder
    with pytest.raises(InvalidInput, match="cannot be pickled; name the model instead"):
        pickle.dumps(embeddings)


def test_a_misspelt_setting_and_a_missing_model_are_named(tiny: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="max_pixel\n"):
        VLM2VecEmbeddings(max_pixel=3)
    with pytest.raises(ValidationError, match="target"):
        VLM2VecEmbeddings(target="song")
    with pytest.raises(ModelNotFound, match="no/where"):
        VLM2VecEmbeddings(model="no/where").embed_query("a")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda each, media: each.embed_query(None), InvalidInput, "question is a NoneType"),
        (lambda each, media: each.embed_documents(["a", ""]), EmptyInput, "item 1"),
        (lambda each, media: each.embed_documents("abc"), InvalidInput, "single text 'abc'"),
        (lambda each, media: each.embed_image([media / "gone.png"]), UnreadableMedia, r"gone\.png"),
        (lambda each, media: each.embed_image([media / "talk.mp4"]), InvalidInput, r"talk\.mp4"),
        (lambda each, media: each.embed_video([media / "red.png"]), MediaError, r"red\.png is a png file"),
        (
            lambda each, media: each.embed_image(["https://example.org/a.png"]),
            UnsupportedMedia,
            "nothing is downloaded",
        ),
        (lambda each, media: each.embed_image(str(media / "red.png")), InvalidInput, "expected a list of paths"),
    ],
)
def test_bad_input_is_named(embeddings: VLM2VecEmbeddings, media: Path, call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(embeddings, media)


def test_nothing_to_embed_is_no_vectors(embeddings: VLM2VecEmbeddings) -> None:
    assert embeddings.embed_documents([]) == embeddings.embed_image([]) == []


def test_callbacks_see_each_embedding_and_no_vector(tiny: dict[str, Any], media: Path) -> None:
    runs = Runs()
    embeddings = VLM2VecEmbeddings(**tiny, callbacks=[runs])
    embeddings.embed_documents(["a", "b"])
    embeddings.embed_query("c")
    embeddings.embed_image([media / "red.png"])
    dim = embeddings.load().dim
    assert runs.seen == [
        ("start embed_documents", {"texts": ["a", "b"]}),
        ("end", {"vectors": 2, "dim": dim}),
        ("start embed_query", {"query": "c"}),
        ("end", {"vectors": 1, "dim": dim}),
        ("start embed_image", {"uris": [str(media / "red.png")]}),
        ("end", {"vectors": 1, "dim": dim}),
    ]
    with pytest.raises(EmptyInput):
        embeddings.embed_documents([""])
    assert isinstance(runs.seen[-1][1], EmptyInput)


def test_inside_a_chain_the_chains_callbacks_see_the_embedding(embeddings: VLM2VecEmbeddings) -> None:
    runs = Runs()
    RunnableLambda(embeddings.embed_query).invoke("a car", config={"callbacks": [runs]})
    assert ("start embed_query", {"query": "a car"}) in runs.seen


async def test_inside_an_awaited_chain_too(embeddings: VLM2VecEmbeddings) -> None:
    runs = Runs()
    await RunnableLambda(embeddings.aembed_query).ainvoke("a car", config={"callbacks": [runs]})
    assert ("start embed_query", {"query": "a car"}) in runs.seen


def test_a_question_of_words_and_pixels_is_asked_as_the_encoder_asks_it(embeddings: VLM2VecEmbeddings) -> None:
    query = Query(text="at night", image=Image.new("RGB", (56, 56), "red"))
    expected = embeddings.load().encode_queries([query], target="clip")[0]
    np.testing.assert_allclose(embeddings.encode_query(query, target="clip"), expected, atol=1e-6)
