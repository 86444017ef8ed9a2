"""The embedded engine with the methods of `qdrant_client.QdrantClient`.

Written against what the LangChain and LlamaIndex stores call, and what `Collection` calls; the rest of QdrantClient
says that it needs a server. A request means what it means to a server of one node; arguments that only steer a server
(`wait`, `ordering`, `timeout`, the numbers of shards and replicas) are accepted and have nothing to steer.
"""

# ruff: noqa: PLR0917  the arguments are QdrantClient's, in its order
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.client_base import QdrantBase

from vlm2vec_rag.collection.bm25 import Words
from vlm2vec_rag.collection.edge import to_edge
from vlm2vec_rag.collection.edge.checks import json_of
from vlm2vec_rag.collection.edge.config import describe, edge_payload_schema
from vlm2vec_rag.collection.edge.folder import Folder
from vlm2vec_rag.collection.edge.reading import Reading
from vlm2vec_rag.collection.edge.shard import Shard
from vlm2vec_rag.collection.edge.to_edge import unsupported
from vlm2vec_rag.collection.edge.writing import Writing
from vlm2vec_rag.collection.points import WORDLESS
from vlm2vec_rag.collection.schema import DENSE
from vlm2vec_rag.collection.searching import Scored, Search
from vlm2vec_rag.errors import CollectionError


