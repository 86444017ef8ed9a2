"""A question finds what a plain ranking over all vectors finds, and says where it is."""

import numpy as np
import pytest
from PIL import Image as PILImage

from vlm2vec_rag import Clip, Image, Page, Query, Text
from vlm2vec_rag.collection import Filter, Payload, Point, open_collection
from vlm2vec_rag.errors import EmptyInput, FingerprintMismatch, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.retrieval import Retriever
from vlm2vec_rag.thumbnails import Thumbnails


def search(query, collection, encoder=None, *, thumbnails=None, **asked):
    return Retriever(collection, encoder, thumbnails=thumbnails).search(query, **asked)


def an_image(seed, size=(84, 56)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return PILImage.fromarray(pixels)


ITEMS = [
    Page(image=an_image(1), page=1, source="report.pdf", text="revenue rose in the second quarter", label="i"),
    Page(image=an_image(2), page=2, source="report.pdf", text="dolphins and whales", title="Animals"),
    Image(image=an_image(3), source="boat.png", text="a boat on the water"),
    Clip(
        frames=(an_image(4), an_image(5)), times_s=(0, 9), start_s=0, end_s=10, source="talk.mp4", text="hello everyone"
    ),
    Text(text="notes on the violin", source="notes.md"),
]


@pytest.fixture
def collection(encoder):
    with open_collection(":memory:", fingerprint=encoder.fingerprint) as collection:
        vectors = encoder.encode_items(ITEMS)
        payloads = [Payload.of(item) for item in ITEMS]
        collection.upsert(
            Point(id=each.id, payload=each, vector=vector) for each, vector in zip(payloads, vectors, strict=True)
        )
        yield collection


def test_the_dense_side_is_the_plain_ranking(collection, encoder):
    hits = search("where is the boat", collection, encoder, mode="dense", limit=5)
    scores = encoder.encode_items(ITEMS) @ encoder.encode_queries(["where is the boat"])[0]
    expected = [ITEMS[index].source for index in np.argsort(-scores)]
    assert [hit.source for hit in hits] == expected
    np.testing.assert_allclose([hit.dense_score for hit in hits], np.sort(scores)[::-1], atol=1e-5)


def test_words_find_the_page_and_its_place(collection):
    [hit] = search("dolphins", collection, mode="bm25")
    assert (hit.place, hit.page, hit.title, hit.kind) == ("report.pdf#page=2", 2, "Animals", "page")
    assert hit.dense_score is None and hit.bm25_score == hit.score > 0


def test_fusion_carries_both_scores(collection, encoder):
    best = search("revenue second quarter", collection, encoder)[0]
    assert best.place == "report.pdf#page=1" and best.label == "i"
    assert best.bm25_score and best.dense_score


def test_an_image_finds_itself(collection, encoder):
    query = Query(image=ITEMS[2].image, instruction="Represent the given image.")
    hits = search(query, collection, encoder, filter=Filter(kinds=("image",)))
    assert hits[0].place == "boat.png" and hits[0].dense_score > 0.999


def test_a_filter_on_one_kind_asks_in_that_kinds_words(collection, encoder):
    [hit] = search("hello", collection, encoder, mode="dense", filter=Filter(kinds=("clip",)))
    vector = encoder.encode_queries(["hello"], target="clip")[0]
    np.testing.assert_allclose(hit.dense_score, encoder.encode_items([ITEMS[3]])[0] @ vector, atol=1e-5)
    assert hit.place == "talk.mp4#t=0,10" and (hit.start_s, hit.end_s) == (0, 10)


def test_thumbnails_are_found_by_content(collection, tmp_path):
    thumbnails = Thumbnails(tmp_path)
    thumbnails.keep(ITEMS[1])
    [hit] = search("dolphins", collection, mode="bm25", thumbnails=thumbnails)
    assert hit.thumbnail == thumbnails.find(ITEMS[1].content_hash)


def test_an_encoder_of_another_model_is_refused_and_both_are_named(collection, encoder, tiny_base):
    from vlm2vec_rag import load_encoder

    with pytest.raises(FingerprintMismatch, match=r"adapter: '[0-9a-f]{16}' there, '' here"):
        Retriever(collection, load_encoder(tiny_base, device="cpu", dtype="float32"))


@pytest.mark.parametrize("query", ["", "  ", Query()])
def test_an_empty_question_is_refused(collection, encoder, query):
    with pytest.raises(EmptyInput, match="neither words nor pixels"):
        search(query, collection, encoder)


def test_pixels_need_an_encoder(collection):
    with pytest.raises(InvalidInput, match="needs an encoder"):
        search("boat", collection, mode="dense")
    with pytest.raises(EmptyInput, match="nothing to search for"):
        search(Query(image=an_image(1)), collection)


def test_a_question_that_looks_like_a_path_opens_nothing(collection, encoder, monkeypatch):
    import builtins
    import urllib.request

    def refuse(*arguments, **_):
        raise AssertionError(f"opened {arguments[0]}")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for question in ("/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/secret", "boat.png"):
        assert len(search(question, collection, encoder)) == len(ITEMS)


def test_words_alone_need_no_vectors():
    with open_collection(":memory:", fingerprint=Fingerprint(model="words only")) as collection:
        payload = Payload.of(ITEMS[1])
        collection.upsert([Point(id=payload.id, payload=payload)])
        assert [hit.place for hit in search("dolphins", collection)] == ["report.pdf#page=2"]
