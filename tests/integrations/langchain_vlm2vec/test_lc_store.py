"""The store keeps ids and metadata, takes files and texts, and ranks as plain arithmetic does, on every engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.stores import InMemoryByteStore
from langchain_text_splitters import CharacterTextSplitter
from langchain_vlm2vec import MediaLoader, VLM2VecEmbeddings, VLM2VecVectorStore
from PIL import Image

from vlm2vec_rag.collection import Filter
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import (
    CollectionNotFound,
    EmptyInput,
    FingerprintMismatch,
    InvalidInput,
    UnreadableMedia,
    UnsupportedMedia,
)
from vlm2vec_rag.library.library import Library, Setup
from vlm2vec_rag.retrieval import Retriever
from vlm2vec_rag.thumbnails import Thumbnails

Call = Callable[..., Any]


def through_the_library(store: VLM2VecVectorStore) -> Library:
    """The store's collection as the command line knows it."""
    return Library(store.collection, Setup(place=":memory:", load=store.embeddings.load))  # type: ignore[union-attr]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls a method of the store, or its awaited twin."""

    async def awaited(store: VLM2VecVectorStore, method: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(store, f"a{method}")(*args, **kwargs)

    async def plain(store: VLM2VecVectorStore, method: str, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(getattr(store, method), *args, **kwargs)

    return awaited if request.param == "async" else plain


def places(documents: list[Document]) -> list[str]:
    return [document.metadata["place"].rpartition("/")[2] for document in documents]


async def test_everything_in_a_folder_is_added_found_and_given_back(
    store: VLM2VecVectorStore, media: Path, call: Call
) -> None:
    documents = MediaLoader(media, settings=store.library.media_settings).load()
    own = Document(page_content="an apple a day", metadata={"author": "Ada", "page": 0, "deep": {"a": [1]}}, id="apple")
    ids = await call(store, "add_documents", [*documents, own])
    assert ids == [*(each.id for each in documents), "apple"]
    assert await call(store, "get_by_ids", ids) == [*documents, own]
    for document in [*documents, own]:
        point_vector = store.collection.retrieve([store_id(document)], with_vectors=True)[0].vector
        nearest = await call(store, "similarity_search_by_vector", list(point_vector), k=1)
        assert nearest == [document]
    assert places(await call(store, "similarity_search", "emission targets", k=1)) == ["report.pdf#page=2"]
    await call(store, "delete", ["apple", documents[0].id])
    assert {each.id for each in await call(store, "similarity_search", "what is there?", k=10)} == {
        each.id for each in documents[1:]
    }


def store_id(document: Document) -> str:
    from vlm2vec_rag.documents import point_id_of

    return point_id_of(document.id or "")


async def test_what_it_writes_the_command_line_takes_for_indexed(
    store: VLM2VecVectorStore, media: Path, call: Call
) -> None:
    await call(store, "add_documents", MediaLoader(media, settings=store.library.media_settings).load())
    written = {point.id: point.payload for point in store.collection.scroll()}
    assert all(source.is_complete for source in store.collection.sources().values())
    report = through_the_library(store).index(media)
    assert (report.unchanged, report.indexed) == (5, 0)
    assert {point.id: point.payload for point in store.collection.scroll()} == written


async def test_images_and_videos_are_added_with_metadata_captions_and_ids(
    store: VLM2VecVectorStore, media: Path, call: Call
) -> None:
    uris = [media / "red.png", (media / "blue.png").as_uri()]
    ids = await call(
        store, "add_images", uris, metadatas=[{"mine": 1}, {}], ids=["r", None], captions=["a red field", ""]
    )
    clips = await call(store, "add_videos", [media / "talk.mp4"], metadatas=[{"mine": 2}])
    assert ids[0] == "r" and str(uuid.UUID(ids[1])) == ids[1] and len(clips) == 1
    [red, blue, clip] = await call(store, "get_by_ids", [*ids, *clips])
    assert (red.id, red.page_content, red.metadata["mine"], red.metadata["kind"]) == ("r", "a red field", 1, "image")
    assert (clip.metadata["mine"], clip.metadata["kind"], clip.metadata["end_s"]) == (2, "clip", 3)
    assert (await call(store, "similarity_search", "red field", k=1, mode="bm25"))[0].id == "r"
    nearest = await call(store, "similarity_search_by_image", media / "blue.png", k=3)
    encoder = store.embeddings.load()  # type: ignore[union-attr]
    from vlm2vec_rag import Query

    question = encoder.encode_queries([Query(image=Image.open(media / "blue.png").convert("RGB"))])[0]
    points = store.collection.retrieve([store_id(each) for each in (red, blue, clip)], with_vectors=True)
    order = np.argsort([-float(point.vector @ question) for point in points])
    assert [each.id for each in nearest] == [(red, blue, clip)[at].id for at in order]
    about = await call(store, "similarity_search_by_image", Image.open(media / "blue.png"), k=1, text="red field")
    assert about[0].id == "r"  # its words count as well
    [film] = await call(store, "similarity_search_by_clip", media / "talk.mp4", k=1, filter={"kind": "clip"})
    assert film.id == clips[0]


async def test_scores_are_what_they_are_said_to_be(store: VLM2VecVectorStore, call: Call) -> None:
    texts = ["a red car", "a blue boat", "red red red"]
    ids = await call(store, "add_texts", texts)
    encoder = store.embeddings.load()  # type: ignore[union-attr]
    cosines = dict(zip(ids, encoder.encode_items(texts) @ encoder.encode_queries(["red"])[0], strict=True))
    dense = await call(store, "similarity_search_with_score", "red", k=3, mode="dense")
    assert {each.id: score for each, score in dense} == pytest.approx(cosines, abs=1e-5)
    assert [score for _, score in dense] == sorted((score for _, score in dense), reverse=True)
    relevant = await call(store, "similarity_search_with_relevance_scores", "red", k=3)
    assert {each.id: score for each, score in relevant} == pytest.approx(
        {each: (1 + cosine) / 2 for each, cosine in cosines.items()}, abs=1e-5
    )
    best = max(cosines.values())
    above = await call(
        store, "similarity_search_with_relevance_scores", "red", k=3, score_threshold=(1 + best) / 2 - 1e-4
    )
    assert [each.id for each, _ in above] == [max(cosines, key=cosines.__getitem__)]
    fused = await call(store, "similarity_search_with_score", "red", k=3)
    hits = Retriever(store.collection, encoder).search("red", limit=3)
    assert [(each.id, score) for each, score in fused] == [(hit.id, pytest.approx(hit.score)) for hit in hits]


def greedy(query: np.ndarray, vectors: np.ndarray, k: int, lambda_mult: float) -> list[int]:
    """Maximal marginal relevance by its definition (Carbonell and Goldstein, SIGIR 1998); the nearest comes first."""
    chosen = [int(np.argmax(vectors @ query))]
    while len(chosen) < min(k, len(vectors)):
        scores = [
            -np.inf
            if at in chosen
            else lambda_mult * float(vectors[at] @ query)
            - (1 - lambda_mult) * max(float(vectors[at] @ vectors[each]) for each in chosen)
            for at in range(len(vectors))
        ]
        chosen.append(int(np.argmax(scores)))
    return chosen


async def test_diverse_answers_are_those_of_the_definition(store: VLM2VecVectorStore, call: Call) -> None:
    texts = ["a red car", "a red cart", "one red car", "a blue boat", "snow", "the deep sea"]
    ids = await call(store, "add_texts", texts)
    encoder = store.embeddings.load()  # type: ignore[union-attr]
    question, vectors = encoder.encode_queries(["a red car"])[0], encoder.encode_items(texts)
    nearest = np.argsort(-(vectors @ question))[:4]
    answers = set()
    for lambda_mult in (0.0, 0.3, 1.0):
        found = await call(store, "max_marginal_relevance_search", "a red car", k=3, lambda_mult=lambda_mult)
        assert [each.id for each in found] == [ids[at] for at in greedy(question, vectors, 3, lambda_mult)]
        near = await call(
            store, "max_marginal_relevance_search_by_vector", question.tolist(), k=3, lambda_mult=lambda_mult, fetch_k=4
        )
        expected = [ids[nearest[at]] for at in greedy(question, vectors[nearest], 3, lambda_mult)]
        assert [each.id for each in near] == expected
        answers.add(tuple(each.id for each in found))
    assert len(answers) > 1  # lambda_mult makes a difference here


FILTERS: list[tuple[Any, set[str]]] = [
    (None, {"red.png", "report.pdf#page=1", "report.pdf#page=2", "talk.mp4#t=0,3", "mine", "other"}),
    ({}, {"red.png", "report.pdf#page=1", "report.pdf#page=2", "talk.mp4#t=0,3", "mine", "other"}),
    ({"kind": "page"}, {"report.pdf#page=1", "report.pdf#page=2"}),
    ({"kind": ["page", "clip"], "page": 2}, {"report.pdf#page=2"}),
    ({"source": "notes.txt"}, {"mine"}),
    ({"page": 2}, {"report.pdf#page=2", "mine"}),  # a field of a file, and one of the user's own
    ({"author": "Ada"}, {"mine", "other"}),
    ({"author": "Ada", "deep": {"a": 1}}, {"mine"}),
    ({"end_s": 3}, {"talk.mp4#t=0,3"}),
    ({"author": None, "kind": "image"}, {"red.png"}),
    ({"author": "nobody"}, set()),
    (Filter(kinds=("clip",)), {"talk.mp4#t=0,3"}),
    (Filter(metadata={"author": "Ada"}), {"mine", "other"}),
    ({"page": {"$gte": 2}}, {"report.pdf#page=2", "mine"}),
    ({"page": {"$gt": 0, "$lt": 2}}, {"report.pdf#page=1"}),
    ({"page": {"$between": [1, 2]}, "kind": {"$ne": "image"}}, {"report.pdf#page=1", "report.pdf#page=2", "mine"}),
    ({"$or": [{"kind": "clip"}, {"author": {"$eq": "Ada"}}]}, {"talk.mp4#t=0,3", "mine", "other"}),
    ({"$and": [{"author": "Ada"}, {"page": {"$exists": True}}]}, {"mine"}),
    ({"$and": [{"author": "Ada"}, {"page": {"$exists": False}}]}, {"other"}),
    ({"author": {"$not": {"$eq": "Ada"}}, "kind": "clip"}, {"talk.mp4#t=0,3"}),
    ({"$nor": [{"kind": ["page", "clip", "image"]}]}, {"mine", "other"}),
    ({"$not": {"author": "Ada"}, "kind": "image"}, {"red.png"}),
    ({"deep.a": {"$in": [1, 7]}}, {"mine"}),
    ({"deep": {"a": {"$lte": 1}}}, {"mine"}),
    ({"author": {"$in": []}}, set()),
    ({"author": []}, set()),
    ({"author": {"$nin": []}, "kind": "image"}, {"red.png"}),
    ({"source": {"$icontains": "NOTES"}}, {"mine"}),
    ({"$or": []}, set()),
]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n": {"$near": 2}}, r"compares 'n' with '\$near'; expected one of \$eq, \$ne"),
        ({"$xor": []}, r"joins with '\$xor'"),
        ({"$gte": 2}, r"stands behind the name of its field"),
        ({"$or": {"a": 1}}, r"\$or holds .*expected a list of filters"),
        ({"n": {"$gte": 2, "m": 1}}, "mixes operators and nested fields"),
        ({"n": {"$between": 2}}, "expected a list of both ends"),
        ("kind", "filter is a str"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(memory_store: VLM2VecVectorStore, wanted: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        memory_store.similarity_search("a", filter=wanted)


async def test_filters_of_every_form_let_the_right_ones_pass(
    store: VLM2VecVectorStore, media: Path, call: Call
) -> None:
    documents = MediaLoader([media / name for name in ("red.png", "report.pdf", "talk.mp4")]).load()
    mine = {"source": "notes.txt", "page": 2, "author": "Ada", "deep": {"a": 1}}
    documents += [
        Document(id="mine", page_content="words", metadata=mine),
        Document(id="other", page_content="more words", metadata={"author": "Ada"}),
    ]
    await call(store, "add_documents", documents)

    def name(document: Document) -> str:
        return str(document.metadata.get("place", document.id)).rpartition("/")[2]

    for filter_, expected in FILTERS:
        found = await call(store, "similarity_search", "anything", k=20, filter=filter_)
        assert {name(each) for each in found} == expected, filter_
    for document in documents[:4]:
        found = await call(store, "similarity_search", "any", k=20, filter={"place": document.metadata["place"]})
        assert [name(each) for each in found] == [name(document)]
    from qdrant_client import models

    condition = models.FieldCondition(key="metadata.author", match=models.MatchValue(value="Ada"))
    found = await call(store, "similarity_search", "anything", k=20, filter=models.Filter(must=[condition]))
    assert {each.id for each in found} == {"mine", "other"}
    await call(store, "delete", filter={"author": "Ada", "source": "notes.txt"})
    assert [each.id for each in await call(store, "get_by_ids", ["mine", "other"])] == ["other"]
    await call(store, "delete")
    assert store.collection.count() == 0


async def test_a_filter_of_one_kind_asks_the_question_as_to_that_kind(
    memory_store: VLM2VecVectorStore, media: Path
) -> None:
    memory_store.add_images([media / "red.png"])
    encoder = memory_store.embeddings.load()  # type: ignore[union-attr]
    for filter_ in ({"kind": "image"}, Filter(kinds=("image",))):
        [(_, score)] = memory_store.similarity_search_with_score("red", filter=filter_, mode="dense")
        [hit] = Retriever(memory_store.collection, encoder).search("red", mode="dense", filter=Filter(kinds=("image",)))
        assert score == pytest.approx(hit.score, abs=1e-6)


def test_equal_content_is_encoded_once(memory_store: VLM2VecVectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    encoder = memory_store.library.encoder
    encode = encoder.encode_items  # type: ignore[union-attr]
    monkeypatch.setattr(encoder, "encode_items", lambda items, **kwargs: counts.append(len(items)) or encode(items))
    memory_store.add_texts(["a", "b", "a"], [{"n": 1}, {"n": 2}, {"n": 3}])
    memory_store.add_texts(["b", "c"], [{"n": 4}, {"n": 5}])
    assert counts == [2, 1] and memory_store.collection.count() == 5


def test_texts_without_ids_are_not_added_twice_and_may_come_from_anywhere(memory_store: VLM2VecVectorStore) -> None:
    texts = (text for text in ["a", "b", "c"])
    first = memory_store.add_texts(texts)
    assert memory_store.add_texts(["a", "b", "c"], batch_size=2) == first and len(set(first)) == 3
    assert memory_store.collection.count() == 3


def test_a_document_whose_words_were_changed_keeps_its_pixels_and_its_own_id(
    memory_store: VLM2VecVectorStore, media: Path
) -> None:
    page = MediaLoader(media / "report.pdf", settings=memory_store.library.media_settings).load()[0]
    captioned = page.model_copy(update={"page_content": "what someone wrote about it"})
    ids = memory_store.add_documents([page, captioned], ids=["page", "captioned"])
    points = memory_store.collection.retrieve([point_id_of(each) for each in ids], with_vectors=True)
    assert [point.payload.text for point in points] == [page.page_content, "what someone wrote about it"]
    np.testing.assert_allclose(points[1].vector, points[0].vector, atol=1e-6)


def test_pieces_of_a_page_are_texts_with_their_place(memory_store: VLM2VecVectorStore, media: Path) -> None:
    loaded = MediaLoader(media, settings=memory_store.library.media_settings).load()
    pieces = CharacterTextSplitter(separator=" ", chunk_size=10, chunk_overlap=0).split_documents(loaded)
    ids = memory_store.add_documents(pieces)
    encoder = memory_store.library.encoder
    assert encoder is not None
    kinds: dict[str, set[str]] = {}
    for piece, point in zip(
        pieces, memory_store.collection.retrieve([point_id_of(each) for each in ids], with_vectors=True), strict=True
    ):
        kinds.setdefault(piece.metadata["kind"], set()).add(point.payload.kind)
        if point.payload.kind == "text":
            expected = encoder.encode_items([piece.page_content])[0]
            np.testing.assert_allclose(point.vector, expected, atol=1e-5)
    # an image's description and a clip's subtitles may be short enough to stay whole
    assert kinds["page"] == {"text"} and kinds["text"] == {"text"}
    found = memory_store.similarity_search("emission", k=3, filter={"kind": "text", "page": 2}, mode="bm25")
    assert [(each.page_content, places([each])) for each in found] == [("Emission", ["report.pdf#page=2"])]
    assert "content_hash" not in found[0].metadata
    whole = memory_store.add_documents([loaded[-1].model_copy(update={"id": None})])
    assert whole  # not cut, so it stands for all of its file's item, under whatever id


def test_metadata_comes_back_as_it_came_or_is_refused_before_anything_is_written(
    memory_store: VLM2VecVectorStore,
) -> None:
    metadata = {"when": datetime(2026, 1, 2, tzinfo=timezone.utc), "pair": (1, 2), "tags": {"a"}, "path": Path("a/b")}
    [document] = memory_store.get_by_ids(memory_store.add_texts(["a"], [metadata]))
    assert document.metadata == metadata
    texts = [f"text {number}" for number in range(40)]
    for bad in ({"x": float("nan")}, {"x": np.zeros(2)}):
        with pytest.raises(InvalidInput, match=r"document 39 cannot be kept: metadata field 'x'"):
            memory_store.add_texts(texts, [{}] * 39 + [bad])
    for blank, error in ((" ", EmptyInput), ("half \ud83d", InvalidInput)):
        with pytest.raises(error, match="document 39"):
            memory_store.add_texts([*texts[:39], blank])
    assert memory_store.collection.count() == 1


def test_thumbnails_are_kept_where_asked(embeddings: VLM2VecEmbeddings, media: Path, tmp_path: Path) -> None:
    store = VLM2VecVectorStore.open(":memory:", embeddings, thumbnails=tmp_path / "thumbnails")
    [document] = store.get_by_ids(store.add_images([media / "red.png"]))
    assert Thumbnails(tmp_path / "thumbnails").find(document.metadata["content_hash"])


class Other(Embeddings):
    """Embeddings of no known maker, with settings."""

    def __init__(self, model: str = "m", dimensions: int = 6, prompt: str = "", timeout: int = 1) -> None:
        self.model, self.dimensions, self.prompt, self.timeout = model, dimensions, prompt, timeout

    def embed_query(self, text: str) -> list[float]:
        return [1.0] * self.dimensions

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def cached(underlying: Embeddings) -> Embeddings:
    return CacheBackedEmbeddings(underlying, InMemoryByteStore())


@pytest.mark.parametrize("wrap", [lambda embedding: embedding, cached], ids=["plain", "cached"])
def test_embeddings_are_told_apart_by_all_that_identifies_them(tmp_path: Path, wrap: Any) -> None:
    VLM2VecVectorStore.from_texts(["a"], wrap(Other()), location=tmp_path / "c").close()
    for other in (Other("other"), Other(prompt="query: "), DeterministicFakeEmbedding(size=6)):
        with pytest.raises(FingerprintMismatch):
            VLM2VecVectorStore.open(tmp_path / "c", wrap(other))
    VLM2VecVectorStore.open(tmp_path / "c", wrap(Other(timeout=9))).close()  # changes no vector


# opening


def test_a_store_is_made_once_and_opened_again(tmp_path: Path, embeddings: VLM2VecEmbeddings) -> None:
    folder = tmp_path / "my.vlm2vec"
    with pytest.raises(CollectionNotFound, match=r"no collection 'default'"):
        VLM2VecVectorStore.open(folder, embeddings, create=False)
    store = VLM2VecVectorStore.from_texts(["a", "b"], embeddings, [{"n": 1}, {"n": 2}], ids=["1", "2"], location=folder)
    store.close()
    with pytest.raises(FingerprintMismatch, match=r"was built with .*base.* and DeterministicFakeEmbedding"):
        VLM2VecVectorStore.open(folder, DeterministicFakeEmbedding(size=64))
    store = VLM2VecVectorStore.open(folder, embeddings, create=False)
    assert {each.id for each in store.get_by_ids(["1", "2", "3"])} == {"1", "2"}
    store.close()


def test_other_models_are_told_apart(embeddings: VLM2VecEmbeddings, tiny: dict[str, Any]) -> None:
    fake = VLM2VecVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=6))
    assert fake.collection.fingerprint.dim == 6
    with pytest.raises(FingerprintMismatch, match=r"but this is DeterministicFakeEmbedding"):
        VLM2VecVectorStore(fake.library, DeterministicFakeEmbedding(size=8))
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    bare = VLM2VecEmbeddings(**{**tiny, "adapter": None})
    with pytest.raises(FingerprintMismatch, match="adapter"):
        VLM2VecVectorStore(store.library, bare)
    assert VLM2VecVectorStore(store.library, VLM2VecEmbeddings(**tiny)).collection is store.collection


def test_a_store_that_is_there_needs_no_model_named(tmp_path: Path, embeddings: VLM2VecEmbeddings) -> None:
    VLM2VecVectorStore.from_texts(["a red car"], embeddings, location=tmp_path / "c").close()
    store = VLM2VecVectorStore.open(tmp_path / "c")
    [(document, score)] = store.similarity_search_with_score("a red car", mode="dense")
    assert document.page_content == "a red car" and isinstance(store.embeddings, VLM2VecEmbeddings)
    assert store.embeddings.load() is store.library.encoder
    assert score == pytest.approx(
        float(np.dot(embeddings.embed_query("a red car"), embeddings.embed_documents(["a red car"])[0])), abs=1e-2
    )
    store.close()


async def test_documents_make_a_store_in_one_call(embeddings: VLM2VecEmbeddings, media: Path) -> None:
    documents = MediaLoader(media)
    store = VLM2VecVectorStore.from_documents(documents.lazy_load(), embeddings)
    assert store.collection.count() == 6
    again = await VLM2VecVectorStore.afrom_documents(documents.lazy_load(), embeddings)
    assert again.collection.count() == 6
    texts = await VLM2VecVectorStore.afrom_texts(["a"], embeddings, library=again.library)
    assert texts.collection.count() == 7


def test_without_a_model_a_store_searches_words(media: Path, embeddings: VLM2VecEmbeddings, tmp_path: Path) -> None:
    store = VLM2VecVectorStore.open(":memory:", model="none")
    store.add_documents(MediaLoader(media).load())
    assert places(store.similarity_search("emission targets")) == ["report.pdf#page=2"]
    with pytest.raises(InvalidInput, match="mode 'dense' needs an encoder"):
        store.similarity_search("a", mode="dense")
    with pytest.raises(InvalidInput, match="searches by words only"):
        store.similarity_search_by_image(media / "red.png")
    VLM2VecVectorStore.from_texts(["a red car"], embeddings, location=tmp_path / "c").close()
    words = VLM2VecVectorStore.open(tmp_path / "c", model="none")
    assert len(words.similarity_search("car")) == 1
    with pytest.raises(InvalidInput, match="no encoder to make more"):
        words.add_texts(["b"])
    words.close()


# bad input


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda store, media: store.similarity_search("a", k=0), InvalidInput, "limit is 0"),
        (lambda store, media: store.similarity_search("a", filter="kind=page"), InvalidInput, "filter is a str"),
        (lambda store, media: store.similarity_search("a", fliter={}), InvalidInput, "fliter"),
        (lambda store, media: store.similarity_search("a", mode="both"), InvalidInput, "mode is 'both'"),
        (lambda store, media: store.similarity_search_by_vector([1.0]), InvalidInput, r"shape \(1,\)"),
        (lambda store, media: store.similarity_search_by_image(media / "gone.png"), UnreadableMedia, "gone.png"),
        (lambda store, media: store.similarity_search_by_image(media / "report.pdf"), InvalidInput, "report.pdf"),
        (lambda store, media: store.find("a", image=media / "red.png", mode="bm25"), InvalidInput, "by words only"),
        (lambda store, media: store.similarity_search_by_clip([]), EmptyInput, "no frames"),
        (
            lambda store, media: store.max_marginal_relevance_search("a", lambda_mult=2),
            InvalidInput,
            "lambda_mult is 2",
        ),
        (lambda store, media: store.add_images([media / "gone.png"]), UnreadableMedia, "gone.png"),
        (lambda store, media: store.add_images([media / "talk.mp4"]), InvalidInput, "talk.mp4"),
        (lambda store, media: store.add_images(str(media / "red.png")), InvalidInput, "expected a list"),
        (lambda store, media: store.add_images([media / "red.png"], ids=["1", "2"]), InvalidInput, "ids has 2 for 1"),
        (lambda store, media: store.add_videos([media / "red.png"]), UnsupportedMedia, "expected a video"),
        (lambda store, media: store.add_texts(["a", " "]), EmptyInput, "document 1"),
        (lambda store, media: store.add_texts("abc"), InvalidInput, "expected a list"),
        (lambda store, media: store.add_texts(["a"], batch_size=0), InvalidInput, "batch_size is 0"),
        (lambda store, media: store.add_texts(["a"], ids=[1]), InvalidInput, "document id 1 is a int"),
        (lambda store, media: store.add_documents(["a"]), InvalidInput, "documents holds a str"),
        (lambda store, media: store.get_by_ids("abc"), InvalidInput, "single id 'abc'"),
        (lambda store, media: VLM2VecVectorStore.open(":memory:", "tiny"), InvalidInput, "embedding is a str"),
        (lambda store, media: store.delete("abc"), InvalidInput, "single id 'abc'"),
        (lambda store, media: store.delete(["a"], filter={"b": 1}), InvalidInput, "both ids and a filter"),
        (lambda store, media: store.delete(filter={}), InvalidInput, "lets everything pass"),
        (lambda store, media: store.delete(filter=Filter()), InvalidInput, "lets everything pass"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    memory_store: VLM2VecVectorStore, media: Path, act: Any, error: Any, message: str
) -> None:
    memory_store.add_texts(["here"])
    with pytest.raises(error, match=message):
        act(memory_store, media)
    assert memory_store.collection.count() == 1


def test_a_file_that_is_gone_is_named_when_its_document_is_added(memory_store: VLM2VecVectorStore, media: Path) -> None:
    documents = MediaLoader(media / "report.pdf").load()
    (media / "report.pdf").unlink()
    with pytest.raises(UnreadableMedia, match=r"report\.pdf"):
        memory_store.add_documents(documents)


def test_other_embeddings_refuse_pixels(media: Path) -> None:
    store = VLM2VecVectorStore.open(":memory:", DeterministicFakeEmbedding(size=6))
    with pytest.raises(InvalidInput, match=r"DeterministicFakeEmbedding embeds texts only and cannot see .*red\.png"):
        store.add_images([media / "red.png"])
    with pytest.raises(InvalidInput, match="sees no photographs"):
        store.similarity_search_by_image(media / "red.png")
