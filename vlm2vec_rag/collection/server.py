"""A Qdrant server or cluster: the connection, what may be sent over it, and errors that say what to do."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import ssl
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import grpc  # type: ignore[import-untyped]
import httpx
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from vlm2vec_rag.collection.engine import Engine
from vlm2vec_rag.collection.retry import AsyncRetryingTransport, RetryingTransport, RetryPolicy
from vlm2vec_rag.errors import CollectionError, InvalidInput

logger = logging.getLogger(__name__)

API_KEY_VARIABLE = "QDRANT_API_KEY"
OLDEST_VERSION = (1, 16)  # the first that keeps a collection's metadata, and with it the fingerprint
GRPC_PORT = 6334
_REFUSED = frozenset({401, 403})


class ServerEngine(Engine):
    """Qdrant at an address. Requests are repeated while it is busy or away; see `RetryPolicy`.

    Raises:
        InvalidInput: The address cannot be read, or a key would travel unencrypted.
        CollectionError: Nothing answers there, or what answers is too old or refuses the key.
    """

    kind: ClassVar[str] = "server"
    is_here: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        prefer_grpc: bool = False,
        timeout_s: float = 30.0,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._url = url
        self._api_key = api_key or os.environ.get(API_KEY_VARIABLE) or None
        self._prefer_grpc = prefer_grpc
        self._timeout_s = timeout_s
        self._retry_policy = retry_policy or RetryPolicy()
        self.location = without_credentials(url)
        check_key_is_safe(url, self._api_key)
        transport = RetryingTransport(RetryPolicy(times=0), **self._connections())
        super().__init__(QdrantClient(transport=transport, **self._options()), self.location)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise
        transport.retry_policy = self._retry_policy  # only now: a wrong address should not take half a minute to say so

    @property
    def aclient(self) -> AsyncQdrantClient:
        transport = AsyncRetryingTransport(self._retry_policy, **self._connections())
        return AsyncQdrantClient(transport=transport, **self._options())

    def _options(self) -> dict[str, Any]:
        """Arguments of a client; made anew for each, since a client changes its `grpc_options`."""
        return {
            "url": self._url,
            "prefer_grpc": self._prefer_grpc,
            "grpc_port": GRPC_PORT,
            "timeout": self._timeout_s,
            # as a header, since `api_key` makes the client warn of http even towards this very machine
            "headers": {"api-key": self._api_key} if self._api_key else None,
            "grpc_options": {"grpc.service_config": _grpc_retries(self._retry_policy)},
            "verify": _tls(),
            "check_compatibility": False,  # it warns from a thread of its own; `_greet` looks at the version
        }

    def _connections(self) -> dict[str, Any]:
        """Arguments of a transport: what a client would otherwise have chosen for its own."""
        is_here = is_loopback(urlsplit(self._url).hostname or "")
        # qdrant-client keeps no connection to this machine open either: it met delays of the operating system
        kept = httpx.Limits(max_keepalive_connections=0 if is_here else 20)
        return {"verify": _tls(), "limits": kept}

    def _greet(self) -> None:
        with self.errors("connect"):
            version = self.client.info().version
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_VERSION:
            raise CollectionError(
                f"the Qdrant server at {self.location} is version {version}; "
                f"{'.'.join(map(str, OLDEST_VERSION))} or later is needed, update the server"
            )

    def explain(self, error: Exception, doing: str) -> CollectionError:
        return CollectionError(f"cannot {doing} at {self.location}: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        if isinstance(error, ResponseHandlingException):
            return self._transport_reason(error.source)
        if isinstance(error, UnexpectedResponse):
            return self._http_reason(error)
        if isinstance(error, grpc.RpcError):
            return self._grpc_reason(error)
        if isinstance(error, ResourceExhaustedResponse):
            return f"the server asks for less ({error}); try again later, or raise its limits"
        return str(error)

    def _transport_reason(self, source: Exception) -> str:
        if isinstance(source, httpx.TimeoutException):
            return self._is_slow()
        if isinstance(source, httpx.TransportError):
            return self._is_away(str(source))
        return f"its answer cannot be read: {source}; is this a Qdrant server?"

    def _http_reason(self, error: UnexpectedResponse) -> str:
        if error.status_code in _REFUSED:
            return self._is_refused(f"HTTP {error.status_code}")
        if error.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return "the request is too large for it or for a proxy before it; raise the limit there"
        return f"HTTP {error.status_code}, {_said(error)}"

    def _grpc_reason(self, error: Any) -> str:
        code, details = error.code(), error.details()
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return self._is_refused(f"gRPC {code.name}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return self._is_slow()
        if code == grpc.StatusCode.UNAVAILABLE:
            return self._is_away(f"gRPC on port {GRPC_PORT}: {details}")
        return f"gRPC {code.name}, {details}"

    def _is_slow(self) -> str:
        return f"no answer within {self._timeout_s:g} s; raise timeout_s, or look at the server's load"

    def _is_away(self, reason: str) -> str:
        return (
            f"nothing answers ({reason}); check the address and that the server runs, "
            f"for example: docker run -p 6333:6333 -p {GRPC_PORT}:{GRPC_PORT} qdrant/qdrant"
        )

    def _is_refused(self, reason: str) -> str:
        given = "the API key was refused" if self._api_key else "it wants an API key"
        return f"{given} ({reason}); give api_key, or set {API_KEY_VARIABLE}, to a key that may do this"


def check_key_is_safe(url: str, api_key: str | None) -> None:
    """Refuse to send a key where anyone on the way can read it.

    Raises:
        InvalidInput: The address is http and not of this machine, or no address at all.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidInput(
            f"{without_credentials(url)!r} is no address; expected http://host:6333 or https://host:6333"
        )
    if api_key and parts.scheme != "https" and not is_loopback(parts.hostname):
        raise InvalidInput(
            f"an API key would be sent to {parts.hostname} unencrypted; use https, "
            f"or unset {API_KEY_VARIABLE} if that server needs no key"
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_credentials(url: str) -> str:
    """The address as it may be printed: without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _said(error: UnexpectedResponse) -> str:
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return error.content[:200].decode("utf-8", "replace")


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all clients: reading the certificates takes longer than a request."""
    return httpx.create_ssl_context()


def _grpc_retries(retry_policy: RetryPolicy) -> str:
    """RetryPolicy as a gRPC service configuration; gRPC itself allows no more than five attempts."""
    return json.dumps(
        {
            "methodConfig": [
                {
                    "name": [{}],
                    "retryPolicy": {
                        "maxAttempts": min(retry_policy.times + 1, 5),
                        "initialBackoff": f"{retry_policy.first_s}s",
                        "maxBackoff": f"{retry_policy.longest_s}s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"],
                    },
                }
            ]
        }
    )
