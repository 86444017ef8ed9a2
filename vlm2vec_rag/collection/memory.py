"""The engine that keeps all in memory and forgets it on close: qdrant-client's own, for tests and small trials."""

from __future__ import annotations

import functools
import threading
from typing import Any, ClassVar, cast

from qdrant_client import QdrantClient
from qdrant_client.client_base import QdrantBase

from vlm2vec_rag.collection.engine import Engine


class MemoryEngine(Engine):
    """qdrant-client's in-memory store: exact, brute force, good for a few thousand points."""

    kind: ClassVar[str] = "in memory"
    has_indexes: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(cast(QdrantBase, OneAtATime(QdrantClient(":memory:"))), ":memory:")


class OneAtATime:
    """A client whose calls take turns: in qdrant-client's local mode a search beside a write fails."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not callable(member):
            return member

        @functools.wraps(member)
        def in_turn(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return member(*args, **kwargs)

        return in_turn
