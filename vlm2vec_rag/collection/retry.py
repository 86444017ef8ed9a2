"""Ask a server again when it is busy or away, for every request of a client, of frameworks' stores included.

qdrant-client itself repeats only `upload_points`. This sits below it, where its HTTP requests leave: requests of Qdrant
may all be repeated, because a point has an id that says what it holds, and writing it twice is writing it once. For the
same reason a request may go to another node of a cluster when the first does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from vlm2vec_rag.collection.addresses import Address

logger = logging.getLogger(__name__)

BUSY = frozenset({408, 429, 500, 502, 503, 504})
AWAY = frozenset({502, 503, 504})
"""What a proxy says of a node that does not answer, and a node that is only starting of itself: another may."""

CONNECT_S = 5.0
"""How long making a connection may take. Longer waits only help where a machine is gone, and then the next is asked."""

MOST_MISSES = 3
"""How often points of a collection that is not there are asked for."""

_CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""Most likely of a connection that was kept open, and that the other end had closed meanwhile."""

_RETRY_AFTER = re.compile(rb"[Rr]etry after (\d+(?:\.\d+)?) ?s")  # what Qdrant says in its text, without a header
_NO_SPACE = b"No space left"
_COPIES_APART = b"read operations failed"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to ask again, and how long to wait in between.

    The wait doubles each time and is cut at random to between half and all of it, so that many clients do not come
    back at once. A server that says how long it wants to be left alone is given that long, up to `longest_asked_s`.
    """

    times: int = 5
    first_s: float = 0.25
    longest_s: float = 30.0
    longest_asked_s: float = 300.0

    def waits(self) -> Iterator[float]:
        for time_ in range(self.times):
            yield min(self.first_s * 2**time_, self.longest_s) * random.uniform(0.5, 1.0)

    def wait_s(self, planned_s: float, response: httpx.Response | None) -> float:
        """How long to wait before the next attempt; the response must have been read."""
        return max(planned_s, min(_asked_s(response), self.longest_asked_s))


def _asked_s(response: httpx.Response | None) -> float:
    if response is None:
        return 0.0
    try:
        return float(response.headers["retry-after"])
    except (KeyError, ValueError):  # none, or a date, which no Qdrant server sends
        said = _RETRY_AFTER.search(response.content) if response.status_code == httpx.codes.TOO_MANY_REQUESTS else None
        return float(said[1]) if said else 0.0


def helps(response: httpx.Response) -> bool:
    """Whether asking again may help; the response must have been read.

    A full disk does not empty itself. And `consistency=all` cannot be had while a node is down: who asked for it has
    another question ready.
    """
    if response.status_code not in BUSY:
        return False
    return _NO_SPACE not in response.content and _COPIES_APART not in response.content


def _is_gone(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.NOT_FOUND and b"doesn't exist" in response.content


class Nodes:
    """The addresses of one server or cluster, and which of them is asked at present. Shared by all its connections.

    Raises:
        ValueError: There are no addresses.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        if not addresses:
            raise ValueError("expected at least one address")
        self.addresses = list(addresses)
        self._at = 0
        self._lock = threading.Lock()

    @property
    def present(self) -> Address:
        return self.addresses[self._at]

    def leave(self, away: Address, reason: str) -> None:
        """Ask the next address from now on, unless another thread already left this one."""
        with self._lock:
            if len(self.addresses) > 1 and self.present == away:
                self._at = (self._at + 1) % len(self.addresses)
                logger.warning("%s is away (%s); asking %s from now on", away, reason, self.present)

    def send_to(self, address: Address, request: httpx.Request, path: bytes) -> None:
        """Address a request, whose path without the address's own is given."""
        target = address.path.encode() + path
        request.url = request.url.copy_with(
            scheme=address.scheme, host=address.host, port=address.port, raw_path=target
        )
        request.headers["host"] = address.netloc


@dataclass(slots=True)
class _Attempt:
    """One request on its way: where it goes next, and whether to wait before that."""

    nodes: Nodes
    policy: RetryPolicy
    request: httpx.Request
    path: bytes
    waits: Iterator[float]
    tried: int = 0  # addresses that were away, one after the other
    stumbled: bool = False
    missed: int = 0

    @classmethod
    def of(cls, nodes: Nodes, policy: RetryPolicy, request: httpx.Request) -> _Attempt:
        own = nodes.addresses[0].path.encode()  # clients are made with the first address
        path = request.url.raw_path
        timeout = request.extensions.get("timeout")
        if isinstance(timeout, dict) and (timeout.get("connect") or CONNECT_S) >= CONNECT_S:
            request.extensions["timeout"] = {**timeout, "connect": CONNECT_S}
        return cls(nodes, policy, request, path.removeprefix(own), policy.waits())

    def begin(self) -> Address:
        address = self.nodes.present
        self.nodes.send_to(address, self.request, self.path)
        return address

    def after_error(self, address: Address, error: httpx.TransportError) -> float | None:
        """Seconds to wait before the next attempt, or None when there is none."""
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, _CUT_OFF) and not self.stumbled:
            self.stumbled = True
            return 0.0
        return self._after(address, None, reason)

    def after_answer(self, address: Address, response: httpx.Response) -> float | None:
        """The same after an answer; None as well when asking again would not help."""
        if _is_gone(response) and b"/points" in self.path and self.missed < MOST_MISSES:
            # a moment ago the collection was there: it is making room for an alias of its name
            self.missed += 1
            return self.policy.first_s
        return self._after(address, response, f"HTTP {response.status_code}") if helps(response) else None

    def _after(self, address: Address, response: httpx.Response | None, reason: str) -> float | None:
        if response is None or response.status_code in AWAY:
            self.nodes.leave(address, reason)
            self.tried += 1
            if self.tried < len(self.nodes.addresses):
                return 0.0  # another may answer at once
            self.tried = 0
        planned_s = next(self.waits, None)
        if planned_s is None:
            return None
        wait_s = self.policy.wait_s(planned_s, response)
        logger.warning("%s %s: %s; asking again in %.1f s", self.request.method, self.request.url, reason, wait_s)
        return wait_s


class RetryingTransport(httpx.HTTPTransport):
    """Sends a request up to 1 + `policy.times` times, each time to as many of the nodes as it takes."""

    def __init__(
        self, nodes: Nodes, policy: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.nodes, self.policy, self._sleep = nodes, policy, sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        attempt = _Attempt.of(self.nodes, self.policy, request)
        while True:
            address = attempt.begin()
            try:
                response = super().handle_request(request)
                response.read()  # here, so that an answer that is cut off is asked for again
            except httpx.TransportError as error:
                wait_s = attempt.after_error(address, error)
                if wait_s is None:
                    raise
            else:
                wait_s = attempt.after_answer(address, response)
                if wait_s is None:
                    return response
            self._sleep(wait_s)


class AsyncRetryingTransport(httpx.AsyncHTTPTransport):
    """The same, for an event loop."""

    def __init__(
        self,
        nodes: Nodes,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.nodes, self.policy, self._sleep = nodes, policy, sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = _Attempt.of(self.nodes, self.policy, request)
        while True:
            address = attempt.begin()
            try:
                response = await super().handle_async_request(request)
                await response.aread()  # here, so that an answer that is cut off is asked for again
            except httpx.TransportError as error:
                wait_s = attempt.after_error(address, error)
                if wait_s is None:
                    raise
            else:
                wait_s = attempt.after_answer(address, response)
                if wait_s is None:
                    return response
            await self._sleep(wait_s)
