"""Who may use the app: this machine alone, or whoever knows the password. One door for pages, images and events."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from vlm2vec_rag.errors import InvalidInput

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

USER = "vlm2vec"
SHORTEST_PASSWORD = 8
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def is_local(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_binding(host: str, password: str | None) -> None:
    """Refuse to open a collection to a network without a password.

    Raises:
        InvalidInput: The address is not local and there is no password, or a password is too short to be one.
    """
    if password is not None and len(password) < SHORTEST_PASSWORD:
        raise InvalidInput(f"the password has {len(password)} characters; expected at least {SHORTEST_PASSWORD}")
    if not is_local(host) and password is None:
        raise InvalidInput(
            f"{host} can be reached from other machines, and there is no password; set VLM2VEC_PASSWORD, "
            "or leave --host out to serve this machine alone"
        )


class Guard:
    """Stands before the whole app. Asks for the password where there is one; without one answers to local names only.

    The second rule keeps a web page from elsewhere out, whose name was made to point at this machine.
    """

    def __init__(self, app: App, *, password: str | None) -> None:
        self._app = app
        self._expected = None if password is None else base64.b64encode(f"{USER}:{password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope.get("headers", ()))
        if self._expected is None:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
            if name.lower() not in LOCAL_NAMES:
                await _refuse(send, 403, f"this app serves localhost alone, not {name[:80]}")
                return
        elif not self._knows(headers.get(b"authorization", b"")):
            await _refuse(send, 401, f"user {USER} and the password, please", ask=True)
            return
        await self._app(scope, receive, send)

    def _knows(self, header: bytes) -> bool:
        kind, _, given = header.partition(b" ")
        if kind.lower() != b"basic" or self._expected is None:
            return False
        try:
            base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
        # in constant time, so that how long a refusal takes tells nothing
        return hmac.compare_digest(given.strip(), self._expected)


async def _refuse(send: Send, status: int, words: str, *, ask: bool = False) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if ask:
        headers.append((b"www-authenticate", b'Basic realm="vlm2vec-rag", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
