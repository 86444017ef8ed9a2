"""What a collection promises, on every engine alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from points_and_places import DIM, FINGERPRINT, CollectionAddress, page, unit

from vlm2vec_rag.collection import Collection, Filter, Payload, Point
from vlm2vec_rag.errors import CollectionError, CollectionNotFound, FingerprintMismatch, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

WORDS_ONLY = Fingerprint(model="words")


def test_a_new_collection_is_empty_and_knows_its_fingerprint(collection: Collection) -> None:
    assert collection.count() == 0
    assert collection.fingerprint == FINGERPRINT
    assert list(collection.scroll()) == []
    assert collection.sources() == {}
    assert collection.info().points == 0


def test_what_was_written_is_read_back_whole(collection: Collection) -> None:
    payload = Payload(
        source="films/über café 猫.mp4",
        kind="clip",
        content_hash="c" * 64,
        fragment="t=83,97.5",
        title="Кошка",
        text="line one\nline two\t\x00 😀",
        start_s=83.0,
        end_s=97.5,
        times_s=(83.0, 90.25, 97.5),
        file_hash="f" * 64,
        file_points=3,
        modified_at=datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=timezone.utc),
        indexed_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        metadata={"author": "Ada", "n": 3, "ok": True, "tags": ["a", "b"], "deep": {"x.y": {"z": None}}, "f": 1.5},
    )
    vector = np.arange(1, DIM + 1, dtype=np.float32)
    collection.upsert([Point(id=payload.id, payload=payload, vector=vector)])
    (point,) = collection.retrieve([payload.id], with_vectors=True)
    assert point.id == payload.id
    assert point.payload == payload
    np.testing.assert_allclose(point.vector, unit(vector), rtol=1e-6)


def test_writing_a_point_again_replaces_it(collection: Collection) -> None:
    point = page(1, "first")
    collection.upsert([point])
    collection.upsert([point, page(2)])
    collection.upsert([replace(point, payload=replace(point.payload, text="second"))])
    assert collection.count() == 2
    assert collection.retrieve([point.id])[0].payload.text == "second"


def test_points_come_back_in_the_order_asked_for_and_missing_ones_are_left_out(collection: Collection) -> None:
    points = [page(number) for number in range(1, 5)]
    collection.upsert(points)
    missing = page(99).id
    wanted = [points[2].id, missing, points[0].id]
    assert [point.id for point in collection.retrieve(wanted)] == [points[2].id, points[0].id]
    assert collection.retrieve([missing]) == []
    assert collection.retrieve([]) == []


def test_a_point_may_lack_a_vector_or_words_or_both(collection: Collection) -> None:
    points = [page(1, "cat", vector=None), page(2, ""), page(3, "  ", vector=None)]
    collection.upsert(points)
    assert collection.count() == 3
    stored = {point.payload.page: point.vector for point in collection.scroll(with_vectors=True)}
    assert {number: vector is None for number, vector in stored.items()} == {1: True, 2: False, 3: True}


def test_scroll_gives_every_point_once(collection: Collection) -> None:
    points = [page(number, vector=None) for number in range(1, 601)]  # more than two pages of answers
    assert collection.upsert(points) == 600
    ids = [point.id for point in collection.scroll()]
    assert len(ids) == 600
    assert set(ids) == {point.id for point in points}


def test_delete_takes_ids_or_a_filter_and_nothing_else_with_it(collection: Collection) -> None:
    points = [page(number, source=f"{number % 2}.pdf") for number in range(1, 9)]
    collection.upsert(points)
    collection.delete([points[0].id, page(99).id])
    assert collection.count() == 7
    collection.delete(Filter(sources=["0.pdf"]))
    assert {point.payload.page for point in collection.scroll()} == {3, 5, 7}
    collection.delete(Filter(sources=["nowhere.pdf"]))
    assert collection.count() == 3
    collection.delete(Filter())
    assert collection.count() == 0


def test_delete_of_stale_points_leaves_the_present_version(collection: Collection) -> None:
    old = [page(number, source="a.pdf", file_hash="old") for number in (1, 2)]
    new = [page(number, source="a.pdf", file_hash="new") for number in (3, 4)]
    other = page(5, source="b.pdf", file_hash="old")
    collection.upsert([*old, *new, other])
    collection.delete(Filter(sources=["a.pdf"], not_file_hashes=["new"]))
    assert {point.payload.page for point in collection.scroll()} == {3, 4, 5}


def test_a_source_with_wildcards_in_its_name_is_exact(collection: Collection) -> None:
    collection.upsert([page(1, source="what?.pdf"), page(2, source="whatX.pdf"), page(3, source="a[1]*.pdf")])
    collection.delete(Filter(sources=["what?.pdf", "a[1]*.pdf"]))
    assert [point.payload.source for point in collection.scroll()] == ["whatX.pdf"]


def test_set_payload_changes_the_named_fields_of_the_named_points(collection: Collection) -> None:
    first, second = page(1, "one", title="kept"), page(2, "two")
    collection.upsert([first, second])
    now = datetime(2026, 5, 1, 8, tzinfo=timezone.utc)
    collection.set_payload([first.id], {"title": "another", "indexed_at": now})
    changed, untouched = (point.payload for point in collection.retrieve([first.id, second.id]))
    assert changed == replace(first.payload, title="another", indexed_at=now)
    assert untouched == second.payload
    collection.set_payload(Filter(pages=(2, 2)), {"file_points": 7})
    assert [point.payload.file_points for point in collection.retrieve([first.id, second.id])] == [0, 7]


def test_set_payload_refuses_a_field_that_is_not_there(collection: Collection) -> None:
    with pytest.raises(InvalidInput, match="no payload field 'titel'; one's own fields go into 'metadata'"):
        collection.set_payload([page(1).id], {"titel": "x"})


def test_sources_say_what_is_there_and_whether_it_is_whole(collection: Collection) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
    whole = [page(n, source="whole.pdf", file_hash="h", file_points=3, indexed_at=early) for n in (1, 2, 3)]
    half = [page(n, source="half.pdf", file_hash="h", file_points=3, indexed_at=early) for n in (4, 5)]
    old = page(6, source="edited.pdf", file_hash="old", file_points=2, indexed_at=early)
    new = page(7, source="edited.pdf", file_hash="new", file_points=2, indexed_at=late)
    collection.upsert([new, *whole, *half, old])
    sources = collection.sources()
    assert list(sources) == ["edited.pdf", "half.pdf", "whole.pdf"]
    assert {name: source.is_complete for name, source in sources.items()} == {
        "edited.pdf": False,
        "half.pdf": False,
        "whole.pdf": True,
    }
    edited = sources["edited.pdf"]
    assert (edited.points, edited.is_mixed, edited.file_hash, edited.indexed_at) == (2, True, "new", late)
    assert list(collection.sources(Filter(sources=["half.pdf"]))) == ["half.pdf"]


def test_vectors_are_found_by_content(collection: Collection) -> None:
    """Those alone that were made from that very content by the collection's model."""
    points = [page(1, encoded=True), page(2, vector=None, encoded=True), page(3, encoded=True), page(4)]
    collection.upsert(points)
    found = collection.vectors_by_content([f"content-{number}" for number in (1, 2, 3, 4, 5, 1)])
    assert set(found) == {"content-1", "content-3"}
    np.testing.assert_allclose(found["content-3"], unit(points[2].vector), rtol=1e-6)
    assert found["content-3"].dtype == np.float32
    assert collection.vectors_by_content([]) == {}


