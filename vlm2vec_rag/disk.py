"""Make files and folders survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


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
