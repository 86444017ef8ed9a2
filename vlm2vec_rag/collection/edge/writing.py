"""The writing half of `EdgeClient`: points, vectors and payloads. Everything is checked before the engine logs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from vlm2vec_rag.collection.edge import to_edge
from vlm2vec_rag.collection.edge.checks import json_of
from vlm2vec_rag.collection.edge.shard import Shard
from vlm2vec_rag.errors import InvalidInput

_UPDATE_MODES = {
    None: None,
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
}
_Operation = edge.UpdateOperation


class Writing:
    """Writes of one collection each, named as in `qdrant_client.QdrantClient`."""

    def _shard(self, name: str) -> Shard:
        """The shard of a collection; the client that this is mixed into knows it."""
        raise NotImplementedError

    def upsert(
        self,
        collection_name: str,
        points: Any,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **_: Any,
    ) -> models.UpdateResult:
        """Write points: all of them or, when one does not fit, none."""
        shard = self._shard(collection_name)
        checked = [_point(shard, *each) for each in _rows(points)]
        condition = to_edge.filter_of(update_filter)
        shard.write(_Operation.upsert_points(checked, condition, _UPDATE_MODES[update_mode]), _ids(checked))
        return _completed()

    def upload_points(
        self, collection_name: str, points: Iterable[models.PointStruct], batch_size: int = 64, **kwargs: Any
    ) -> None:
        remaining = iter(points)
        while batch := list(islice(remaining, batch_size)):
            self.upsert(collection_name, batch, **kwargs)

    def update_vectors(
        self, collection_name: str, points: Sequence[models.PointVectors], **_: Any
    ) -> models.UpdateResult:
        shard = self._shard(collection_name)
        checked = [edge.PointVectors(to_edge.id_of(each.id), _vectors(shard, each.id, each.vector)) for each in points]
        shard.write(_Operation.update_vectors(checked), _ids(checked), must_exist=True)
        return _completed()

    def delete_vectors(
        self, collection_name: str, vectors: Sequence[str], points: Any, **_: Any
    ) -> models.UpdateResult:
        names = self._shard(collection_name).rules.known(vectors)
        return self._update(
            collection_name,
            points,
            lambda ids: _Operation.delete_vectors(ids, names),
            lambda condition: _Operation.delete_vectors_by_filter(condition, names),
        )

    def delete(self, collection_name: str, points_selector: Any, **_: Any) -> models.UpdateResult:
        shard = self._shard(collection_name)
        ids, condition = to_edge.selection_of(points_selector)
        if ids is None:
            shard.write_matching(_Operation.delete_points_by_filter(condition), condition, deletes=True)
        else:
            shard.delete(_Operation.delete_points(ids), ids)
        return _completed()

    def set_payload(
        self, collection_name: str, payload: dict[str, Any], points: Any, key: str | None = None, **_: Any
    ) -> models.UpdateResult:
        plain = json_of(payload, of="the update")
        return self._update(
            collection_name,
            points,
            lambda ids: _Operation.set_payload(ids, plain, key),
            lambda condition: _Operation.set_payload_by_filter(condition, plain, key),
        )

    def overwrite_payload(
        self, collection_name: str, payload: dict[str, Any], points: Any, **_: Any
    ) -> models.UpdateResult:
        plain = json_of(payload, of="the update")
        return self._update(
            collection_name,
            points,
            lambda ids: _Operation.overwrite_payload(ids, plain),
            lambda condition: _Operation.overwrite_payload_by_filter(condition, plain),
        )

    def delete_payload(self, collection_name: str, keys: Sequence[str], points: Any, **_: Any) -> models.UpdateResult:
        return self._update(
            collection_name,
            points,
            lambda ids: _Operation.delete_payload(ids, list(keys)),
            lambda condition: _Operation.delete_payload_by_filter(condition, list(keys)),
        )

    def clear_payload(self, collection_name: str, points_selector: Any, **_: Any) -> models.UpdateResult:
        return self._update(
            collection_name, points_selector, _Operation.clear_payload, _Operation.clear_payload_by_filter
        )

    def _update(
        self,
        name: str,
        selector: Any,
        by_ids: Callable[[list[Any]], Any],
        by_filter: Callable[[Any], Any],
    ) -> models.UpdateResult:
        shard = self._shard(name)
        ids, condition = to_edge.selection_of(selector)
        if ids is None:
            shard.write_matching(by_filter(condition), condition)
        else:
            shard.write(by_ids(ids), ids, must_exist=True)
        return _completed()


def _rows(points: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(id, vector, payload) of each point, whether given as points or as one batch of columns."""
    if not isinstance(points, models.Batch):
        for point in points:
            yield point.id, point.vector, point.payload
        return
    count = len(points.ids)
    payloads: list[Any] = points.payloads or [None] * count
    columns = points.vectors if isinstance(points.vectors, dict) else {"": points.vectors}
    for column in (payloads, *columns.values()):
        if len(column) != count:
            raise InvalidInput(
                f"a batch of {count} ids has {len(column)} vectors or payloads; expected as many of each"
            )
    for at, point_id in enumerate(points.ids):
        yield point_id, {name: column[at] for name, column in columns.items()}, payloads[at]


def _point(shard: Shard, point_id: Any, vector: Any, payload: Any) -> Any:
    try:
        return edge.Point(
            to_edge.id_of(point_id), _vectors(shard, point_id, vector), json_of(payload, of=f"point {point_id}")
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"point {point_id} cannot be stored: {error}") from error


def _vectors(shard: Shard, point_id: Any, vector: Any) -> dict[str, Any]:
    named = shard.rules.named(vector, of=f"point {point_id}")
    return {name: to_edge.vector_of(each) for name, each in named.items()}


def _ids(points: Iterable[Any]) -> list[Any]:
    return [point.id for point in points]


def _completed() -> models.UpdateResult:
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
