"""The one door of the server: every request passes here before anything reads it.

What is checked, in this order: the Host (a name that was made to point here is refused), the Origin (another site's
page cannot post or fetch), the token or session, and the size of the body. Every answer leaves with headers that forbid
scripts, frames and loads from elsewhere. Written against ASGI itself, so that pages, API and agents share it.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from vlm2vec_rag.collection.addresses import is_loopback
from vlm2vec_rag.serve.settings import ServeSettings

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = ("/sign-in", "/static/")  # without a token: the door itself, and what it looks like
UPLOAD_PATHS = frozenset({"/api/upload", "/library/upload"})  # these count and limit their bodies file by file
BODY_BYTES = 1_000_000  # of a form or a question
LARGE_BODIES = {"/v1/embeddings": 64_000_000, "/v2/embed": 64_000_000, "/api/search": 32_000_000, "/mcp": 4_000_000}
QUERY_IMAGE_BYTES = 200_000_000  # of an image or a clip to search with
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 1000

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a browser hides the Origin of our own forms, too
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


class Throttle:
    """Counts failed attempts: so many from one address and so many in all within a window, and no more are heard."""

    def __init__(
        self, each: int = 10, together: int = 100, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.each, self.together, self.window_s, self._clock = each, together, window_s, clock
        self._failures: deque[tuple[float, str]] = deque()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before it is heard again; 0 where it is heard now."""
        now = self._clock()
        while self._failures and self._failures[0][0] <= now - self.window_s:
            self._failures.popleft()
        mine = [at for at, who in self._failures if who == address]
        waits = [0.0]
        if len(mine) >= self.each:
            waits.append(mine[-self.each] + self.window_s - now)
        if len(self._failures) >= self.together:
            waits.append(self._failures[-self.together][0] + self.window_s - now)
        return max(waits)

    def failed(self, address: str) -> None:
        """Count a failed attempt."""
        self._failures.append((self._clock(), address))


class Sessions:
    """Who is signed in: random ids that live in memory, so that a restart or a sign-out ends them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: OrderedDict[str, float] = OrderedDict()

    def begin(self) -> str:
        """A new session's id."""
        session = secrets.token_urlsafe(32)
        self._ends[session] = self._clock() + SESSION_S
        while len(self._ends) > MOST_SESSIONS:
            self._ends.popitem(last=False)
        return session

    def is_open(self, session: str) -> bool:
        """Whether the session was begun here and has not ended."""
        return self._ends.get(session, 0.0) > self._clock()

    def end(self, session: str) -> None:
        """Sign out."""
        self._ends.pop(session, None)


class Door:
    """Lets requests in to the app behind it, or answers them here."""

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings
        self.sessions, self.throttle = Sessions(), Throttle()
        self.cookie = f"vlm2vec_{settings.port}"  # browsers share cookies between the ports of a host
        self._names = _own_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no WebSockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        send = _with_headers(send)
        refusal = self._host_refusal(headers) or self._origin_refusal(scope, headers)
        if refusal:
            await refuse(send, 403, "forbidden", refusal)
            return
        if not await self._may_enter(scope, headers, send):
            return
        scope.setdefault("state", {})["door"] = self
        limit = _body_limit(scope)
        declared = headers.get(b"content-length", "")
        if limit is not None and declared.isdecimal() and int(declared) > limit:
            await refuse(send, 413, "too_large", f"the request is over {limit / 1e6:.0f} MB; send less at once")
            return
        if limit is not None:
            receive, send = _limited(receive, send, limit)
        await self._app(scope, receive, send)

    def knows(self, token: str) -> bool:
        """Whether this is the token; compared in constant time."""
        expected = self._settings.token
        return expected is not None and hmac.compare_digest(token.encode(), expected.encode())

    def session_of(self, cookies: str) -> str | None:
        """The open session that a Cookie header names, if any."""
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return None
        return morsel.value if morsel is not None and self.sessions.is_open(morsel.value) else None

    @property
    def asks_for_token(self) -> bool:
        return self._settings.token is not None

    def _host_refusal(self, headers: dict[bytes, str]) -> str | None:
        """A page elsewhere can make a name of its own point here, and would then be of the same origin as this app.

        An address cannot be made to point anywhere, so those are safe, and names are taken from a list.
        """
        name = _name_of(headers.get(b"host", ""))
        if name in self._names or "*" in self._names:
            return None
        if self._settings.token is not None and _is_address(name):
            return None
        return f"this server is not known as {name[:80]!r}; use its address, or start it with --allow-host {name[:80]}"

    def _origin_refusal(self, scope: Scope, headers: dict[bytes, str]) -> str | None:
        """Why a request that another site's page sent is refused; None for people, programs and links."""
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", "")
        is_safe = scope["method"] in SAFE_METHODS
        is_foreign = urlsplit(origin or "").netloc.lower() != headers.get(b"host", "").lower()
        if origin and is_foreign and not (is_safe and origin == "null"):
            return "this request comes from another site's page, which may not use this server"
        is_link = headers.get(b"sec-fetch-mode", "") == "navigate" and is_safe
        if site in ("cross-site", "same-site") and not is_link:
            return "this request comes from another site's page, which may not use this server"
        return None

    async def _may_enter(self, scope: Scope, headers: dict[bytes, str], send: Send) -> bool:
        """Whether the token or session is good; where not, the answer is sent here."""
        if self._settings.token is None or scope["path"].startswith(OPEN_PATHS):
            return True
        is_safe = scope["method"] in SAFE_METHODS
        if self.session_of(headers.get(b"cookie", "")):
            # a browser says where a form comes from; one that does not cannot be told from a page elsewhere
            if is_safe or b"origin" in headers or b"sec-fetch-site" in headers:
                return True
            message = "a signed-in browser says where a request comes from, and this one did not"
            await refuse(send, 403, "forbidden", message)
        elif given := headers.get(b"authorization", ""):
            return await self._takes(given, client_address(scope), send)
        elif scope["method"] == "GET" and "text/html" in headers.get(b"accept", ""):
            query = scope["query_string"].decode("latin-1")
            wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
            location = [(b"location", f"/sign-in?next={wanted}".encode())]
            await send({"type": "http.response.start", "status": 303, "headers": location})
            await send({"type": "http.response.body", "body": b""})
        else:
            await refuse(send, 401, "unauthorized", _ASK_FOR_TOKEN)
        return False

    async def _takes(self, given: str, address: str, send: Send) -> bool:
        """Whether an Authorization header holds the token. A wrong one counts, and after some none is heard."""
        if wait_s := self.throttle.wait_s(address):
            await refuse(send, 429, "too_many_attempts", "too many wrong tokens; wait", retry_after_s=wait_s)
            return False
        kind, _, token = given.partition(" ")
        if kind.lower() == "bearer" and self.knows(token.strip()):
            return True
        self.throttle.failed(address)
        await refuse(send, 401, "unauthorized", _ASK_FOR_TOKEN)
        return False


