"""Ask a server again when it is busy or out of reach, for every request of a client, of frameworks' stores included.

qdrant-client itself repeats only `upload_points`. This sits below it, where its HTTP requests leave: requests of Qdrant
may all be repeated, because a point has an id that says what it holds, and writing it twice is writing it once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

logger = logging.getLogger(__name__)

BUSY = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to ask again, and how long to wait in between.

    The wait doubles each time and is cut at random to between half and all of it, so that many clients do not come
    back at once. A server that says `Retry-After` is given that long, up to `longest_s`.
    """

    times: int = 5
    first_s: float = 0.25
    longest_s: float = 30.0

    def waits(self) -> Iterator[float]:
        for time_ in range(self.times):
            yield min(self.first_s * 2**time_, self.longest_s) * random.uniform(0.5, 1.0)

    def wait_s(self, planned_s: float, response: httpx.Response | None) -> float:
        try:
            asked_s = float(response.headers["retry-after"]) if response is not None else 0.0
        except (KeyError, ValueError):  # none, or a date, which no Qdrant server sends
            asked_s = 0.0
        return min(max(planned_s, asked_s), self.longest_s)


class RetryingTransport(httpx.HTTPTransport):
    """Sends a request up to 1 + `retry_policy.times` times."""

    def __init__(self, retry_policy: RetryPolicy, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.retry_policy = retry_policy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for planned_s in self.retry_policy.waits():
            response, reason = None, ""
            try:
                response = super().handle_request(request)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in BUSY:
                    return response
                reason = f"HTTP {response.status_code}"
                response.close()
            wait_s = self.retry_policy.wait_s(planned_s, response)
            _log(request, reason, wait_s)
            time.sleep(wait_s)
        return super().handle_request(request)


class AsyncRetryingTransport(httpx.AsyncHTTPTransport):
    """The same, for an event loop."""

    def __init__(self, retry_policy: RetryPolicy, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.retry_policy = retry_policy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for planned_s in self.retry_policy.waits():
            response, reason = None, ""
            try:
                response = await super().handle_async_request(request)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in BUSY:
                    return response
                reason = f"HTTP {response.status_code}"
                await response.aclose()
            wait_s = self.retry_policy.wait_s(planned_s, response)
            _log(request, reason, wait_s)
            await asyncio.sleep(wait_s)
        return await super().handle_async_request(request)


def _log(request: httpx.Request, reason: str, wait_s: float) -> None:
    logger.warning("%s %s: %s; asking again in %.1f s", request.method, request.url, reason, wait_s)
