"""Instrumentation and callbacks are told of every embedding and every retrieval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.indices.vlm2vec import VLM2VecIndex
from llama_index.postprocessor.vlm2vec import TextRerank, VisualRerank
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore


class Heard(BaseEventHandler):
    """Keeps every event."""

    events: list[Any] = []  # noqa: RUF012  a pydantic field

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.events.append(event)

    def counts(self) -> Counter[str]:
        return Counter(type(event).__name__ for event in self.events)


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, dispatcher = Heard(events=[]), get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler
    dispatcher.event_handlers.remove(handler)


@pytest.fixture
def debug() -> LlamaDebugHandler:
    return LlamaDebugHandler(print_trace_on_end=False)


@pytest.fixture
def watched(embed_model: VLM2VecEmbedding, debug: LlamaDebugHandler) -> VLM2VecEmbedding:
    return embed_model.model_copy(update={"callback_manager": CallbackManager([debug])})


EMBEDS: dict[str, Callable[[VLM2VecEmbedding, Path], Any]] = {
    "question": lambda model, media: model.get_query_embedding("a cat"),
    "text": lambda model, media: model.get_text_embedding("a cat"),
    "texts": lambda model, media: model.get_text_embedding_batch(["a cat"]),
    "image": lambda model, media: model.get_image_embedding(str(media / "red.png")),
    "images": lambda model, media: model.get_image_embedding_batch([str(media / "red.png")]),
    "video": lambda model, media: model.get_video_embedding(media / "talk.mp4"),
    "bundle": lambda model, media: model.query_bundle("at night", image=media / "red.png"),
}


@pytest.mark.parametrize("embed", EMBEDS.values(), ids=EMBEDS)
def test_every_embedding_is_told_once_with_its_vector(
    watched: VLM2VecEmbedding, media: Path, heard: Heard, debug: LlamaDebugHandler, embed: Callable[..., Any]
) -> None:
    made = embed(watched, media)
    assert heard.counts() == {"EmbeddingStartEvent": 1, "EmbeddingEndEvent": 1}
    start, end = heard.events
    assert start.model_dict == watched.to_payload()
    vector = getattr(made, "embedding", made)
    assert end.embeddings in ([vector], vector)
    assert all(isinstance(chunk, str) for chunk in end.chunks)
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 1


async def test_awaited_ones_are_told_too(
    watched: VLM2VecEmbedding, media: Path, heard: Heard, debug: LlamaDebugHandler
) -> None:
    await watched.aget_image_embedding(str(media / "red.png"))
    await watched.aget_text_embedding_batch(["a cat"])
    await watched.aget_query_embedding("a cat")
    assert heard.counts() == {"EmbeddingStartEvent": 3, "EmbeddingEndEvent": 3}
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 3


async def test_a_retrieval_is_told_with_the_embedding_inside(
    watched: VLM2VecEmbedding, nodes: list[Any], heard: Heard, debug: LlamaDebugHandler
) -> None:
    store = VLM2VecVectorStore.open(":memory:", watched)
    store.add(nodes)
    manager = CallbackManager([debug])
    index = VLM2VecIndex.from_vector_store(store, watched, callback_manager=manager)
    retriever = VLM2VecRetriever(store.library, watched, callback_manager=manager)
    for each in (index.as_retriever(), retriever):
        for is_awaited in (False, True):
            found = await each.aretrieve("which one?") if is_awaited else each.retrieve("which one?")
            names = [type(event).__name__ for event in heard.events]
            assert names == ["RetrievalStartEvent", "EmbeddingStartEvent", "EmbeddingEndEvent", "RetrievalEndEvent"]
            assert heard.events[-1].nodes == found
            heard.events.clear()
    assert len(debug.get_event_pairs(CBEventType.RETRIEVE)) == 4


def test_reranking_is_told(nodes: list[Any], heard: Heard, embed_model: VLM2VecEmbedding) -> None:
    store = VLM2VecVectorStore.open(":memory:", embed_model)
    store.add(nodes)
    found = VLM2VecRetriever(store.library, mode="bm25").retrieve("emission targets")
    heard.events.clear()

    def my_judge(question: str, candidates: Any) -> list[float]:
        return [0.5] * len(candidates)

    for reranker in (TextRerank(my_judge), VisualRerank(my_judge)):
        heard.events.clear()
        reranker.postprocess_nodes(found, query_str="emission targets")
        assert heard.counts() == {"ReRankStartEvent": 1, "ReRankEndEvent": 1}
        start, end = heard.events
        assert start.model_name == "my_judge" and [each.score for each in end.nodes] == [0.5]
