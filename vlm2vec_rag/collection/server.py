"""A Qdrant server or cluster: the connection, and what may be sent over it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import logging
import os
import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from vlm2vec_rag.collection import faults
from vlm2vec_rag.collection.addresses import Address, candidates, check_key_is_safe, without_credentials
from vlm2vec_rag.collection.engine import REBUILD_SUFFIX, Engine, scored
from vlm2vec_rag.collection.faults import API_KEY_VARIABLE
from vlm2vec_rag.collection.retry import CONNECT_S, AsyncRetryingTransport, Nodes, RetryingTransport, RetryPolicy
from vlm2vec_rag.collection.schema import Cluster
from vlm2vec_rag.collection.searching import Ranking, Search
from vlm2vec_rag.errors import CollectionError, InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection.limits import Limits

logger = logging.getLogger(__name__)

OLDEST_VERSION = (1, 16)  # the first that keeps a collection's metadata, and with it the fingerprint
FUSION = (1, 17)  # the oldest that is asked to fuse rankings; 1.18 was seen to
MEMORY_TIERS = (1, 19)  # the first that takes `memory` in place of `on_disk` and `always_ram`
OTHER_SUFFIX = "~next"
"""Of the name under which a collection is built while the alias stands for the one with REBUILD_SUFFIX."""

REPLACES = "vlm2vec_rag_replaces"
"""In a collection's metadata: the name whose place it takes, should that be interrupted."""

NODES_FOR_COPIES = 3  # with two, a vote on the cluster's own state stalls when one is away
VERSIONS_APART = 2  # minor versions between client and server: 1.18 with client 1.20 was seen to work

KEPT_CONNECTIONS = 20
KEPT_S = 60.0


