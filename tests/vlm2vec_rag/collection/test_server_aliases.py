"""A collection takes another's place on a server: at every moment a whole one is found under the name."""

from __future__ import annotations

from typing import Any

import pytest
from fake_qdrant import FakeQdrant
from points_and_places import FINGERPRINT, page

from vlm2vec_rag.collection import Collection, open_collection
from vlm2vec_rag.collection.server import ServerEngine
from vlm2vec_rag.errors import CollectionError, CollectionNotFound


def built(fake: FakeQdrant, old: Collection, number: int) -> Collection:
    """A collection of one page, built beside."""
    beside = open_collection(fake.url, old.rebuild_name, fingerprint=FINGERPRINT)
    beside.upsert([page(number)])
    return beside


def pages_of(collection: Collection) -> list[int | None]:
    return [point.payload.page for point in collection.scroll()]


def test_a_collection_takes_anothers_place_again_and_again(fake: FakeQdrant) -> None:
    reader = open_collection(fake.url, fingerprint=FINGERPRINT)
    reader.upsert([page(1)])
    for number in (2, 3, 4):
        with open_collection(fake.url) as old, built(fake, old, number) as beside:
            old.replace_by(beside)
        assert pages_of(reader) == [number]  # open all the while
        with open_collection(fake.url, fingerprint=FINGERPRINT) as again:
            assert pages_of(again) == [number]
        assert len(fake.creations) == 1  # and nothing is left over
    reader.close()


def test_an_alias_is_turned_in_one_request(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as old, built(fake, old, 2) as beside:
        old.replace_by(beside)
        with built(fake, old, 3) as next_one:
            fake.requests.clear()
            old.replace_by(next_one)
    [turn] = fake.asked("/collections/aliases")
    assert turn.body["actions"] == [
        {"delete_alias": {"alias_name": "default"}},
        {"create_alias": {"collection_name": "default~next", "alias_name": "default"}},
    ]
    changes = [str(each) for each in fake.requests if each.method != "GET"]
    assert changes == ["POST /collections/aliases", "DELETE /collections/default~new"]


@pytest.mark.parametrize("step", ["update_collection", "delete_collection", "_point"])
def test_an_interrupted_replacement_is_finished_by_who_opens_next(
    fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with open_collection(fake.url, fingerprint=FINGERPRINT) as old, built(fake, old, 2) as beside:
        old.upsert([page(1)])
        with monkeypatch.context() as patched:
            target = ServerEngine if step == "_point" else type(old.client)
            patched.setattr(target, step, killed)
            with pytest.raises(Killed):
                old.replace_by(beside)
    with open_collection(fake.url, create=False) as found:
        assert pages_of(found) == ([2] if step == "_point" else [1])  # whole, the one or the other


def test_a_search_in_the_moment_between_is_asked_again(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as old, built(fake, old, 2) as beside:
        engine = beside.engine
        engine.client.delete_collection("default")
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            engine._point("default", "default~new")  # type: ignore[attr-defined]

        old.client.http.client._client._transport._sleep = sleep
        assert pages_of(old) == [2] and len(slept) == 1


def test_an_alias_is_dropped_with_what_it_stands_for(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as old, built(fake, old, 2) as beside:
        old.replace_by(beside)
        old.drop()
    assert not fake.creations and not fake.store.aliases


def test_aliases_are_among_the_names_that_are_told(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as old, built(fake, old, 2) as beside:
        old.replace_by(beside)
    with pytest.raises(CollectionNotFound, match=r"there are: default, default~new\)"):
        open_collection(fake.url, "nowhere")


def test_points_of_a_collection_that_is_gone_for_good_are_told(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        collection.client.delete_collection("default")
        collection.client.http.client._client._transport._sleep = lambda seconds: None
        with pytest.raises(CollectionError, match="HTTP 404, Not found: Collection `default` doesn't exist!"):
            collection.count()