_ASK_FOR_TOKEN = "a token is needed: send it as 'Authorization: Bearer TOKEN'"  # noqa: S105


class BodyTooLarge(Exception):
    """More was sent than may be."""


async def refuse(send: Send, status: int, code: str, message: str, *, retry_after_s: float = 0.0) -> None:
    """Answer a request with an error, in the one shape that the API has for them."""
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="vlm2vec-rag"'))
    if retry_after_s:
        headers.append((b"retry-after", str(int(retry_after_s) + 1).encode()))
    body = json.dumps({"error": {"code": code, "message": message, "type": "refused", "param": None}})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def client_address(scope: Scope) -> str:
    """Where a request comes from, as the socket says: a header could say anything."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def local_path(wanted: str) -> str:
    """A path within this server to go to after signing in; anything else is taken for the first page."""
    parts = urlsplit(wanted)
    is_here = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return wanted if is_here and wanted.isprintable() and "\\" not in wanted else "/"


def _own_names(settings: ServeSettings) -> frozenset[str]:
    names = {"localhost", "127.0.0.1", "::1", settings.host.lower().strip("[]")}
    if not is_loopback(settings.host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names - {"", "0.0.0.0", "::"} | {_name_of(each) for each in settings.allowed_hosts})  # noqa: S104


def _name_of(host: str) -> str:
    """The name in a Host header: without its port, without brackets, in lower case."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
    return name.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _body_limit(scope: Scope) -> int | None:
    if scope["path"] in UPLOAD_PATHS:
        return None
    if scope["path"] == "/search/query":
        return QUERY_IMAGE_BYTES
    return LARGE_BODIES.get(scope["path"], BODY_BYTES)


def _limited(receive: Receive, send: Send, limit: int) -> tuple[Receive, Send]:
    """Count what really comes, and answer with 413 where it is too much, whatever the app makes of the break."""
    taken, is_over, is_answered = 0, False, False

    async def counted() -> Message:
        nonlocal taken, is_over
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            is_over = True
            raise BodyTooLarge
        return message

    async def answered(message: Message) -> None:
        nonlocal is_answered
        if not is_over:
            await send(message)
        elif not is_answered:
            is_answered = True
            await refuse(send, 413, "too_large", f"the request is over {limit / 1e6:.0f} MB; send less at once")

    return counted, answered


def _with_headers(send: Send) -> Send:
    """Put the protecting headers on every answer; an answer's own content policy is kept."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            there = {name.lower() for name, _ in own}
            added = [*HEADERS, (b"content-security-policy", CONTENT_POLICY.encode())]
            message = {**message, "headers": own + [pair for pair in added if pair[0] not in there]}
        await send(message)

    return guarded
