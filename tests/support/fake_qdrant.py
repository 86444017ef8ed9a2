"""A stand-in for a Qdrant server, for tests over real HTTP on this machine.

What it answers was seen on a real server (1.18.3): the recordings in tests/data/qdrant_wire are replayed against it by
tests/vlm2vec_rag/collection/test_recordings.py. A request whose shape is in no recording is refused, and fails the test
that sent it when the fake is closed, so that nobody believes more than was seen; what is sent all the same stands in
`qdrant_recordings.NOT_RECORDED`, with the reason. Points are kept by qdrant-client's in-memory store. The fake shows
nothing of speed, of the search index, and of how a cluster moves data.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fake_qdrant_access import ANYONE, Access, Door
from fake_qdrant_cluster import Cluster
from fake_qdrant_store import Refusal, Store
from pydantic import BaseModel
from qdrant_recordings import is_covered

MOST_BYTES = 32 * 2**20  # a server's default `max_request_size_mb`

CUT = 0  # the status of a fault that cuts the connection instead of answering


@dataclass(frozen=True, slots=True)
class Fault:
    """How a request goes wrong: what it is answered instead (200 answers it after all), and how late."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait_s: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the fake."""

    method: str
    path: str
    body: Any
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    length: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class FakeQdrant:
    """A server on a free port of the loopback interface, or one node of a cluster.

    Args:
        api_key: Refuse requests without this key.
        version: What it says it is.
        read_only_key: A key that may only read.
        tokens: What each token may do; see `Access`.
        node: Which node of the cluster this is, from 0.
        cluster: The cluster it belongs to; a server of its own has none.
        store: The collections; those of the cluster for its nodes.
        is_checked: Whether a request that no recording covers is refused.
        tls: A server-side TLS context, to speak https.
        prefix: A path before all others, as behind a proxy.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        version: str = "1.18.3",
        read_only_key: str | None = None,
        tokens: dict[str, Access] | None = None,
        node: int = 0,
        cluster: Cluster | None = None,
        store: Store | None = None,
        is_checked: bool = True,
        tls: Any = None,
        prefix: str = "",
    ) -> None:
        self.door = Door(api_key, read_only_key, tokens or {})
        self.version, self.node, self.prefix = version, node, prefix
        self.store = store or Store(cluster)
        self.is_checked = is_checked
        self.requests: list[Request] = []
        self.uncovered: list[str] = []
        self._faults: list[Fault] = []
        self._turn = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._scheme = "http" if tls is None else "https"
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self._open: set[socket.socket] = set()
        self._is_closed = False

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{self.prefix}"

    @property
    def creations(self) -> dict[str, Any]:
        """What each collection was asked for."""
        return self.store.creations

    @property
    def indexes(self) -> dict[str, Any]:
        """The payload indexes of each collection."""
        return self.store.indexes

    def fail(self, *faults: Fault | int) -> None:
        """Answer the next requests for points with these faults, one each."""
        self._faults.extend(each if isinstance(each, Fault) else Fault(each) for each in faults)

    def asked(self, path: str) -> list[Request]:
        """The requests so far whose path ends in this."""
        return [request for request in self.requests if request.path.endswith(path)]

    def close(self) -> None:
        """Stop, and cut every connection, as a process that dies does."""
        if self._is_closed:
            return
        self._is_closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> FakeQdrant:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None and self.uncovered:
            raise AssertionError(
                "no recording of a real server covers: " + "; ".join(dict.fromkeys(self.uncovered))
                + " -- record it, or add it to NOT_RECORDED with the reason"
            )  # fmt: skip

    def next_fault(self, path: str) -> Fault | None:
        return self._faults.pop(0) if self._faults and "/points" in path else None

    def answer(self, request: Request, access: Access) -> Any:
        """Carry out one request.

        Raises:
            Refusal: The server refuses it.
        """
        if self.is_checked and (missing := is_covered(request.method, request.path, request.query, request.body)):
            self.uncovered.append(missing)
            raise Refusal(501, f"no recording covers {missing}")
        with self._turn if self.store.cluster is None else self.store.turn:
            if request.path == "/":
                return {"title": "qdrant - vector search engine", "version": self.version, "commit": "fake"}
            return self.store.answer(request, access, self.node)


class FakeCluster:
    """Three servers that keep copies of each other's shards; see `fake_qdrant_cluster`."""

    def __init__(self, nodes: int = 3, **options: Any) -> None:
        self.cluster = Cluster(nodes)
        store = Store(self.cluster)
        self.nodes = [FakeQdrant(node=at, cluster=self.cluster, store=store, **options) for at in range(nodes)]
        self.store = store
        self._options = options

    @property
    def urls(self) -> str:
        """All addresses, with commas between."""
        return ",".join(node.url for node in self.nodes)

    def kill(self, node: int) -> None:
        """End a node, as `kill -9` does."""
        self.cluster.is_up[node] = False
        self.nodes[node].close()

    def revive(self, node: int) -> None:
        """Let the other nodes find it again; its own port stays closed."""
        self.cluster.recover(node)

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *reason: Any) -> None:
        for node in self.nodes:
            node.__exit__(*reason)


