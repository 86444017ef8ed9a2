"""A collection for `await`: the reads and writes that a chatbot makes while it serves other people.

On a server the requests themselves are asynchronous. The embedded and the in-memory engine work in this process, so
there they run in a thread.
"""

# ruff: noqa: A002  `filter` as in Collection, whose inside this is a second face of
from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection.batches import batches
from vlm2vec_rag.collection.collection import PAGE_POINTS, Collection
from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.collection.points import Found, Point
from vlm2vec_rag.collection.schema import DENSE
from vlm2vec_rag.collection.searching import Mode
from vlm2vec_rag.collection.structs import dense_of, point_of
from vlm2vec_rag.collection.threaded import ThreadedClient

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AwaitedCollection:
    """The methods of `Collection` that take time, awaited; they raise the same errors.

    Connections belong to an event loop, so there is one client for each; `close` ends the running loop's.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def search(
        self,
        vector: ArrayLike | None = None,
        text: str | None = None,
        *,
        mode: Mode = "hybrid",
        limit: int = 10,
        filter: Filter | models.Filter | None = None,
    ) -> list[Found]:
        """See `Collection.search`."""
        of = self.collection
        asked = await asyncio.to_thread(  # a filter with a pattern looks the sources up first
            of._requests, vector, text, mode=mode, limit=limit, filter=filter, exact=False
        )
        if not asked:
            return []
        with of._engine.errors("search"):
            responses = await self._client.query_batch_points(of.name, requests=list(asked.values()))
            answer = of._answer(asked, responses, mode=mode, limit=limit)
            missing = answer.without_payload
            return answer.found(await self._client.retrieve(of.name, ids=missing) if missing else ())

    async def upsert(self, points: Iterable[Point]) -> int:
        """See `Collection.upsert`."""
        of = self.collection
        written = 0
        for batch in batches(points, dim=of.dim):
            structs = of._structs(batch)
            with of._engine.errors("write points"):
                await self._client.upsert(of.name, points=structs, wait=True)
            written += len(structs)
        return written

    async def delete(self, points: Iterable[str] | Filter | models.Filter) -> None:
        """See `Collection.delete`."""
        of = self.collection
        selector = await asyncio.to_thread(of._selector, points)
        with of._engine.errors("delete points"):
            await self._client.delete(of.name, points_selector=selector, wait=True)

    async def retrieve(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """See `Collection.retrieve`."""
        of = self.collection
        with of._engine.errors("read points"):
            records = await self._client.retrieve(
                of.name, ids=list(ids), with_payload=True, with_vectors=of._vector_names(with_vectors)
            )
        found = {str(record.id): point_of(record) for record in records}
        return [found[each] for each in ids if each in found]

    async def vectors_by_content(self, content_hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """See `Collection.vectors_by_content`."""
        of = self.collection
        hashes = list(dict.fromkeys(content_hashes))
        found: dict[str, NDArray[np.float32]] = {}
        for at in range(0, len(hashes) if of.dim else 0, PAGE_POINTS):
            condition = Filter(content_hashes=hashes[at : at + PAGE_POINTS]).to_qdrant()
            offset, is_first = None, True
            while is_first or offset is not None:
                is_first = False
                with of._engine.errors("read points"):
                    records, offset = await self._client.scroll(
                        of.name,
                        scroll_filter=condition,
                        limit=PAGE_POINTS,
                        offset=offset,
                        with_payload=["content_hash"],
                        with_vectors=[DENSE],
                    )
                for record in records:
                    if (vector := dense_of(record)) is not None:
                        found[str((record.payload or {})["content_hash"])] = vector
        return found

    async def close(self) -> None:
        """End the running loop's connections; the collection itself stays open."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None and not isinstance(client, ThreadedClient):
            await client.close()

    @property
    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = self.collection.aclient
        return self._clients[loop]
