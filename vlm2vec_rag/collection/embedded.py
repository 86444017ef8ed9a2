"""The engine in this process: one folder on disk, shared by everything in the process that opens it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vlm2vec_rag.collection.edge.client import EdgeClient
from vlm2vec_rag.collection.engine import Engine
from vlm2vec_rag.collection.searching import Ranking, Search
from vlm2vec_rag.disk import disk_bytes

if TYPE_CHECKING:
    from vlm2vec_rag.collection.limits import Limits

# A folder belongs to one process, and within it to one client: opening it twice, as a notebook cell that is run again
# does, gives the same client instead of a complaint about the lock.
_open: weakref.WeakValueDictionary[tuple[Path, int], EdgeClient] = weakref.WeakValueDictionary()
_users: weakref.WeakKeyDictionary[EdgeClient, weakref.WeakSet[EmbeddedEngine]] = weakref.WeakKeyDictionary()
_guard = threading.RLock()


class EmbeddedEngine(Engine):
    """qdrant-edge on a folder. The folder is released when the last of its users closes it.

    Raises:
        CollectionLocked: Another process has the folder open.
    """

    kind: ClassVar[str] = "embedded"

    def __init__(self, path: Path) -> None:
        key = (path.resolve(), os.getpid())  # a forked child must not take over its parent's client
        with _guard:
            client = _open.get(key)
            if client is None or client.is_closed:
                client = _open[key] = EdgeClient(path)
            _users.setdefault(client, weakref.WeakSet()).add(self)
        self._edge = client
        super().__init__(client, str(path))

    @property
    def is_read_only(self) -> bool:
        return self._edge.is_read_only

    def check_writable(self) -> None:
        self._edge.check_writable()

    def search(self, name: str, search: Search, limits: Limits) -> Ranking:
        """Rank the points by ids and scores alone: the payloads of those that drop out are never read."""
        return Ranking.of(search, search.by_side(self._edge.rankings(name, search)))

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return self._edge.payloads(name, ids)

    def flush(self, name: str) -> None:
        self._edge.flush(name)

    def optimize(self, name: str, *, wait: bool) -> bool:
        return self._edge.optimize(name, wait=wait)

    def repair(self, name: str) -> int:
        """Let what is left of a damaged collection be all of it; returns how many points that is."""
        return self._edge.repair(name)

    def replace(self, name: str, by: str) -> None:
        self._edge.replace_collection(name, by)

    def size_bytes(self, name: str) -> int:
        return disk_bytes(self._edge.path_of(name))

    def close(self) -> None:
        with _guard:
            users = _users.get(self._edge, weakref.WeakSet())
            users.discard(self)
            if not users:
                self._edge.close()