def test_settings_stay_with_the_collection(lasting_place: CollectionAddress) -> None:
    with lasting_place.open() as collection:
        assert collection.settings == {}
        collection.update_settings({"media": {"dpi": 150, "clip_s": 10.0}})
        collection.update_settings({"more": [1, 2]})
    with lasting_place.open() as collection:
        assert collection.settings == {"media": {"dpi": 150, "clip_s": 10.0}, "more": [1, 2]}
        assert collection.fingerprint == FINGERPRINT


def test_points_are_there_when_it_is_opened_again(lasting_place: CollectionAddress) -> None:
    points = [page(number, f"word{number}") for number in range(1, 20)]
    with lasting_place.open() as collection:
        collection.upsert(points)
    with lasting_place.open(None) as collection:
        assert collection.fingerprint == FINGERPRINT
        assert {point.id for point in collection.scroll()} == {point.id for point in points}
        assert collection.search(points[3].vector, mode="dense", limit=1)[0].id == points[3].id
        assert [found.id for found in collection.search(text="word7", mode="bm25")] == [points[6].id]


def test_another_fingerprint_is_refused_with_both_named(lasting_place: CollectionAddress) -> None:
    lasting_place.open().close()
    other = replace(FINGERPRINT, model="better", weights="2222", adapter="aa")
    with pytest.raises(FingerprintMismatch) as caught:
        lasting_place.open(other)
    message = str(caught.value)
    for part in ("tiny", "better", FINGERPRINT.digest, other.digest, "weights: '1111' there, '2222' here", "adapter"):
        assert part in message
    assert "max_pixels" not in message  # equal, so no part of the trouble
    lasting_place.open(replace(FINGERPRINT, model="tiny under another name")).close()


