"""Managed clouds: the bounds of strict mode are read from the collection and kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from fake_qdrant import FakeQdrant
from points_and_places import DIM, FINGERPRINT, CollectionAddress, page

from vlm2vec_rag.collection import Collection, Filter, open_collection
from vlm2vec_rag.collection.limits import Limits
from vlm2vec_rag.errors import CollectionError, InvalidInput

PAGES = [
    page(
        number,
        f"cat word{number}",
        source=f"docs/{number % 23}.pdf",
        encoded=True,
        metadata={"author": "Ada", "year": 1990 + number},
    )
    for number in range(60)
]
STRICT = {
    "enabled": True, "unindexed_filtering_retrieve": False, "unindexed_filtering_update": False, "max_query_limit": 20,
    "upsert_max_batchsize": 7, "search_max_hnsw_ef": 64, "search_max_oversampling": 1.5, "search_allow_exact": False,
    "search_max_batchsize": 1, "max_timeout": 5, "filter_max_conditions": 6, "condition_max_size": 4,
}  # fmt: skip


def make_strict(fake: FakeQdrant, bounds: dict[str, Any], name: str = "default") -> None:
    # as the owner of a managed cloud does; this package never changes it
    fake.is_checked = False
    httpx.patch(f"{fake.url}/collections/{name}", json={"strict_mode_config": bounds})
    fake.is_checked = True
    fake.requests.clear()


@pytest.fixture
def bound(fake: FakeQdrant) -> Iterator[Collection]:
    """A collection with every bound set low; made under them."""
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    make_strict(fake, STRICT)
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        collection.upsert(PAGES)
        yield collection


@pytest.fixture
def free(fake: FakeQdrant) -> Iterator[Collection]:
    """The same points without bounds."""
    with open_collection(fake.url, "free", fingerprint=FINGERPRINT) as collection:
        collection.upsert(PAGES)
        yield collection


def test_all_that_a_collection_does_it_does_within_the_bounds(bound: Collection, free: Collection) -> None:
    """Every answer is the one that is given without bounds; the test server refuses what is over one."""
    hashes = [f"content-{number}" for number in range(60)]
    filters = [
        None,
        Filter(paths=["*1.pdf", "docs/2.pdf"]),
        Filter(sources=[f"docs/{number}.pdf" for number in range(11)]),
        Filter(content_hashes=hashes[:30]),
        Filter(paths=["docs/"], not_file_hashes=[f"h{number}" for number in range(9)]),
        Filter(paths=["*.pdf", "docs/1.pdf", "docs/"]),
    ]
    for each in filters:
        assert bound.count(each) == free.count(each)
        assert {point.id for point in bound.scroll(each)} == {point.id for point in free.scroll(each)}
        for question in ({"mode": "dense"}, {"text": "word7 cat", "mode": "bm25"}, {"text": "word7 cat"}):
            mine = bound.search([1.0] * DIM, limit=5, filter=each, **question)  # type: ignore[arg-type]
            theirs = free.search([1.0] * DIM, limit=5, filter=each, **question)  # type: ignore[arg-type]
            assert len(mine) == len(theirs)
            if question.get("mode"):
                np.testing.assert_allclose([x.score for x in mine], [x.score for x in theirs], rtol=1e-5)
    assert bound.sources() == free.sources()
    assert bound.vectors_by_content(hashes).keys() == free.vectors_by_content(hashes).keys()
    assert len(bound.retrieve([point.id for point in PAGES])) == 60
    info = bound.info()
    assert (info.points, info.is_exact, free.info().is_exact) == (60, False, True)
    for collection in (bound, free):
        collection.set_payload(Filter(sources=[f"docs/{number}.pdf" for number in range(11)]), {"title": "x"})
        collection.delete(Filter(content_hashes=hashes[:30]))
    titles = [{point.id: point.payload.title for point in collection.scroll()} for collection in (bound, free)]
    assert titles[0] == titles[1] and len(titles[0]) == 30


def test_no_request_is_refused_and_asked_again_smaller(bound: Collection, fake: FakeQdrant) -> None:
    """The bounds are known before the first request, from the description that opening reads anyway."""
    upserts = [request for request in fake.asked("/points") if request.method == "PUT"]
    assert [len(request.body["points"]) for request in upserts] == [7] * 8 + [4]
    fake.requests.clear()
    bound.search([1.0] * DIM, "cat", limit=5)
    [asked] = fake.requests
    params = {"hnsw_ef": 64, "exact": False, "quantization": {"rescore": True, "oversampling": 1.5}}
    assert asked.body["prefetch"][0]["params"] == params
    assert [each["limit"] for each in asked.body["prefetch"]] == [20, 20]
    assert not any("timeout" in request.query for request in fake.requests)


def test_searches_go_apart_where_batches_are_forbidden() -> None:
    with FakeQdrant(version="1.16.0", is_checked=False) as fake:  # fuses nothing itself, so it takes two
        open_collection(fake.url, fingerprint=FINGERPRINT).close()
        make_strict(fake, {"enabled": True, "search_max_batchsize": 1})
        fake.is_checked = False
        with open_collection(fake.url) as collection:
            collection.upsert(PAGES)
            fake.requests.clear()
            assert len(collection.search([1.0] * DIM, "cat", limit=5)) == 5
        assert [str(each) for each in fake.requests] == ["POST /collections/default/points/query"] * 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            {"limit": 21},
            r"limit is 21, and this server's strict mode answers with at most 20 points \(max_query_limit\)",
        ),
        ({"exact": True}, r"allows no exact search \(search_allow_exact\); search without exact"),
    ],
)
def test_what_a_bound_forbids_is_refused_with_its_name(
    bound: Collection, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        bound.search([1.0] * DIM, **arguments)


def test_more_sources_than_a_server_lists_are_read_from_the_points(bound: Collection, fake: FakeQdrant) -> None:
    fake.requests.clear()
    assert bound.count(Filter(paths=["*.pdf"])) == 60
    assert len(fake.asked("/facet")) == 1 and fake.asked("/scroll")  # 23 sources, and 20 at once at most


def test_a_filter_is_cut_into_parts_that_no_point_passes_twice() -> None:
    limits = Limits(values=3)
    sources = [f"{number}.pdf" for number in range(7)]
    parts = [part for part, _ in limits.parts_of(Filter(sources=[*sources, "0.pdf"])) if part]
    assert [list(part.sources) for part in parts] == [sources[:3], sources[3:6], sources[6:]]
    both = limits.parts_of(Filter(sources=sources[:4], content_hashes=["a", "b", "c", "d"]))
    assert [(list(part.sources), list(part.content_hashes)) for part, _ in both if part] == [
        (sources[:3], ["a", "b", "c"]), (sources[:3], ["d"]), (sources[3:4], ["a", "b", "c"]), (sources[3:4], ["d"]),
    ]  # fmt: skip
    paths = limits.parts_of(Filter(paths=["a/", "a/b/", "a/c.pdf", "d.pdf", "*.pdf"]), ["a/c.pdf", "e.pdf", "f.pdf"])
    assert [(list(part.paths), list(matched)) for part, matched in paths if part] == [
        (["a/"], []), ([], ["d.pdf", "e.pdf", "f.pdf"]),
    ]  # fmt: skip
    assert limits.parts_of(None) == [(None, ())]
    assert Limits().parts_of(Filter(sources=sources))[0][0] == Filter(sources=sources)


# fields of one's own


def test_a_filter_by_a_field_without_an_index_names_the_field_its_type_and_the_call(bound: Collection) -> None:
    for search in (
        lambda: bound.search([1.0] * DIM, mode="dense", filter=Filter(metadata={"author": "Ada"})),
        lambda: bound.count(Filter(metadata={"author": "Ada"})),
        lambda: bound.delete(Filter(metadata={"author": "Ada"})),
        lambda: list(bound.scroll(Filter(metadata={"author": "Ada"}))),
    ):
        with pytest.raises(CollectionError, match="the field 'author' of metadata has no payload index") as caught:
            search()
        assert "open_collection(..., indexed={'author': 'keyword'})" in str(caught.value)
        assert "vlm2vec-rag reindex --index-field author=keyword" in str(caught.value)
    bound.index_fields({"author": "keyword", "year": "integer"})
    assert bound.count(Filter(metadata={"author": "Ada"})) == 60
    assert bound.count(Filter(metadata={"year": 1999})) == 1


def test_fields_are_indexed_when_a_collection_is_made(fake: FakeQdrant) -> None:
    """Without a type the first point that has the field tells it; what was asked for is remembered."""
    fields = ["author", "year", "deep.score=float", "never"]
    with open_collection(fake.url, fingerprint=FINGERPRINT, indexed=fields) as collection:
        assert "metadata.deep.score" in fake.indexes["default"] and "metadata.author" not in fake.indexes["default"]
    make_strict(fake, {"enabled": True, "unindexed_filtering_retrieve": False})
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        collection.upsert(PAGES)
        assert collection.count(Filter(metadata={"author": ["Ada", "Bob"], "year": [1990, 1991]})) == 2
    kinds = {name: info.data_type.value for name, info in fake.indexes["default"].items() if "metadata" in name}
    assert kinds == {"metadata.deep.score": "float", "metadata.author": "keyword", "metadata.year": "integer"}
    with open_collection(fake.url) as again:
        assert dict(again._record.indexed) == {
            "author": "keyword",
            "year": "integer",
            "deep.score": "float",
            "never": "",
        }


def test_fields_are_indexed_on_every_engine(lasting_place: CollectionAddress) -> None:
    with lasting_place.open(indexed=["author"]) as collection:
        collection.upsert(PAGES)
        assert collection.count(Filter(metadata={"author": "Ada"})) == 60
    with lasting_place.open(indexed={"year": "integer"}) as collection:
        schema = collection.client.get_collection(collection.name).payload_schema
        assert {"metadata.author", "metadata.year"} <= schema.keys()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (["year=number"], "there is no index of type 'number' for 'year'; expected keyword, integer, float, bool"),
        ({"year": "text"}, "there is no index of type 'text'"),
        ("year", "indexed is the string 'year'; expected a list of names"),
        ([""], "a name needs a character"),
    ],
)
def test_a_field_that_cannot_be_indexed_is_refused(fields: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        open_collection(fingerprint=FINGERPRINT, indexed=fields)


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(fake: FakeQdrant) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    make_strict(fake, {"enabled": True, "read_rate_limit": 2})
    with open_collection(fake.url) as collection:
        transport = collection.client.http.client._client._transport
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            make_strict(fake, {"enabled": False})  # as if the time had passed

        transport._sleep = sleep
        for _ in range(3):
            collection.count()
    assert slept == [30.0]