class ServerEngine(Engine):
    """Qdrant at one or several addresses. Requests are repeated while it is busy or away; see `RetryPolicy`.

    Raises:
        InvalidInput: An address cannot be read, or a key would travel unencrypted.
        CollectionError: Nothing answers there, or what answers is no Qdrant or too old.
    """

    kind: ClassVar[str] = "server"
    is_here: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        ca_cert: str | os.PathLike[str] | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._api_key = api_key or os.environ.get(API_KEY_VARIABLE) or None
        self._timeout_s = timeout_s
        self._retry_policy = retry_policy or RetryPolicy()
        self.location = without_credentials(url)
        check_key_is_safe(url, self._api_key)
        self._tls = tls(ca_cert)
        self._nodes, self.version = self._find(candidates(url))
        self._check_version()
        transport = RetryingTransport(self._nodes, self._retry_policy, **self._connections())
        self._sync = QdrantClient(transport=transport, **self._options())
        super().__init__(self._sync, self.location)
        self.has_memory_tiers = self.version >= MEMORY_TIERS

    @property
    def aclient(self) -> AsyncQdrantClient:
        transport = AsyncRetryingTransport(self._nodes, self._retry_policy, **self._connections())
        return AsyncQdrantClient(transport=transport, **self._options())

    def spread(self, cluster: Cluster | None) -> Cluster:
        """One shard, and two copies of it from three nodes on, where nothing else was asked for."""
        asked = cluster or Cluster()
        copies = asked.replication_factor
        if copies is None and (nodes := self.nodes()) >= NODES_FOR_COPIES:
            copies = 2
            logger.info("%s has %d nodes: keeping two copies", self.location, nodes)
        return dataclasses.replace(asked, shard_number=asked.shard_number or 1, replication_factor=copies)

    def nodes(self) -> int:
        """How many nodes the cluster has; 1 for a single server, or where the key may not ask."""
        try:
            return self.peers()[0]
        except UnexpectedResponse as error:
            if error.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
                return 1
            raise

    def peers(self) -> tuple[int, list[str]]:
        """How many nodes the cluster has, and the addresses of those that are away."""
        status = self._sync.http.distributed_api.cluster_status().result
        failures = getattr(status, "message_send_failures", None) or {}
        return len(getattr(status, "peers", None) or {}) or 1, sorted(failures)

    def shards(self, name: str) -> list[tuple[int, str]]:
        """(number of the shard, state) of each copy."""
        placed = self._sync.http.distributed_api.collection_cluster_info(name).result
        if placed is None:
            return []
        here = [(each.shard_id, each.state.value) for each in placed.local_shards]
        return here + [(each.shard_id, each.state.value) for each in placed.remote_shards]

    def search(self, name: str, search: Search, limits: Limits) -> Ranking:
        """Rank the points in one request, or in one each where the server takes no batches.

        Where both sides weigh the same, the server fuses them: ten payloads travel in place of a hundred.
        """
        ask = self._sync.http.search_api
        if search.is_fusable and self.version >= FUSION:
            fused = ask.query_points(name, query_request=search.fused_request(most=limits.points)).result
            return Ranking.of_fused(search, scored(fused.points if fused else ()))
        requests = search.requests(most=limits.points)
        if len(requests) > 1 and (limits.searches is None or limits.searches >= len(requests)):
            batch = models.QueryRequestBatch.model_construct(searches=requests)
            responses = ask.query_batch_points(name, query_request_batch=batch).result or []
        else:
            responses = [
                answered
                for each in requests
                if (answered := ask.query_points(name, query_request=each).result) is not None
            ]
        return Ranking.of(search, search.by_side(scored(each.points) for each in responses))

    # another collection in one's place

    def names(self) -> list[str]:
        try:
            aliases = list(self._aliases())
        except UnexpectedResponse:  # a token for one collection may not be told
            aliases = []
        return sorted({*super().names(), *aliases})

    def rebuild_name(self, name: str) -> str:
        first, second = name + REBUILD_SUFFIX, name + OTHER_SUFFIX
        return second if self._aliases().get(name) == first else first

    def drop(self, name: str) -> None:
        self.client.delete_collection(self._aliases().get(name, name))

    def replace(self, name: str, by: str) -> None:
        """Let an alias of this name stand for the other collection; open collections go on under the name.

        An alias is turned in one step. A collection of the name itself has to make room for the alias first: between
        two requests only the other collection is there, whole, and whoever opens the name meanwhile puts up the alias.
        Requests for points that fall in between are asked again.
        """
        former = self._aliases().get(name)
        if former is None:
            self.client.update_collection(by, metadata={REPLACES: name})
            self.client.delete_collection(name)
            self._point(name, by)
            return
        if former != by:
            self._point(name, by, instead=True)
            self.client.delete_collection(former)

    def finish_replacing(self, name: str) -> bool:
        for by in (name + REBUILD_SUFFIX, name + OTHER_SUFFIX):
            if self.client.collection_exists(by):
                metadata = self.client.get_collection(by).config.metadata or {}
                if metadata.get(REPLACES) == name:
                    self._point(name, by)
                    return True
        return False

    def _aliases(self) -> dict[str, str]:
        return {each.alias_name: each.collection_name for each in self.client.get_aliases().aliases}

    def _point(self, alias: str, name: str, *, instead: bool = False) -> None:
        gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        made = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=alias))
        self.client.update_collection_aliases([gone, made] if instead else [made])

    # what went wrong

    def is_copy_missing(self, error: Exception) -> bool:
        return faults.is_copy_missing(error)

    def explain(self, error: Exception, doing: str) -> CollectionError:
        why = faults.reason(error, has_key=bool(self._api_key), timeout_s=self._timeout_s)
        return CollectionError(f"cannot {doing} at {self.location}: {why}")

    def _headers(self) -> dict[str, str]:
        headers = {
            # a compressed answer costs 2 ms and, on a kept connection of one machine, another 40 (its head and its body
            # leave in two writes, and the kernel waits in between): measured on 1.18.3
            "Accept-Encoding": "identity"
        }
        if self._api_key:
            # as a header, since `api_key` makes the client warn of http even towards this very machine
            headers["api-key"] = self._api_key
        return headers

    def _options(self) -> dict[str, Any]:
        """Arguments of a client."""
        return {
            "url": str(self._nodes.addresses[0]),
            "timeout": self._timeout_s,
            "headers": self._headers(),
            "verify": self._tls,
            "limits": _limits(),
            "check_compatibility": False,  # it warns from a thread of its own; `_check_version` looks
        }

    def _connections(self) -> dict[str, Any]:
        """Arguments of a transport: what a client would otherwise have chosen for its own."""
        return {"verify": self._tls, "limits": _limits()}

    def _find(self, written: Sequence[Sequence[Address]]) -> tuple[Nodes, tuple[int, int]]:
        """Where a Qdrant answers, that address first, and its version; the others are asked when it is away.

        Raises:
            CollectionError: None answers.
        """
        errors: list[Exception] = []
        for node, ways in enumerate(written):
            for port, way in enumerate(ways):
                try:
                    version = self._version_at(way)
                except (httpx.HTTPError, ValueError, UnexpectedResponse) as error:
                    if way.scheme == "http" and not isinstance(error, httpx.ConnectError) and speaks_tls(way):
                        raise CollectionError(f"cannot connect at {self.location}: {faults.SPEAKS_TLS}") from error
                    errors.append(error)
                    continue
                if node:
                    logger.warning("%s is away (%s); asking %s", written[0][0], errors[0], way)
                others = [each[min(port, len(each) - 1)] for each in (*written[node + 1 :], *written[:node])]
                return Nodes([way, *others]), version
        # a refusal or a wrong certificate tells more than a port at which nothing listens
        telling = next(
            (each for each in errors if not isinstance(each, httpx.ConnectError) or "SSL" in str(each)), None
        )
        first = telling or errors[0]
        raise self.explain(
            first if isinstance(first, UnexpectedResponse) else ResponseHandlingException(first), "connect"
        ) from first

    def _version_at(self, address: Address) -> tuple[int, int]:
        """Major and minor version of the Qdrant at an address.

        Raises:
            httpx.HTTPError: Nothing answers.
            UnexpectedResponse: It wants another key.
            ValueError: What answers is no Qdrant.
        """
        timeout = httpx.Timeout(self._timeout_s, connect=min(self._timeout_s, CONNECT_S))
        with httpx.Client(transport=httpx.HTTPTransport(verify=self._tls), timeout=timeout) as client:
            response = client.get(f"{address}/", headers=self._headers())
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise UnexpectedResponse.for_response(response)
        try:
            numbers = re.match(r"(\d+)\.(\d+)", response.json()["version"])
        except (ValueError, KeyError, TypeError):
            numbers = None
        if numbers is None:
            raise ValueError(f"{address} answers with HTTP {response.status_code} and names no version")
        return int(numbers[1]), int(numbers[2])

    def _check_version(self) -> None:
        shown = ".".join(map(str, self.version))
        if self.version < OLDEST_VERSION:
            raise CollectionError(
                f"the Qdrant server at {self.location} is version {shown}; "
                f"{'.'.join(map(str, OLDEST_VERSION))} or later is needed, update the server"
            )
        major, minor = importlib.metadata.version("qdrant-client").split(".")[:2]
        if self.version[0] != int(major) or abs(self.version[1] - int(minor)) > VERSIONS_APART:
            step = "update the server" if self.version < (int(major), int(minor)) else "update qdrant-client"
            logger.warning(
                "the Qdrant server at %s is version %s and qdrant-client is %s.%s; up to %d minor versions apart were "
                "seen to work together, %s if something fails",
                self.location, shown, major, minor, VERSIONS_APART, step,
            )  # fmt: skip


def _limits() -> httpx.Limits:
    # also to this very machine, where qdrant-client keeps none open: that is right for compressed answers only
    return httpx.Limits(max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=KEPT_S)


def speaks_tls(address: Address) -> bool:
    """Whether what listens at an address shakes hands by TLS; whose certificate it has does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host),
        ):
            return True
    except OSError:
        return False


_contexts: dict[str, ssl.SSLContext] = {}


def tls(ca_cert: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """How certificates are checked; one for all clients, since reading them takes longer than a request.

    Raises:
        InvalidInput: There is no certificate in the file.
    """
    # SSL_CERT_FILE and SSL_CERT_DIR are read here, as httpx does it
    key = "\0".join(
        (os.fspath(ca_cert or ""), *(os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")))
    )
    if key not in _contexts:
        context = httpx.create_ssl_context()
        if ca_cert:
            try:
                context.load_verify_locations(Path(ca_cert).expanduser())
            except (OSError, ssl.SSLError) as error:
                raise InvalidInput(
                    f"ca_cert {os.fspath(ca_cert)!r} holds no certificate that can be read: {error}"
                ) from error
        _contexts[key] = context
    return _contexts[key]
