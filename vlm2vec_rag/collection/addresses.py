"""The addresses of a Qdrant server or cluster: what is written, what it means, and where a key may be sent.

http://host:6333                    a server
https://host                        port 443 or, where no Qdrant answers there, Qdrant's own 6333
https://host/qdrant                 port 443 with that path: a server behind a proxy
http://a:6333,http://b:6333         one cluster: the next is asked when one is away
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from vlm2vec_rag.errors import InvalidInput

QDRANT_PORT = 6333
PORTS = {"http": 80, "https": 443}


def is_address(place: str) -> bool:
    """Whether a place is a server rather than a folder."""
    return place.startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Address:
    """One way to a server, with its port settled."""

    scheme: str
    host: str
    port: int
    path: str = ""  # before every path of Qdrant's, with a slash in front and none behind

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def candidates(place: str) -> list[list[Address]]:
    """For each address in `place` the ways to try, best first: more than one only where no port is given.

    Raises:
        InvalidInput: One is no address.
    """
    return [_ways(each) for each in place.split(",") if each.strip()]


def _ways(written: str) -> list[Address]:
    written = written.strip()
    shown = without_credentials(written)
    parts = urlsplit(written)
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{shown!r} has no port that there is: {error}; expected http://host:6333") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise InvalidInput(f"{shown!r} is no address; expected http://host:6333 or https://host:6333")
    path = parts.path.rstrip("/")
    own = PORTS[parts.scheme]
    if port is not None:
        ports = [port]
    elif path:
        ports = [own]
    else:
        # a Qdrant that speaks plain HTTP is rarely on port 80, and one behind https rarely anywhere but on 443
        ports = [own, QDRANT_PORT] if parts.scheme == "https" else [QDRANT_PORT, own]
    return [Address(parts.scheme, parts.hostname, each, path) for each in ports]


def check_key_is_safe(place: str, api_key: str | None, *, variable: str = "QDRANT_API_KEY") -> None:
    """Refuse to send a key where anyone on the way can read it.

    Raises:
        InvalidInput: An address is http and not of this machine, or no address at all.
    """
    for ways in candidates(place):
        way = ways[0]
        if api_key and way.scheme != "https" and not is_loopback(way.host):
            raise InvalidInput(
                f"an API key would be sent to {way.host} unencrypted; use https, "
                f"or unset {variable} if that server needs no key"
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def without_credentials(place: str) -> str:
    """One or several addresses as they may be printed: without user, password and query."""
    shown = []
    for each in place.split(","):
        parts = urlsplit(each.strip())
        shown.append(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")
    return ",".join(shown)
