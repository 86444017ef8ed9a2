"""Awaited, a collection gives what it gives otherwise, on every engine, and on a server without a thread's help."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from fake_qdrant import FakeQdrant, Fault
from points_and_places import FINGERPRINT, page, unit

from vlm2vec_rag.collection import Collection, Filter, open_collection
from vlm2vec_rag.collection.awaited import AwaitedCollection
from vlm2vec_rag.collection.retry import RetryPolicy
from vlm2vec_rag.errors import CollectionError, EmptyInput

PAGES = [page(number, f"page number {number}", source="a.pdf" if number < 4 else "b.pdf") for number in range(1, 7)]


async def test_what_is_written_awaited_is_found_both_ways(collection: Collection) -> None:
    awaited = AwaitedCollection(collection)
    assert await awaited.upsert(PAGES) == 6
    vector = PAGES[2].vector
    for asked in (
        {"vector": vector, "mode": "dense"},
        {"text": "number 5", "mode": "bm25"},
        {"vector": vector, "text": "number 5", "limit": 3},
        {"vector": vector, "filter": Filter(paths=["*b.pdf"])},
    ):
        found, expected = await awaited.search(**asked), collection.search(**asked)
        assert [each.payload for each in found] == [each.payload for each in expected] != []
        assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-6)
    await awaited.close()


async def test_points_are_read_and_deleted_awaited(collection: Collection) -> None:
    awaited = AwaitedCollection(collection)
    collection.upsert(PAGES)
    ids = [PAGES[3].id, "00000000-0000-0000-0000-000000000000", PAGES[0].id]
    [fourth, first] = await awaited.retrieve(ids, with_vectors=True)
    assert (fourth.id, first.id) == (PAGES[3].id, PAGES[0].id)
    np.testing.assert_allclose(first.vector, unit(PAGES[0].vector), atol=1e-6)
    vectors = await awaited.vectors_by_content(["content-2", "content-99"])
    assert list(vectors) == ["content-2"]
    np.testing.assert_allclose(vectors["content-2"], unit(PAGES[1].vector), atol=1e-6)
    await awaited.delete([PAGES[0].id])
    await awaited.delete(Filter(sources=["b.pdf"]))
    assert collection.count() == 2
    await awaited.close()


async def test_errors_are_the_same(collection: Collection) -> None:
    awaited = AwaitedCollection(collection)
    with pytest.raises(EmptyInput, match="nothing to search for"):
        await awaited.search(mode="bm25", text=" ")
    assert await awaited.search(text="the", mode="bm25") == []
    await awaited.close()


def test_each_event_loop_has_connections_of_its_own(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        awaited = AwaitedCollection(collection)

        async def write(number: int) -> None:
            await awaited.upsert([PAGES[number]])
            await awaited.close()

        asyncio.run(write(0))
        asyncio.run(write(1))
        assert collection.count() == 2


async def test_the_event_loop_goes_on_while_a_server_is_slow(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        collection.upsert(PAGES)
        awaited = AwaitedCollection(collection)
        await awaited.search(PAGES[0].vector)
        fake.fail(*[Fault(wait_s=0.3)] * 4)
        before = len(fake.requests)
        steps = 0

        async def count() -> None:
            nonlocal steps
            while True:
                await asyncio.sleep(0.01)
                steps += 1

        counting = asyncio.create_task(count())
        found = await asyncio.gather(*[awaited.search(PAGES[0].vector, limit=1) for _ in range(4)])
        counting.cancel()
        assert [each[0].id for each in found] == [PAGES[0].id] * 4
        assert len(fake.requests) == before + 4 and steps >= 10
        await awaited.close()


async def test_a_server_that_is_gone_is_named() -> None:
    with FakeQdrant() as gone:
        collection = open_collection(gone.url, fingerprint=FINGERPRINT)
        location = gone.url
    collection._engine._retry_policy = RetryPolicy(times=0)
    awaited = AwaitedCollection(collection)
    with pytest.raises(CollectionError, match=f"cannot search at {location}"):
        await awaited.search(PAGES[0].vector)
    await awaited.close()
    collection.close()
