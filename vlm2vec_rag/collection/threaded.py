"""The asynchronous face of a synchronous client, for frameworks that await their vector store."""

from __future__ import annotations

import asyncio
import functools
from typing import Any


class ThreadedClient:
    """Shaped like `qdrant_client.AsyncQdrantClient`: every method of `client`, run in a thread and awaited.

    It keeps the event loop free where the engine lets go of the interpreter. The embedded engine (0.9) holds it during
    a call, so there a search of a millisecond is a pause of a millisecond.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(method, *args, **kwargs)

        return awaited
