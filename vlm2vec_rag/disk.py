"""Write files and folders whole or not at all, make them survive a power cut, and mark those that are a cache."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm2vec_rag.errors import DiskFull, VlmRagError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOTHING_FREE = 64 * 2**10  # bytes: a block or two that are kept back
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

    Raises:
        DiskFull: There was no room for it; what stood there before still does.
    """
    part = target.with_name(f".{uuid.uuid4().hex[:12]}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        mode = part.stat().st_mode
        part.unlink()
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
    except Exception as error:
        if is_full(error, target.parent):
            raise DiskFull(
                f"there is no room on the disk of {target.parent} to write {target.name}; nothing is half written: "
                "make room, and run the same again"
            ) from error
        raise
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


def is_full(error: BaseException, folder: Path) -> bool:
    """Whether something could not be written because the disk of a folder, or what its user may have of it, is full.

    Pillow, NumPy and safetensors write by themselves and have errors of their own for it, without the system's number.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    if isinstance(error, VlmRagError):
        return isinstance(error, DiskFull)
    try:
        return "No space left" in str(error) or shutil.disk_usage(folder).free < _NOTHING_FREE
    except OSError:
        return False


def check_room(folder: Path, needed_bytes: int, doing: str) -> None:
    """Refuse to begin what would fill the disk; half a write is worse than none.

    Raises:
        DiskFull: Fewer bytes are free; the message says how many, and what to do.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"the disk of {folder} has {free / 1e6:,.0f} MB free, and {needed_bytes / 1e6:,.0f} MB are wanted to "
            f"{doing}; nothing was lost: make room, and run the same again"
        )


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take on disk: some are long and mostly holes, so their length says little."""
    total = 0
    for inside, _, files in os.walk(folder):
        for each in files:
            try:
                stat = Path(inside, each).stat()
            except FileNotFoundError:  # an index being built moves files about
                continue
            total += stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size
    return total


def copy_sparse(source: str | Path, target: str | Path) -> None:
    """Copy a file without its holes, which take no room on the disk; its length and what is in it are the same."""
    if not hasattr(os, "SEEK_DATA"):
        shutil.copy2(source, target)
        return
    with Path(source).open("rb") as given, Path(target).open("wb") as made:
        size = os.fstat(given.fileno()).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(given.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole to the end
                break
            end = os.lseek(given.fileno(), at, os.SEEK_HOLE)
            given.seek(at)
            made.seek(at)
            while at < end:
                block = given.read(min(end - at, _BLOCK))
                if not block:  # it became shorter meanwhile
                    break
                made.write(block)
                at += len(block)
            at = end
        made.truncate(size)
    shutil.copystat(source, target)


_BLOCK = 8 << 20
