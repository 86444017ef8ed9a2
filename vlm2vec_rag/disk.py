"""Make files and folders survive a power cut, and mark those that are only a cache."""

from __future__ import annotations

import os
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
