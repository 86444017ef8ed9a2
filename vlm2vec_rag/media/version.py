"""Which version of a file is here: a hash over everything that its items are made from.

That is the file, and of a video the subtitle files beside it: one that is added or edited makes another version.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.media.settings import MediaLimits
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.video.sidecars import beside

_BLOCK_BYTES = 2**20

State: TypeAlias = "tuple[int, int, int]"
"""Inode, size and time of the last change, which tell that a file was written meanwhile."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file as it was when this was made."""

    hash: str  # SHA-256, in hexadecimal
    modified_at: datetime  # of what was written last
    states: dict[Path, State]

    def is_current(self) -> bool:
        """Whether none of it was written, replaced or removed since."""
        return self.states == {path: _state_now(path) for path in self.states}


def file_version(path: str | os.PathLike[str], limits: MediaLimits = MediaLimits()) -> FileVersion:  # noqa: B008  frozen
    """Look at a file and hash it; nothing but a regular file within the limits is read.

    Raises:
        MediaError: It is missing, empty, a folder, pipe, socket or device, over a limit, may not be read, or is being
            written to.
    """
    path = Path(path)
    sniffed = sniff(path)
    most = limits.text_bytes if sniffed.kind == "text" else limits.file_bytes
    if sniffed.size_bytes > most:
        name = "limits.text_bytes" if sniffed.kind == "text" else "limits.file_bytes"
        raise MediaLimit(f"{path}: has {sniffed.size_bytes} bytes, the limit is {most}; split it or raise {name}")
    digests, states = {}, {}
    sidecars = [each.path for each in beside(path)] if sniffed.kind == "video" else []
    for each in [path, *sidecars]:
        try:
            digests[each], states[each] = _hash(each, limits.text_bytes if each != path else most)
        except OSError as error:
            if each == path:
                raise _unreadable(path, error) from error
            digests[each], states[each] = "", (0, 0, 0)  # a subtitle file that may not be read is no part of it
    whole = digests.pop(path)
    if digests:
        parts = "".join(f"\0{each.name}\0{digest}" for each, digest in sorted(digests.items()))
        whole = hashlib.sha256((whole + parts).encode("utf-8", "surrogateescape")).hexdigest()
    latest_ns = max(state[2] for state in states.values())
    return FileVersion(whole, datetime.fromtimestamp(latest_ns / 1e9, timezone.utc), states)


def _hash(path: Path, most_bytes: int) -> tuple[str, State]:
    """The hash and state of a regular file, or of the size alone where that is over the limit."""
    # a pipe that has taken the file's place meanwhile would wait for a writer for ever
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  of a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableMedia(f"{path}: is no longer a file; look at what took its place")
        digest = hashlib.sha256()
        if status.st_size > most_bytes:
            digest.update(str(status.st_size).encode())
        else:
            left = status.st_size  # a file that grows faster than it is read would have no end
            while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
                digest.update(block)
                left -= len(block)
            if _state(os.fstat(descriptor)) != _state(status):
                raise UnreadableMedia(f"{path}: is being written to; index it again when that is done")
    return digest.hexdigest(), _state(status)


def _state(status: os.stat_result) -> State:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _state_now(path: Path) -> State:
    try:
        return _state(path.stat())
    except (OSError, ValueError):
        return 0, 0, 0


def _unreadable(path: Path, error: OSError) -> UnreadableMedia:
    if isinstance(error, UnreadableMedia):
        return error
    if isinstance(error, FileNotFoundError):
        return UnreadableMedia(f"{path}: is no longer there; it was removed or renamed meanwhile")
    if isinstance(error, PermissionError):
        return UnreadableMedia(f"{path}: may not be read; check its permissions")
    return UnreadableMedia(f"{path}: cannot be read ({error.strerror or error}); check the disk")
