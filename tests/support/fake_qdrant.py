"""A stand-in for a Qdrant server, for tests over real HTTP on this machine.

Requests are parsed with qdrant-client's own strict models, so a field that no server knows fails a test, and carried
out by qdrant-client's in-memory store. It shows that requests have the right shape and that refusals, limits and faults
are handled; it shows nothing of sharding, replication or the search index, which only a real server has.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client.http import models
from qdrant_client.local.qdrant_local import QdrantLocal

MOST_BYTES = 32 * 2**20  # a server's default `max_request_size_mb`


CUT = 0  # the status of a fault that cuts the connection instead of answering


@dataclass(frozen=True, slots=True)
class Fault:
    """How a request goes wrong: what it is answered instead (200 answers it after all), and how late."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the fake."""

    method: str
    path: str
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class FakeQdrant:
    """A server on a free port of the loopback interface.

    Args:
        api_key: Refuse requests without this key.
        version: What it says it is.
    """

    def __init__(self, *, api_key: str | None = None, version: str = "1.20.0") -> None:
        self.api_key = api_key
        self.version = version
        self.requests: list[Request] = []
        self.creations: dict[str, models.CreateCollection] = {}
        self.indexes: dict[str, dict[str, models.PayloadIndexInfo]] = {}
        self._faults: list[Fault] = []
        self._store = QdrantLocal(":memory:")
        self._turn = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, *faults: Fault | int) -> None:
        """Answer the next requests for points with these faults, one each."""
        self._faults.extend(each if isinstance(each, Fault) else Fault(each) for each in faults)

    def asked(self, path: str) -> list[Request]:
        """The requests so far whose path ends in this."""
        return [request for request in self.requests if request.path.endswith(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FakeQdrant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_fault(self, path: str) -> Fault | None:
        return self._faults.pop(0) if self._faults and "/points" in path else None

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Carry out one request.

        Raises:
            LookupError: There is no such path.
            ValueError: The store, or the model of the request, refuses it.
        """
        with self._turn:
            if path == "/":
                return {"title": "qdrant - vector search engine", "version": self.version}
            if path == "/collections":
                return self._store.get_collections()
            found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
            action = _ACTIONS.get((method, found[2] or "")) if found else None
            if found is None or action is None:
                raise LookupError(f"the fake has no {method} {path}")
            return action(self, found[1], body)

    # one method for each path

    def _create(self, name: str, body: bytes) -> bool:
        asked = models.CreateCollection.model_validate_json(body)
        self._store.create_collection(
            name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors, metadata=asked.metadata
        )
        self.creations[name] = asked
        self.indexes[name] = {}
        return True

    def _update(self, name: str, body: bytes) -> bool:
        asked = models.UpdateCollection.model_validate_json(body)
        return self._store.update_collection(name, metadata=asked.metadata)

    def _describe(self, name: str, _: bytes) -> models.CollectionInfo:
        return self._store.get_collection(name).model_copy(update={"payload_schema": self.indexes[name]})

    def _delete_collection(self, name: str, _: bytes) -> bool:
        return self._store.delete_collection(name)

    def _exists(self, name: str, _: bytes) -> models.CollectionExistence:
        return models.CollectionExistence(exists=self._store.collection_exists(name))

    def _index(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.CreateFieldIndex.model_validate_json(body)
        self._store.get_collection(name)
        kind = models.PayloadSchemaType(getattr(asked.field_schema, "type", asked.field_schema))
        self.indexes[name][asked.field_name] = models.PayloadIndexInfo(data_type=kind, points=0)
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def _upsert(self, name: str, body: bytes) -> models.UpdateResult:
        asked = _UPSERT.validate_json(body)
        return self._store.upsert(name, asked.batch if isinstance(asked, models.PointsBatch) else asked.points)

    def _retrieve(self, name: str, body: bytes) -> list[models.Record]:
        asked = models.PointRequest.model_validate_json(body)
        return self._store.retrieve(name, asked.ids, **_with(asked))

    def _delete(self, name: str, body: bytes) -> models.UpdateResult:
        return self._store.delete(name, _SELECTOR.validate_json(body))

    def _set_payload(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.SetPayload.model_validate_json(body)
        points = asked.points if asked.points is not None else models.FilterSelector(filter=asked.filter)
        return self._store.set_payload(name, payload=asked.payload, points=points, key=asked.key)

    def _query(self, name: str, body: bytes) -> models.QueryResponse:
        return self._ranked(name, models.QueryRequest.model_validate_json(body))

    def _query_batch(self, name: str, body: bytes) -> list[models.QueryResponse]:
        return [self._ranked(name, each) for each in models.QueryRequestBatch.model_validate_json(body).searches]

    def _ranked(self, name: str, asked: models.QueryRequest) -> models.QueryResponse:
        # search parameters are left out: the store compares everything and would warn that they change nothing
        return self._store.query_points(
            name,
            query=asked.query,
            using=asked.using,
            prefetch=asked.prefetch,
            query_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            score_threshold=asked.score_threshold,
            **_with(asked),
        )

    def _scroll(self, name: str, body: bytes) -> models.ScrollResult:
        asked = models.ScrollRequest.model_validate_json(body)
        points, following = self._store.scroll(
            name,
            scroll_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            order_by=asked.order_by,
            **_with(asked),
        )
        return models.ScrollResult(points=points, next_page_offset=following)

    def _count(self, name: str, body: bytes) -> models.CountResult:
        return self._store.count(name, models.CountRequest.model_validate_json(body).filter)

    def _facet(self, name: str, body: bytes) -> models.FacetResponse:
        asked = models.FacetRequest.model_validate_json(body)
        return self._store.facet(name, asked.key, asked.filter, limit=asked.limit or 10, exact=True)


_UPSERT: TypeAdapter[Any] = TypeAdapter(models.PointInsertOperations)
_SELECTOR: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)
_ACTIONS: dict[tuple[str, str], Callable[[FakeQdrant, str, bytes], Any]] = {
    ("PUT", ""): FakeQdrant._create,
    ("PATCH", ""): FakeQdrant._update,
    ("GET", ""): FakeQdrant._describe,
    ("DELETE", ""): FakeQdrant._delete_collection,
    ("GET", "/exists"): FakeQdrant._exists,
    ("PUT", "/index"): FakeQdrant._index,
    ("PUT", "/points"): FakeQdrant._upsert,
    ("POST", "/points"): FakeQdrant._retrieve,
    ("POST", "/points/delete"): FakeQdrant._delete,
    ("POST", "/points/payload"): FakeQdrant._set_payload,
    ("POST", "/points/query"): FakeQdrant._query,
    ("POST", "/points/query/batch"): FakeQdrant._query_batch,
    ("POST", "/points/scroll"): FakeQdrant._scroll,
    ("POST", "/points/count"): FakeQdrant._count,
    ("POST", "/facet"): FakeQdrant._facet,
}


def _with(asked: Any) -> dict[str, Any]:
    """What an answer should bring; a server sends payloads of a query only when asked to."""
    payload = asked.with_payload
    default = not isinstance(asked, models.QueryRequest)
    return {
        "with_payload": default if payload is None else payload,
        "with_vectors": False if asked.with_vector is None else asked.with_vector,
    }


class _Handler(BaseHTTPRequestHandler):
    """One connection to the fake."""

    fake: FakeQdrant
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.fake.requests.append(Request(self.command, path, json.loads(body) if body else None))
        fault = self.fake.next_fault(path) or Fault(200)
        threading.Event().wait(fault.wait_s)
        if self.fake.api_key and self.headers.get("api-key") != self.fake.api_key:
            self._refuse(401, "Must provide an API key or an Authorization bearer token")
        elif len(body) > MOST_BYTES:
            self._refuse(413, "Payload too large")
        elif fault.status == CUT:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault.status != 200:
            self._refuse(fault.status, f"injected {fault.status}", fault.headers)
        else:
            self._answer(path, body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_any  # noqa: N815  the names http.server looks for

    def _answer(self, path: str, body: bytes) -> None:
        try:
            answer = self.fake.answer(self.command, path, body)
        except LookupError as error:
            self._refuse(404, str(error))
        except ValidationError as error:
            self._refuse(400, f"Format error in JSON body: {error}")
        except ValueError as error:
            known = {"not found": 404, "already exists": 409}
            self._refuse(next((code for words, code in known.items() if words in str(error)), 400), str(error))
        else:
            self._send(200, answer if path == "/" else {"result": answer, "status": "ok", "time": 0.0})

    def _refuse(self, status: int, error: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._send(status, {"status": {"error": error}, "time": 0.0}, headers)

    def _send(self, status: int, content: Any, headers: Iterable[tuple[str, str]] = ()) -> None:
        body = json.dumps(content, default=_json_of).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests have their own output."""


def _json_of(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, by_alias=True)
    raise TypeError(f"{type(value).__name__} is no JSON")
