"""Whoever may only read can read, and a refusal says which right is missing, as the server put it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from fake_qdrant import FakeQdrant
from fake_qdrant_access import Access
from points_and_places import DIM, FINGERPRINT, page

from vlm2vec_rag.collection import Collection, Filter, open_collection
from vlm2vec_rag.errors import CollectionError, CollectionNotFound

READERS = ["read-only", "reads all", "reads c"]


@pytest.fixture
def fake() -> Iterator[FakeQdrant]:
    tokens = {
        "reads all": Access(writes=None),
        "reads c": Access(reads="c", writes=None),
        "writes c": Access(reads="c", writes="c"),
        "old": Access(is_expired=True),
        "reads other": Access(reads="other"),
    }
    with FakeQdrant(api_key="full", read_only_key="read-only", tokens=tokens) as fake:
        with open_collection(fake.url, "c", fingerprint=FINGERPRINT, api_key="full") as collection:
            collection.upsert(
                [page(number, f"word{number}", source=f"{number % 3}.pdf", encoded=True) for number in range(9)]
            )
        fake.requests.clear()
        yield fake


def assert_reads(collection: Collection) -> None:
    assert collection.count() == 9
    assert collection.search([1.0] * DIM, "word4", limit=3)
    assert collection.search(text="word4", filter=Filter(paths=["*.pdf"]))[0].payload.page == 4
    assert len(collection.sources()) == 3
    assert len(list(collection.scroll(with_vectors=True))) == 9
    assert collection.info().points == 9
    assert collection.vectors_by_content(["content-3"])


@pytest.mark.parametrize("key", READERS)
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT], ids=["whatever", "encoder"])
def test_a_reader_opens_searches_and_lists(fake: FakeQdrant, key: str, fingerprint: object) -> None:
    with open_collection(fake.url, "c", fingerprint=fingerprint, api_key=key) as collection:  # type: ignore[arg-type]
        assert_reads(collection)
    reads = ("/query", "/query/batch", "/scroll", "/count", "/facet")
    assert all(each.method == "GET" or each.path.endswith(reads) for each in fake.requests)


@pytest.mark.parametrize("key", READERS)
def test_a_reader_opens_an_older_collection_that_lacks_an_index(fake: FakeQdrant, key: str) -> None:
    del fake.indexes["c"]["modified_at"]
    with open_collection(fake.url, "c", api_key=key) as collection:
        assert_reads(collection)


@pytest.mark.parametrize("key", ["read-only", "reads all"])
def test_a_reader_opens_an_alias(fake: FakeQdrant, key: str) -> None:
    action = {"create_alias": {"collection_name": "c", "alias_name": "now"}}
    httpx.post(f"{fake.url}/collections/aliases", json={"actions": [action]}, headers={"api-key": "full"})
    with open_collection(fake.url, "now", api_key=key) as collection:
        assert_reads(collection)


def test_a_token_that_may_write_one_collection_writes_it(fake: FakeQdrant) -> None:
    with open_collection(fake.url, "c", fingerprint=FINGERPRINT, api_key="writes c") as collection:
        collection.upsert([page(100)])
        collection.delete([page(100).id])
        assert collection.count() == 9


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("read-only", "Forbidden: Global manage access is required"),
        ("reads all", "Forbidden: Global manage access is required"),
        ("reads c", "Forbidden: Write access to collection c is required"),
    ],
)
def test_a_writers_right_is_named(fake: FakeQdrant, key: str, right: str) -> None:
    with open_collection(fake.url, "c", api_key=key) as collection:
        for write in (
            lambda: collection.upsert([page(100)]),
            lambda: collection.delete(Filter()),
            lambda: collection.set_payload(Filter(), {"title": "x"}),
            lambda: collection.index_fields({"author": "keyword"}),
            lambda: collection.update_settings({"a": 1}),
        ):
            with pytest.raises(CollectionError, match=rf"the API key may not do this \(HTTP 403, {right}\)"):
                write()
        assert collection.count() == 9
        assert all(point.payload.title == "" for point in collection.scroll())


@pytest.mark.parametrize(
    ("key", "name", "said"),
    [
        (
            None,
            "c",
            r"it wants an API key \(HTTP 401, Must provide an API key or an Authorization bearer token\).*QDRANT_A",
        ),
        ("nonsense", "c", r"the API key was refused \(HTTP 401, Invalid API key or JWT\); give api_key"),
        ("old", "c", r"the token has expired \(HTTP 403\); give api_key, or set QDRANT_API_KEY, to a new one"),
        ("reads other", "c", r"may not do this \(HTTP 403, Forbidden: Access to collection c is required\)"),
        ("reads c", "new", r"may not do this \(HTTP 403, Forbidden: Access to collection new is required\)"),
        ("reads all", "new", r"may not do this \(HTTP 403, Forbidden: Global manage access is required\)"),
        ("read-only", "new", r"may not do this \(HTTP 403, Forbidden: Global manage access is required\)"),
    ],
)
def test_a_key_that_does_not_suffice_is_told_at_once(fake: FakeQdrant, key: str | None, name: str, said: str) -> None:
    with pytest.raises(CollectionError, match=said) as caught:
        open_collection(fake.url, name, fingerprint=FINGERPRINT, api_key=key)
    assert not key or key not in str(caught.value).replace(said, "") or key == "old"
    assert "new" not in fake.creations
    assert [each.method for each in fake.requests].count("PUT") <= 1  # a refusal is not asked for again


def test_a_reader_is_told_what_collections_it_sees(fake: FakeQdrant) -> None:
    with pytest.raises(CollectionNotFound, match=r"no collection 'nowhere' .*there are: c\)"):
        open_collection(fake.url, "nowhere", api_key="reads all")


def test_keys_are_never_printed(fake: FakeQdrant, caplog: pytest.LogCaptureFixture) -> None:
    with open_collection(fake.url, "c", api_key="full") as collection:
        fake.fail(503)
        assert collection.count() == 9
        assert "full" not in repr(collection) + repr(collection.info())
    assert "full" not in caplog.text and "asking again" in caplog.text


def test_a_key_may_come_from_the_environment(fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "full")
    open_collection(fake.url, "c", fingerprint=replace(FINGERPRINT)).close()
