"""Write files and folders whole or not at all, make them survive a power cut, and mark those that are a cache."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/


def mark_as_cache(folder: Path) -> None:
    """Have a folder passed over by whoever walks through folders: this library, and programs that back up."""
    tag = folder / _CACHE_TAG
    if not tag.exists():
        tag.write_bytes(_CACHE_SIGNATURE + b"\n# Made by vlm2vec-rag. It can be deleted, and comes back when needed.\n")


def is_cache(folder: Path) -> bool:
    """Whether whoever made a folder marked it as a cache."""
    try:
        with (folder / _CACHE_TAG).open("rb") as tag:
            return tag.read(len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE
    except OSError:
        return False


@contextmanager
def replacing(target: Path, *, sync: bool = False) -> Iterator[Path]:
    """Give a path to write a file or a folder at, which takes the target's place when the block ends without an error.

    A reader sees the old one or the new one, never half of it, and a killed run leaves nothing under the target's name.
    Several may write the same target; the last one stays. Files get the mode that a file made here has, whatever the
    library that wrote them chose.

    Args:
        target: Where it goes; folders above it are made. The path given ends with the target's own suffix.
        sync: Make it survive a power cut, too.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex[:12]}.part{target.suffix}")
    part.touch()
    mode = part.stat().st_mode
    part.unlink()
    try:
        yield part
        files = [each for each in part.rglob("*") if each.is_file()] if part.is_dir() else [part]
        for file in files:
            file.chmod(mode)
        if sync:
            sync_tree(part) if part.is_dir() else _sync(part)
        if part.is_dir() and target.is_dir():  # a folder only takes an empty one's place
            old = target.with_name(f".{uuid.uuid4().hex[:12]}.old")
            target.rename(old)
            part.rename(target)
            shutil.rmtree(old)
        else:
            part.replace(target)
        if sync:
            sync_folder(target.parent)
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make what was made or renamed in this folder survive a power cut."""
    if os.name == "posix":  # Windows opens no folder for that
        _sync(folder)


def sync_tree(folder: Path) -> None:
    """Make all of this folder survive a power cut: every file, and the names of them."""
    if os.name == "posix":
        for inside, _, files in os.walk(folder):
            for each in (*files, "."):
                _sync(Path(inside, each))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
