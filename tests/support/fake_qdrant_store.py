"""What the fake server does with a request: collections, points, aliases, strict mode, copies.

Requests are parsed with qdrant-client's own models and carried out by its in-memory store; what that store does
otherwise than a server is done here.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fake_qdrant_strict import RateLimit, check_strict
from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client.http import models
from qdrant_client.local.qdrant_local import QdrantLocal

if TYPE_CHECKING:
    from fake_qdrant_access import Access
    from fake_qdrant_cluster import Cluster

RANGE_TYPES = {"integer", "float", "datetime"}
OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 2,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
}
HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False}
WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}


@dataclass
class Refusal(Exception):
    """A request that a server refuses, and how."""

    status: int
    text: str
    is_plain: bool = False  # plain text in place of JSON


class Store:
    """All collections of a server or cluster."""

    def __init__(self, cluster: Cluster | None = None) -> None:
        self.cluster = cluster
        self.turn = threading.Lock()
        self.creations: dict[str, models.CreateCollection] = {}
        self.indexes: dict[str, dict[str, models.PayloadIndexInfo]] = {}
        self.aliases: dict[str, str] = {}
        self.strict: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, list[dict[str, Any]]] = {}
        # vectors of length one, which a server keeps as they are, and the in-memory store divides by their length again
        self.units: dict[tuple[str, str, str], list[float]] = {}
        self._rates: dict[tuple[str, str], RateLimit] = {}
        self._store = QdrantLocal(":memory:")

    def answer(self, request: Any, access: Access, node: int) -> Any:
        """Carry out one request.

        Raises:
            Refusal: The server refuses it.
        """
        method, path = request.method, request.path
        if (method, path) in _GLOBAL:
            return _GLOBAL[method, path](self, request.body, access, node)
        found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
        if found is None:
            raise Refusal(404, "", is_plain=True)
        given, rest = found[1], found[2] or ""
        named = re.fullmatch(r"/vectors/([^/]+)", rest)
        action = _ACTIONS.get((method, "/vectors/*" if named else rest))
        if action is None:
            raise Refusal(404, "", is_plain=True)
        name = self.aliases.get(given, given)
        asks = Asked(self, name, given, request.query, request.body, node, named[1] if named else "")
        self._check_access(method, rest, asks, access)
        if rest == "/exists":
            return models.CollectionExistence(exists=self._store.collection_exists(asks.name))
        if (method, rest) not in (("PUT", ""), ("DELETE", "")) and not self._store.collection_exists(asks.name):
            raise Refusal(404, f"Not found: Collection `{given}` doesn't exist!")
        if "/points" in rest or rest == "/facet":
            is_write = _is_write(method, rest)
            self._check_rate(asks.name, "write" if is_write else "read")
            check_strict(self.strict.get(asks.name, {}), rest, asks, self.indexes.get(asks.name, {}))
        try:
            return action(asks)
        except ValidationError as error:
            raise Refusal(400, f"Format error in JSON body: {error}") from error
        except ValueError as error:
            known = {"not found": 404, "already exists": 409}
            status = next((code for words, code in known.items() if words in str(error)), 400)
            raise Refusal(status, str(error)) from error

    def _check_access(self, method: str, rest: str, asks: Asked, access: Access) -> None:
        if not rest and method in ("PUT", "DELETE"):
            access.check_global(write=True)
        else:
            access.check(asks.given, write=_is_write(method, rest))

    def _check_rate(self, name: str, kind: str) -> None:
        limit = self.strict.get(name, {}).get(f"{kind}_rate_limit")
        if limit is None or not self.strict[name].get("enabled"):
            self._rates.pop((name, kind), None)
            return
        rate = self._rates.setdefault((name, kind), RateLimit(limit, time.monotonic()))
        if not rate.take(time.monotonic()):
            raise Refusal(
                429,
                f"Rate limiting exceeded: {kind.capitalize()} rate limit exceeded: Operation requires 1 tokens but "
                f"only 0.0 were available. Retry after {60 // limit}s",
            )

    # for the whole server

    def _list(self, _: Any, access: Access, __: int) -> Any:
        names = [each.name for each in self._store.get_collections().collections if access.sees(each.name)]
        return {"collections": [{"name": name} for name in names]}

    def _list_aliases(self, _: Any, access: Access, __: int) -> Any:
        return {
            "aliases": [
                {"alias_name": alias, "collection_name": name}
                for alias, name in self.aliases.items()
                if access.sees(name)
            ]
        }

    def _change_aliases(self, body: Any, access: Access, _: int) -> bool:
        access.check_global(write=True)
        after = dict(self.aliases)
        for action in body["actions"]:
            if made := action.get("create_alias"):
                if not self._store.collection_exists(made["collection_name"]):
                    raise Refusal(404, f"Not found: Collection `{made['collection_name']}` doesn't exist!")
                if self._store.collection_exists(made["alias_name"]):
                    raise Refusal(
                        409, f"Wrong input: Can't create alias with name {made['alias_name']}. "
                        "Collection with the same name already exists"
                    )  # fmt: skip
                after[made["alias_name"]] = made["collection_name"]
            elif gone := action.get("delete_alias"):
                after.pop(gone["alias_name"], None)
        self.aliases = after  # all of them or none
        return True

    def _describe_cluster(self, _: Any, access: Access, node: int) -> Any:
        access.check_global(write=False)
        return {"status": "disabled"} if self.cluster is None else self.cluster.describe(node)

    # for all copies

    def visible(self, asks: Asked) -> models.Filter | None:
        """A condition on the points that a read sees; None where all copies have the same.

        Raises:
            Refusal: A copy that is asked for is on a node that is down.
        """
        if self.cluster is None or asks.name not in self.cluster.collections:
            return None
        seen = self.cluster.visible(asks.name, consistency=asks.query.get("consistency"))
        if seen is None:
            raise Refusal(500, self.cluster.read_failure())
        return models.Filter(must=[models.HasIdCondition(has_id=[_id(each) for each in seen])])

    def written(self, asks: Asked, ids: Iterable[Any], *, are_gone: bool = False) -> None:
        """Note on the copies that are up what was written.

        Raises:
            Refusal: They are too few.
        """
        if self.cluster is None or asks.name not in self.cluster.collections:
            return
        cluster, name, touched = self.cluster, asks.name, {str(each) for each in ids}
        shards = cluster.collections[name]

        def apply(shard: int, held: set[str]) -> None:
            mine = {each for each in touched if shards.of(each) == shard}
            held -= mine
            if not are_gone:
                held |= mine

        error = cluster.write(name, touched, apply)
        if error:
            raise Refusal(500, error)


@dataclass
class Asked:
    """One request for a collection."""

    of: Store
    name: str
    given: str  # the name it was asked by: an alias, perhaps
    query: dict[str, str]
    body: Any
    node: int
    vector: str = ""

    @property
    def store(self) -> QdrantLocal:
        return self.of._store

    def parsed(self, model: type[Any]) -> Any:
        """The body, without fields that the model does not know: a server reads over them."""
        try:
            return model.model_validate(self.body)
        except ValidationError as error:
            extra = [
                each["loc"] for each in error.errors() if each["type"] == "extra_forbidden" and len(each["loc"]) == 1
            ]
            if not extra:
                raise
            unknown = {loc[0] for loc in extra}
            return model.model_validate({key: value for key, value in self.body.items() if key not in unknown})


def _is_write(method: str, rest: str) -> bool:
    reads = ("/points", "/points/query", "/points/query/batch", "/points/query/groups", "/points/scroll")
    return method != "GET" and not (method == "POST" and rest in (*reads, "/points/count", "/facet"))


def _id(written: str) -> Any:
    return int(written) if written.isdigit() else written


def _both(first: models.Filter | None, second: models.Filter | None) -> models.Filter | None:
    given = [each for each in (first, second) if each is not None]
    return given[0] if len(given) < 2 and given else models.Filter(must=given) if given else None


def _completed() -> models.UpdateResult:
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


# one function for each path


def _create(asks: Asked) -> bool:
    asked, of = asks.parsed(models.CreateCollection), asks.of
    if asks.given in of.aliases:
        raise Refusal(
            400, f"Wrong input: Can't create collection with name {asks.given}. Alias with the same name already exists"
        )
    if asks.store.collection_exists(asks.name):
        raise Refusal(409, f"Wrong input: Collection `{asks.name}` already exists!")
    asks.store.create_collection(
        asks.name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors, metadata=asked.metadata
    )
    of.creations[asks.name], of.indexes[asks.name] = asked, {}
    of.strict[asks.name] = asked.strict_mode_config.model_dump(exclude_none=True) if asked.strict_mode_config else {}
    if of.cluster is not None:
        of.cluster.make(
            asks.name,
            shards=asked.shard_number,
            copies=asked.replication_factor,
            write_factor=asked.write_consistency_factor,
        )
    return True


def _update(asks: Asked) -> bool:
    asked = asks.parsed(models.UpdateCollection)
    if asked.strict_mode_config is not None:
        asks.of.strict[asks.name] |= asked.strict_mode_config.model_dump(exclude_none=True)
        if not asks.of.strict[asks.name].get("enabled"):
            asks.of.strict[asks.name] = {}
    if asked.metadata is not None:
        asks.store.update_collection(asks.name, metadata=asked.metadata)
    return True


def _describe(asks: Asked) -> Any:
    of, local = asks.of, asks.store.get_collection(asks.name)
    asked = of.creations[asks.name]
    points = local.points_count or 0
    filled = {field: asks.store.count(asks.name, _has_field(field)).count for field in of.indexes[asks.name]}
    params = {
        "vectors": _dump(asked.vectors) or {},
        "sparse_vectors": _dump(asked.sparse_vectors),
        "shard_number": asked.shard_number or (len(of.cluster.is_up) if of.cluster else 1),
        "replication_factor": asked.replication_factor or 1,
        "write_consistency_factor": asked.write_consistency_factor or 1,
        "on_disk_payload": True,
    }
    config = {
        "params": {name: value for name, value in params.items() if value is not None},
        "hnsw_config": HNSW | (_dump(asked.hnsw_config) or {}),
        "optimizer_config": OPTIMIZERS,
        "wal_config": WAL,
        "quantization_config": _dump(asked.quantization_config),
        "strict_mode_config": of.strict[asks.name] or None,
        "metadata": local.config.metadata,
    }
    indexed = sum(
        asks.store.count(asks.name, models.Filter(must=[models.HasVectorCondition(has_vector=name)])).count
        for name in asked.sparse_vectors or ()
    )
    return {
        "status": "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": indexed,
        "points_count": points,
        "segments_count": 2,
        "config": {name: value for name, value in config.items() if value is not None},
        "payload_schema": {
            field: {"data_type": info.data_type.value, "points": filled[field]}
            for field, info in of.indexes[asks.name].items()
        },
        "update_queue": {"length": 0},
    }


def _has_field(field: str) -> models.Filter:
    return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=field))])


def _dump(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _dump(each) for name, each in value.items()} or None
    return value.model_dump(mode="json", exclude_none=True, by_alias=True) if isinstance(value, BaseModel) else value


def _delete_collection(asks: Asked) -> bool:
    of = asks.of
    if asks.given in of.aliases or not asks.store.collection_exists(asks.name):
        return False
    for known in (of.creations, of.indexes, of.strict, of.snapshots, *([of.cluster.collections] if of.cluster else [])):
        known.pop(asks.name, None)
    of.aliases = {alias: name for alias, name in of.aliases.items() if name != asks.name}
    return asks.store.delete_collection(asks.name)


def _index(asks: Asked) -> models.UpdateResult:
    asked = asks.parsed(models.CreateFieldIndex)
    if asks.of.cluster is not None and (error := asks.of.cluster.check_all(asks.name)):
        raise Refusal(500, error)
    kind = models.PayloadSchemaType(getattr(asked.field_schema, "type", asked.field_schema))
    asks.of.indexes[asks.name][asked.field_name] = models.PayloadIndexInfo(data_type=kind, points=0)
    return _completed()


def _upsert(asks: Asked) -> models.UpdateResult:
    for point in asks.body.get("points", ()):
        _check_id(point["id"])
    asked = _UPSERT.validate_python(asks.body)
    points = asked.batch if isinstance(asked, models.PointsBatch) else asked.points
    structs = [] if isinstance(points, models.Batch) else points
    for point in structs:
        _check_vectors(asks, point.vector)
        for vector_name, vector in (point.vector if isinstance(point.vector, dict) else {}).items():
            key = (asks.name, str(point.id), vector_name)
            asks.of.units.pop(key, None)
            if isinstance(vector, list) and abs(sum(each * each for each in vector) - 1) < 1e-6:
                asks.of.units[key] = vector
    asks.store.upsert(asks.name, points)
    asks.of.written(asks, points.ids if isinstance(points, models.Batch) else [each.id for each in structs])
    return _completed()


def _check_id(point_id: Any) -> None:
    if isinstance(point_id, int) and point_id >= 0:
        return
    try:
        uuid.UUID(point_id)
    except (ValueError, TypeError, AttributeError):
        raise Refusal(
            400,
            f"Format error in JSON body: value {point_id} is not a valid point ID, valid values are either an unsigned "
            "integer or a UUID",
        ) from None


def _check_vectors(asks: Asked, vectors: Any) -> None:
    asked = asks.of.creations[asks.name]
    dense = asked.vectors if isinstance(asked.vectors, dict) else {"": asked.vectors}
    for name, vector in (vectors if isinstance(vectors, dict) else {"": vectors}).items():
        if name not in dense and name not in (asked.sparse_vectors or {}):
            raise Refusal(400, f"Wrong input: Not existing vector name error: {name}")
        if isinstance(vector, list) and name in dense and not isinstance(vector[0], list):
            expected = dense[name].size
            if len(vector) != expected:
                raise Refusal(
                    400,
                    f"Wrong input: Vector dimension error: expected dim: {expected}, got {len(vector)} for vector "
                    f"'{name}'",
                )


def _retrieve(asks: Asked) -> list[models.Record]:
    asked = asks.parsed(models.PointRequest)
    return _exact(asks, asks.store.retrieve(asks.name, asked.ids, **_with(asked)))


def _exact(asks: Asked, records: list[models.Record]) -> list[models.Record]:
    for record in records:
        for name in record.vector if isinstance(record.vector, dict) else ():
            if (unit := asks.of.units.get((asks.name, str(record.id), name))) is not None:
                record.vector[name] = unit
    return records


def _ids_matching(asks: Asked, selector: Any) -> list[Any]:
    if getattr(selector, "points", None) is not None:
        return list(selector.points)
    found, _ = asks.store.scroll(asks.name, scroll_filter=selector.filter, limit=1_000_000, with_payload=False)
    return [each.id for each in found]


def _delete(asks: Asked) -> models.UpdateResult:
    if asks.body.get("points") == []:
        raise Refusal(400, "Bad request: Empty update request")
    selector = _SELECTOR.validate_python(asks.body)
    ids = _ids_matching(asks, selector)
    asks.store.delete(asks.name, selector)
    asks.of.written(asks, ids, are_gone=True)
    return _completed()


def _set_payload(asks: Asked) -> models.UpdateResult:
    asked = asks.parsed(models.SetPayload)
    points = asked.points if asked.points is not None else models.FilterSelector(filter=asked.filter)
    asks.store.set_payload(asks.name, payload=asked.payload, points=points, key=asked.key)
    return _completed()


def _update_vectors(asks: Asked) -> models.UpdateResult:
    asked = asks.parsed(models.UpdateVectors)
    for point in asked.points:
        _check_vectors(asks, point.vector)
    asks.store.update_vectors(asks.name, asked.points)
    return _completed()


def _query(asks: Asked) -> models.QueryResponse:
    return _ranked(asks, asks.parsed(models.QueryRequest))


def _query_batch(asks: Asked) -> list[models.QueryResponse]:
    return [_ranked(asks, each) for each in asks.parsed(models.QueryRequestBatch).searches]


def _ranked(asks: Asked, asked: models.QueryRequest) -> models.QueryResponse:
    visible = asks.of.visible(asks)
    prefetch = asked.prefetch if asked.prefetch is None or isinstance(asked.prefetch, list) else [asked.prefetch]
    # search parameters are left out: the store compares everything and would warn that they change nothing
    plain = [each.model_copy(update={"params": None, "filter": _both(each.filter, visible)}) for each in prefetch or ()]
    return asks.store.query_points(
        asks.name,
        query=asked.query,
        using=asked.using,
        prefetch=plain or None,
        query_filter=asked.filter if plain else _both(asked.filter, visible),
        limit=asked.limit or 10,
        offset=asked.offset,
        score_threshold=asked.score_threshold,
        **_with(asked),
    )


def _query_groups(asks: Asked) -> models.GroupsResult:
    asked = asks.parsed(models.QueryGroupsRequest)
    return asks.store.query_points_groups(
        asks.name,
        group_by=asked.group_by,
        query=asked.query,
        using=asked.using,
        query_filter=asked.filter,
        limit=asked.limit or 10,
        group_size=asked.group_size or 3,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )


def _scroll(asks: Asked) -> models.ScrollResult:
    asked = asks.parsed(models.ScrollRequest)
    if asked.order_by is not None:
        key = getattr(asked.order_by, "key", asked.order_by)
        info = asks.of.indexes[asks.name].get(key)
        if info is None or info.data_type.value not in RANGE_TYPES:
            raise Refusal(
                400,
                f"Wrong input: No range index for `order_by` key: `{key}`. Please create one to use `order_by`. "
                "Check https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload "
                "schemas support Range conditions",
            )
    points, following = asks.store.scroll(
        asks.name,
        scroll_filter=_both(asked.filter, asks.of.visible(asks)),
        limit=asked.limit or 10,
        offset=asked.offset,
        order_by=asked.order_by,
        **_with(asked),
    )
    return models.ScrollResult(points=_exact(asks, points), next_page_offset=following)


def _count(asks: Asked) -> models.CountResult:
    asked = asks.parsed(models.CountRequest)
    return asks.store.count(asks.name, _both(asked.filter, asks.of.visible(asks)))


def _facet(asks: Asked) -> models.FacetResponse:
    asked = asks.parsed(models.FacetRequest)
    if asked.key not in asks.of.indexes[asks.name]:
        raise Refusal(
            400,
            f"Wrong input: No appropriate index for faceting: `{asked.key}`. Please create one to facet on this field. "
            "Check https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas "
            "support Match conditions",
        )
    return asks.store.facet(asks.name, asked.key, asked.filter, limit=asked.limit or 10, exact=True)


def _add_vector(asks: Asked) -> models.UpdateResult:
    asked = asks.of.creations[asks.name]
    given = asks.body
    vectors = dict(asked.vectors) if isinstance(asked.vectors, dict) else {}
    sparse = dict(asked.sparse_vectors or {})
    if "dense" in given:
        vectors[asks.vector] = models.VectorParams.model_validate(given["dense"])
    else:
        sparse[asks.vector] = models.SparseVectorParams.model_validate(given["sparse"])
    _remake(asks, asked.model_copy(update={"vectors": vectors, "sparse_vectors": sparse or None}))
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.ACKNOWLEDGED)


def _drop_vector(asks: Asked) -> models.UpdateResult:
    asked = asks.of.creations[asks.name]
    vectors = {name: each for name, each in dict(asked.vectors or {}).items() if name != asks.vector}
    sparse = {name: each for name, each in (asked.sparse_vectors or {}).items() if name != asks.vector}
    _remake(asks, asked.model_copy(update={"vectors": vectors, "sparse_vectors": sparse or None}))
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.ACKNOWLEDGED)


def _remake(asks: Asked, asked: models.CreateCollection) -> None:
    """The in-memory store adds no vectors to a collection: make it anew."""
    metadata = asks.store.get_collection(asks.name).config.metadata
    records, _ = asks.store.scroll(asks.name, limit=1_000_000, with_payload=True, with_vectors=True)
    asks.store.delete_collection(asks.name)
    asks.store.create_collection(
        asks.name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors, metadata=metadata
    )
    names = {*dict(asked.vectors or {}), *(asked.sparse_vectors or {})}
    asks.store.upsert(
        asks.name,
        [
            models.PointStruct(
                id=each.id,
                payload=each.payload,
                vector={name: vector for name, vector in dict(each.vector or {}).items() if name in names},
            )
            for each in records
        ],
    )
    asks.of.creations[asks.name] = asked


def _snapshot(asks: Asked) -> Any:
    made = {
        "name": f"{asks.name}-{len(asks.of.snapshots.get(asks.name, ()))}.snapshot",
        "creation_time": "2026-11-30T03:20:36",
        "size": 251904,
        "checksum": "0" * 64,
    }
    asks.of.snapshots.setdefault(asks.name, []).append(made)
    return made


def _list_snapshots(asks: Asked) -> Any:
    return asks.of.snapshots.get(asks.name, [])


def _describe_shards(asks: Asked) -> Any:
    if asks.of.cluster is not None:
        return asks.of.cluster.describe_shards(asks.name, asks.node)
    points = asks.store.count(asks.name).count
    return {
        "peer_id": 1,
        "shard_count": 1,
        "local_shards": [{"shard_id": 0, "points_count": points, "state": "Active"}],
        "remote_shards": [],
        "shard_transfers": [],
    }


def _move(asks: Asked) -> bool:
    move = asks.body["move_shard"]
    if asks.of.cluster is None:
        raise Refusal(400, "Bad request: Distributed mode disabled")
    asks.of.cluster.move(asks.name, move["shard_id"], move["from_peer_id"], move["to_peer_id"])
    return True


_UPSERT: TypeAdapter[Any] = TypeAdapter(models.PointInsertOperations)
_SELECTOR: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)
_GLOBAL: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", "/healthz"): lambda *_: "healthz check passed",
    ("GET", "/readyz"): lambda *_: "all shards are ready",
    ("GET", "/livez"): lambda *_: "healthz check passed",
    ("GET", "/collections"): Store._list,
    ("GET", "/aliases"): Store._list_aliases,
    ("POST", "/collections/aliases"): Store._change_aliases,
    ("GET", "/cluster"): Store._describe_cluster,
}
_ACTIONS: dict[tuple[str, str], Callable[[Asked], Any]] = {
    ("PUT", ""): _create,
    ("PATCH", ""): _update,
    ("GET", ""): _describe,
    ("DELETE", ""): _delete_collection,
    ("GET", "/exists"): _describe,
    ("PUT", "/index"): _index,
    ("PUT", "/vectors/*"): _add_vector,
    ("DELETE", "/vectors/*"): _drop_vector,
    ("PUT", "/points"): _upsert,
    ("POST", "/points"): _retrieve,
    ("POST", "/points/delete"): _delete,
    ("POST", "/points/payload"): _set_payload,
    ("PUT", "/points/vectors"): _update_vectors,
    ("POST", "/points/query"): _query,
    ("POST", "/points/query/batch"): _query_batch,
    ("POST", "/points/query/groups"): _query_groups,
    ("POST", "/points/scroll"): _scroll,
    ("POST", "/points/count"): _count,
    ("POST", "/facet"): _facet,
    ("POST", "/snapshots"): _snapshot,
    ("GET", "/snapshots"): _list_snapshots,
    ("GET", "/cluster"): _describe_shards,
    ("POST", "/cluster"): _move,
}


def _with(asked: Any) -> dict[str, Any]:
    """What an answer should bring; a server sends payloads of a query only when asked to."""
    payload = asked.with_payload
    default = not isinstance(asked, models.QueryRequest)
    return {
        "with_payload": default if payload is None else payload,
        "with_vectors": False if asked.with_vector is None else asked.with_vector,
    }