class _Handler(BaseHTTPRequestHandler):
    """One connection to the fake."""

    fake: FakeQdrant
    protocol_version = "HTTP/1.1"
    timeout = 60
    # the head and the body of an answer leave in one write: in two, the kernel waits 40 ms on a kept connection
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.fake._open.add(self.connection)

    def finish(self) -> None:
        self.fake._open.discard(self.connection)
        super().finish()

    def do_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the connection was cut while the request came: nobody asked anything
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        prefix = self.fake.prefix
        path = parts.path.removeprefix(prefix)
        too_large = len(raw) > MOST_BYTES
        request = Request(
            self.command,
            path,
            None if too_large or not raw else json.loads(raw),
            dict(parse_qsl(parts.query)),
            {name.lower(): value for name, value in self.headers.items()},
            len(raw),
        )
        self.fake.requests.append(request)
        fault = self.fake.next_fault(path) or Fault(200)
        threading.Event().wait(fault.wait_s)
        if not parts.path.startswith(prefix):
            self._refuse(Refusal(404, "not found", is_plain=True))
        elif fault.status == CUT:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault.status != 200:
            self._refuse(Refusal(fault.status, fault.text or f"injected {fault.status}"), fault.headers)
        elif too_large:
            self._refuse(
                Refusal(400, f"JSON payload ({len(raw)} bytes) is larger than allowed (limit: {MOST_BYTES} bytes).")
            )
        else:
            self._answer(request)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_any  # noqa: N815  the names http.server looks for

    def _answer(self, request: Request) -> None:
        try:
            is_open = request.path in ("/", "/healthz", "/readyz", "/livez")
            access = ANYONE if is_open else self.fake.door.access(request.headers)
            answer = self.fake.answer(request, access)
        except Refusal as refusal:
            self._refuse(refusal)
        else:
            if request.path == "/" or not isinstance(answer, dict | list | bool | BaseModel):
                self._send(200, answer)
            else:
                self._send(200, {"result": answer, "status": "ok", "time": 0.0})

    def _refuse(self, refusal: Refusal, headers: Iterable[tuple[str, str]] = ()) -> None:
        error = {"status": {"error": refusal.text}, "time": 0.0}
        self._send(refusal.status, refusal.text if refusal.is_plain else error, headers)

    def _send(self, status: int, content: Any, headers: Iterable[tuple[str, str]] = ()) -> None:
        is_plain = isinstance(content, str)
        body = content.encode() if is_plain else json.dumps(content, default=_json_of).encode()
        kind = "text/plain" if is_plain else "application/json"
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Tests have their own output."""


def unused_port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _json_of(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, by_alias=True)
    raise TypeError(f"{type(value).__name__} is no JSON")