def test_without_a_fingerprint_nothing_is_made(place: CollectionAddress) -> None:
    with pytest.raises(CollectionNotFound, match=rf"no collection '{place.name}' at .*index something first"):
        place.open(None)
    with pytest.raises(CollectionNotFound, match="open it with create=True"):
        place.open(create=False)


def test_another_language_is_refused(lasting_place: CollectionAddress) -> None:
    lasting_place.open(language="german").close()
    with pytest.raises(InvalidInput, match="indexed with language 'german', not 'english'"):
        lasting_place.open(language="english")
    with lasting_place.open() as collection:
        assert collection.info().language == "german"


def test_an_unknown_language_is_refused_before_anything_is_made(place: CollectionAddress) -> None:
    with pytest.raises(InvalidInput, match="no stopwords and stemmer for language 'klingon'"):
        place.open(language="klingon")
    with pytest.raises(CollectionNotFound):
        place.open(None)


@pytest.mark.parametrize(
    ("vector", "complaint"),
    [
        (np.ones(DIM + 1), r"shape \(9,\); this collection holds vectors of \(8,\)"),
        (np.ones((1, DIM)), r"shape \(1, 8\)"),
        ([1.0] * (DIM - 1) + [float("nan")], "NaN or an infinity"),
        ([1.0] * (DIM - 1) + [float("inf")], "NaN or an infinity"),
        ([1.0] * (DIM - 1) + [1e300], "NaN or an infinity"),  # too large for float32
        (np.zeros(DIM), "all zeros"),
    ],
    ids=["wide", "two-dimensional", "nan", "inf", "beyond-float32", "zero"],
)
def test_a_vector_that_does_not_fit_is_refused_and_its_batch_with_it(
    collection: Collection, vector: Any, complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        collection.upsert([page(1), page(2, vector=vector), page(3)])
    assert collection.count() == 0


def test_a_collection_of_words_only_holds_no_vectors(place: CollectionAddress) -> None:
    with place.open(WORDS_ONLY) as collection:
        assert collection.dim == 0
        collection.upsert([page(1, "red cat", vector=None), page(2, "blue dog", vector=None)])
        assert [found.payload.page for found in collection.search(np.ones(DIM), "cat")] == [1]
        assert collection.vectors_by_content(["content-1"]) == {}
        assert [point.vector for point in collection.scroll(with_vectors=True)] == [None, None]
        with pytest.raises(InvalidInput, match="has a vector, but this collection holds words only"):
            collection.upsert([page(3)])
        with pytest.raises(InvalidInput, match="words only and no dense vectors; search it with mode='bm25'"):
            collection.search(np.ones(DIM), mode="dense")


def test_two_collections_in_one_place_do_not_know_each_other(lasting_place: CollectionAddress) -> None:
    other = CollectionAddress(lasting_place.kind, lasting_place.location)
    with lasting_place.open() as first, other.open(WORDS_ONLY) as second:
        first.upsert([page(1)])
        second.upsert([page(2, "x", vector=None), page(3, "y", vector=None)])
        assert (first.count(), second.count()) == (1, 2)
        second.drop()
        assert first.count() == 1
        with pytest.raises(CollectionNotFound, match=lasting_place.name):
            other.open(None)


def test_a_collection_of_someone_else_is_left_alone(lasting_place: CollectionAddress) -> None:
    from qdrant_client import models

    with lasting_place.open() as collection:
        collection.client.create_collection(
            "foreign", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)
        )
        foreign = CollectionAddress(lasting_place.kind, lasting_place.location, "foreign")
        with pytest.raises(CollectionError, match="not made by vlm2vec-rag"):
            foreign.open()
        collection.client.delete_collection("foreign")


async def test_the_asynchronous_client_sees_the_same_points(collection: Collection) -> None:
    collection.upsert([page(1), page(2)])
    aclient = collection.aclient
    assert (await aclient.count(collection.name)).count == 2
    assert len((await aclient.scroll(collection.name, limit=10))[0]) == 2
    if collection.info().engine == "server":
        await aclient.close()
