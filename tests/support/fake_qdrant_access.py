"""Who may do what on the fake server: keys and tokens, with the refusals that a real one gives (keys.jsonl)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fake_qdrant_store import Refusal


@dataclass(frozen=True, slots=True)
class Access:
    """What a key or token may do."""

    reads: str | None = "*"  # a collection, or `*` for all of them
    writes: str | None = "*"
    is_expired: bool = False

    def check_global(self, *, write: bool) -> None:
        """Refuse what concerns the whole server.

        Raises:
            Refusal: The key is for one collection, or may only read.
        """
        if self.reads != "*":
            raise Refusal(403, "Forbidden: Global access is required")
        if write and self.writes != "*":
            raise Refusal(403, "Forbidden: Global manage access is required")

    def check(self, collection: str, *, write: bool) -> None:
        """Refuse what concerns one collection.

        Raises:
            Refusal: The key is for another collection, or may only read.
        """
        if self.reads not in ("*", collection):
            raise Refusal(403, f"Forbidden: Access to collection {collection} is required")
        if write and self.writes not in ("*", collection):
            if self.reads == "*":
                raise Refusal(403, "Forbidden: Global manage access is required")
            raise Refusal(403, f"Forbidden: Write access to collection {collection} is required")

    def sees(self, collection: str) -> bool:
        return self.reads in ("*", collection)


ANYONE = Access()
READ_ONLY = Access(writes=None)


class Door:
    """Tells by the key of a request what it may do."""

    def __init__(self, api_key: str | None, read_only_key: str | None, tokens: Mapping[str, Access]) -> None:
        self._known: dict[str, Access] = dict(tokens)
        if api_key:
            self._known[api_key] = ANYONE
        if read_only_key:
            self._known[read_only_key] = READ_ONLY

    def access(self, headers: Mapping[str, str]) -> Access:
        """What the request with these headers may do.

        Raises:
            Refusal: It has no key, a wrong one, or one that has expired.
        """
        if not self._known:
            return ANYONE
        key = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Refusal(401, "Must provide an API key or an Authorization bearer token", is_plain=True)
        if key not in self._known:
            raise Refusal(401, "Invalid API key or JWT", is_plain=True)
        if self._known[key].is_expired:
            raise Refusal(403, "ExpiredSignature", is_plain=True)
        return self._known[key]
