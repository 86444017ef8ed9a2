"""Fetch a video by its address, without letting the address reach anything but the hosts it may.

`yt-dlp` (its own extra, `[url]`) knows the sites. It runs in a process of its own in which every connection is checked
where it is made, so that neither a redirect nor a name that changes its mind leads to a private address.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vlm2vec_rag.errors import InvalidInput, MediaError, MediaLimit, UnreadableMedia
from vlm2vec_rag.extras import require

HOSTS = (
    "youtube.com",
    "youtu.be",
    "vimeo.com",
    "archive.org",
    "commons.wikimedia.org",
    "upload.wikimedia.org",
    "media.ccc.de",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """What may be fetched, and what it may cost."""

    hosts: tuple[str, ...] = HOSTS  # these and their subdomains
    private_hosts: tuple[
        str, ...
    ] = ()  # of `hosts`, those that may be in a private network: a media server of one's own
    max_bytes: int = 2_000_000_000
    max_duration_s: float = 4 * 3600.0
    timeout_s: float = 1800.0


def check_address(address: str, limits: DownloadLimits) -> str:
    """The host of an address that may be fetched.

    Raises:
        InvalidInput: It is no web address, or its host is not allowed.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError as error:
        raise InvalidInput(f"{address[:200]!r} is no web address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidInput(f"{address[:200]!r} is no web address; expected https://…")
    if parts.username or parts.password:
        raise InvalidInput("an address with a user name or password in it is not fetched")
    allowed = any(host == each or host.endswith("." + each) for each in limits.hosts)
    if not allowed:
        raise InvalidInput(f"{host} is not a host that videos are fetched from; allowed: {', '.join(limits.hosts)}")
    if port not in (None, 80, 443) and host not in limits.private_hosts:
        raise InvalidInput(f"port {port} of {host} is not asked; expected 80 or 443")
    return host


def download_video(address: str, folder: Path, limits: DownloadLimits) -> Iterator[str | Path]:
    """Fetch a video, and the subtitles it comes with, into a folder. Yields lines of progress, then the file's path.

    Raises:
        InvalidInput: The address is not allowed.
        MediaLimit: The video is too large, too long, or took too long.
        UnreadableMedia: It cannot be fetched; the message says why.
        MissingExtra: yt-dlp is not installed.
    """
    check_address(address, limits)
    require("yt_dlp", "url")
    folder.mkdir(parents=True, exist_ok=True)
    # whole or not at all: a video moves to where it is indexed from once it is complete
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as workplace:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_fetch, args=(theirs, address.strip(), workplace, limits), daemon=True)
        process.start()
        theirs.close()
        try:
            yield from _listen(ours, limits.timeout_s)
        finally:
            process.kill()
            process.join()
        files = sorted(Path(workplace).iterdir(), key=lambda each: each.stat().st_size)
        if not files:
            raise UnreadableMedia(f"{address}: nothing was fetched; check that the address is one of a video")
        for file in files:
            target = _free(folder / file.name)
            shutil.move(file, target)
        yield target  # the largest: the video itself


def _listen(connection: Connection, timeout_s: float) -> Iterator[str]:
    deadline = time.monotonic() + timeout_s
    while True:
        if not connection.poll(max(0.0, deadline - time.monotonic())):
            raise MediaLimit(f"fetching took over {timeout_s:.0f} seconds and was ended; try again or a shorter video")
        try:
            kind, words = connection.recv()
        except EOFError:
            raise UnreadableMedia("the fetching process ended before its time; try again") from None
        if kind == "done":
            return
        if kind == "limit":
            raise MediaLimit(words)
        if kind == "failed":
            raise UnreadableMedia(words)
        yield words


def _fetch(connection: Connection, address: str, folder: str, limits: DownloadLimits) -> None:
    """In the fetching process: guard every connection, then let yt-dlp work."""
    _guard_connections(limits.private_hosts)
    import yt_dlp

    def hook(state: dict[str, Any]) -> None:
        done, total = state.get("downloaded_bytes") or 0, state.get("total_bytes") or state.get("total_bytes_estimate")
        if max(done, total or 0) > limits.max_bytes:
            raise _TooMuch(f"the video is over {limits.max_bytes / 1e6:.0f} MB; fetch a smaller one")
        share = f"{done / total:.0%} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        connection.send(("progress", f"fetching: {share}"))

    def fits(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        duration_s = info.get("duration")
        if duration_s and duration_s > limits.max_duration_s:
            raise _TooMuch(f"the video lasts {duration_s / 60:.0f} minutes, over {limits.max_duration_s / 60:.0f}")
        if info.get("is_live"):
            raise _TooMuch("this is a live stream, which has no end; fetch a finished video")
        return None

    settings = {
        "outtmpl": f"{folder}/%(title).100B-%(id).40B.%(ext)s",
        "format": "b[height<=720]/b",  # one file with sound and image; the model sees no more than 720 lines
        "restrictfilenames": True,
        "noplaylist": True,
        "playlist_items": "1",
        "writesubtitles": True,
        "subtitleslangs": ["en"],
        "subtitlesformat": "vtt/srt",
        "max_filesize": limits.max_bytes,
        "match_filter": fits,
        "progress_hooks": [hook],
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "cachedir": False,
        "enable_file_urls": False,
        "socket_timeout": 20,
        "retries": 3,
        "logger": _Silent(),
    }
    try:
        with yt_dlp.YoutubeDL(settings) as client:
            client.download([address])
        connection.send(("done", ""))
    except _TooMuch as error:
        connection.send(("limit", str(error)))
    except Exception as error:  # yt-dlp wraps what sites and networks do into a few types of its own
        inner = getattr(error, "exc_info", (None, error, None))[1]
        if isinstance(inner, _TooMuch):
            connection.send(("limit", str(inner)))
        else:
            connection.send(("failed", f"{address}: {' '.join(str(error).split())[:300]}"))


class _TooMuch(MediaError):
    """Raised inside yt-dlp's hooks to end a fetch."""


class _Silent:
    """yt-dlp's messages; the error that ends a fetch is told in one piece."""

    def debug(self, text: str) -> None: ...

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


def _guard_connections(private_hosts: Sequence[str]) -> None:
    """Refuse every connection of this process to an address that is not public, whoever asks for it and however.

    Checked where a socket connects, after names are resolved, so that redirects and changing names are covered.
    """
    allowed = {info[4][0] for host in private_hosts for info in socket.getaddrinfo(host, None)}
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not is_public(host) and host not in allowed:
                raise PermissionError(f"{host} is a private address; only public ones are fetched from")
        connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; of a mapped or tunnelled one, what it stands for counts."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _free(path: Path) -> Path:
    number, target = 2, path
    while target.exists():
        target = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return target