class EdgeClient(Reading, Writing, QdrantBase):  # type: ignore[misc]  # query types it cannot serve are left out
    """All collections of one folder, in this process. Safe to use from several threads; not across a fork.

    Closing it flushes. It is closed at the latest when the interpreter ends or nothing refers to it any more.

    Raises:
        CollectionLocked: Another process has the folder open.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self._folder = Folder(Path(path))
        self._shards: dict[str, Shard] = {}
        self._opening = threading.RLock()
        self._close = weakref.finalize(self, _close, self._folder, self._shards, os.getpid())

    def get_collections(self, **_: Any) -> models.CollectionsResponse:
        names = self._folder.names()
        return models.CollectionsResponse(collections=[models.CollectionDescription(name=name) for name in names])

    def collection_exists(self, collection_name: str, **_: Any) -> bool:
        return self._folder.has(collection_name)

    def get_collection(self, collection_name: str, **_: Any) -> models.CollectionInfo:
        shard = self._shard(collection_name)
        return describe(shard.config, shard.engine.info())

    def create_collection(
        self,
        collection_name: str,
        vectors_config: models.VectorParams | Mapping[str, models.VectorParams] | None = None,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        hnsw_config: models.HnswConfigDiff | None = None,
        quantization_config: Any = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> bool:
        config = models.CreateCollection(
            vectors=dict(vectors_config) if isinstance(vectors_config, Mapping) else vectors_config,
            sparse_vectors=dict(sparse_vectors_config) if sparse_vectors_config else None,
            hnsw_config=hnsw_config,
            quantization_config=quantization_config,
            metadata=json_of(metadata, of="the collection"),
        )
        with self._opening, self._folder.making(collection_name) as folder:
            Shard.make(folder, config)
        return True

    def recreate_collection(self, collection_name: str, *args: Any, **kwargs: Any) -> bool:
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, *args, **kwargs)

    def update_collection(self, collection_name: str, metadata: dict[str, Any] | None = None, **other: Any) -> bool:
        changes = [name for name, value in other.items() if value is not None and name != "timeout"]
        if changes:
            raise unsupported(f"a change of {', '.join(changes)}")
        self._shard(collection_name).set_metadata(json_of(metadata, of="the collection"))
        return True

    def delete_collection(self, collection_name: str, **_: Any) -> bool:
        with self._opening:
            if not self._folder.has(collection_name):
                return False
            if shard := self._shards.pop(collection_name, None):
                shard.close()
            self._folder.delete(collection_name)
        return True

    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, field_type: Any = None, **_: Any
    ) -> models.UpdateResult:
        schema = edge_payload_schema(field_schema or field_type or models.PayloadSchemaType.KEYWORD)
        self._shard(collection_name).write_schema(edge.UpdateOperation.create_field_index(field_name, schema))
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def delete_payload_index(self, collection_name: str, field_name: str, **_: Any) -> models.UpdateResult:
        self._shard(collection_name).write_schema(edge.UpdateOperation.delete_field_index(field_name))
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    # beyond QdrantClient

    def rankings(self, collection_name: str, search: Search) -> list[list[Scored]]:
        """The rankings that `search` asks for: ids, scores, and which have no words; see `Search.by_side`."""
        conditions = [to_edge.filter_of(each) for each in search.conditions]
        params = to_edge.params_of(search.params)
        batch = edge.QueryBatchRequest(
            [
                edge.QueryRequest(
                    limit=search.depth,
                    query=edge.Query.Nearest(
                        edge.SparseVector(query.indices, query.values) if isinstance(query, Words) else query,
                        using=side,
                    ),
                    filter=condition,
                    params=params if side == DENSE else None,
                    with_payload=edge.PayloadSelector.Include([WORDLESS]) if side == DENSE else None,
                )
                for side, query in search.sides.items()
                for condition in conditions
            ]
        )
        responses = self._shard(collection_name).engine.query_batch(batch)
        return [
            [Scored(str(point.id), point.score, is_wordless=bool(point.payload)) for point in response]
            for response in responses
        ]

    def payloads(self, collection_name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The payloads of points, by id; those that are not there are left out."""
        found = self._shard(collection_name).engine.retrieve(list(ids), True, False)
        return {str(each.id): each.payload or {} for each in found}

    def flush(self, collection_name: str) -> None:
        """Make every write so far survive a power cut."""
        self._shard(collection_name).flush()

    def optimize(self, collection_name: str, *, wait: bool = True) -> bool:
        """Build the search index in a child process; see `Shard.optimize`."""
        return self._shard(collection_name).optimize(wait=wait)

    def replace_collection(self, collection_name: str, by: str) -> None:
        """Put a collection in the place of another in one step; who searches meanwhile waits."""
        with self._opening:
            for name in (collection_name, by):
                if shard := self._shards.pop(name, None):
                    shard.close()
            self._folder.replace(collection_name, by)

    def repair(self, collection_name: str) -> int:
        """Let what is left of a damaged collection be all of it; returns how many points that is.

        Raises:
            CollectionDamaged: The engine cannot open what is left.
        """
        with self._opening:
            self._folder.check_writable()
            if shard := self._shards.pop(collection_name, None):
                shard.close()
            shard = Shard(self._folder.of(collection_name), accept_loss=True)
            self._shards[collection_name] = shard
            shard.flush()
        return self.count(collection_name).count

    def path_of(self, collection_name: str) -> Path:
        """The folder of a collection."""
        return self._folder.of(collection_name)

    @property
    def is_read_only(self) -> bool:
        """Whether the folder cannot be written to."""
        return self._folder.is_read_only

    def check_writable(self) -> None:
        """Refuse to change what can only be read.

        Raises:
            CollectionError: It is so.
        """
        self._folder.check_writable()

    @property
    def is_closed(self) -> bool:
        return not self._close.alive

    def close(self, **_: Any) -> None:
        self._close()

    def _opened(self, name: str) -> Shard:
        if not self._folder.is_read_only:
            return Shard(self._folder.of(name))
        with self._folder.held_still():
            return Shard(self._folder.of(name), is_read_only=True)

    def _shard(self, name: str) -> Shard:
        shard = self._shards.get(name)
        if shard is None:
            with self._opening:
                if self.is_closed:
                    raise CollectionError(f"{self._folder.path} is closed; open the collection again")
                if name not in self._shards:
                    self._shards[name] = self._opened(name)
                shard = self._shards[name]
        return shard


def _close(folder: Folder, shards: dict[str, Shard], process: int) -> None:
    if process != os.getpid():
        return  # a forked child holds a copy; the folder is its parent's
    try:
        while shards:
            shards.popitem()[1].close()
    finally:
        folder.close()


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise unsupported(name)

    return refuse


# what QdrantBase offers and this engine has not: say so by name, where QdrantBase would raise without a word
for _name in vars(QdrantBase):
    if not _name.startswith("_") and getattr(EdgeClient, _name) is getattr(QdrantBase, _name):
        setattr(EdgeClient, _name, _refusing(_name))
