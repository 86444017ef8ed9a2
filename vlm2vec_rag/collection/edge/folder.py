"""What the embedded engine keeps on disk, and the lock on it.

    my.vlm2vec/
        .lock  .owner.json        held by the one process that has the folder open; who that is
        default/                  one folder for each collection
            collection.json       its configuration, and which shard folder is the present one
            shard-1f0c.../        the engine's own files

A collection is made in a folder on the side and renamed into place, deleted by being renamed out of it, and changed by
replacing `collection.json`: each a single step that a crash falls before or after. What a crash leaves on the side is
removed by the next process that opens the folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vlm2vec_rag.collection.engine import REBUILD_SUFFIX
from vlm2vec_rag.disk import sync_folder, sync_tree
from vlm2vec_rag.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    InvalidInput,
)

try:
    import fcntl
except ImportError:  # Windows, where an open file of another process cannot be copied half written
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
_DESCRIPTION = "collection.json"
_LOCK = ".lock"
_OWNER = ".owner.json"
_NOT_IN_A_NAME = frozenset('<>:"/\\|?*\0')  # what a Qdrant server refuses, and Windows with it


@dataclass(frozen=True, slots=True)
class Description:
    """`collection.json`: what is needed to open a collection, and nothing the shard knows itself."""

    shard: str  # name of the present shard folder
    config: dict[str, Any]  # what `create_collection` was asked for, as qdrant-client's CreateCollection in JSON
    pending: int = 0  # points written since the search index was last built
    points: int | None = None  # at least so many are there: acknowledged by a flush, less what was deleted since

    def write(self, folder: Path) -> None:
        """Replace the description in one step that survives a power cut."""
        stored = {"format": FORMAT, "shard": self.shard, "pending": self.pending, "points": self.points}
        text = json.dumps({**stored, "config": self.config}, indent=1)
        new = folder / f"{_DESCRIPTION}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / _DESCRIPTION)
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Description:
        path = folder / _DESCRIPTION
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            version = stored["format"]
            description = cls(stored["shard"], stored["config"], stored["pending"], stored.get("points"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CollectionDamaged(
                f"{path} cannot be read ({error}); restore it from a backup, or remove {folder} and index again"
            ) from error
        if version > FORMAT:
            raise CollectionError(
                f"{folder} has format {version}, this version reads up to {FORMAT}; update vlm2vec-rag"
            )
        return description

    def changed(self, **values: Any) -> Description:
        return replace(self, **values)


class Folder:
    """A folder of collections, held by this process until `close`.

    One that cannot be written to, such as one on a DVD or of another user, is open for reading: its collections are
    copied to be searched, and no lock is held.

    Raises:
        CollectionLocked: Another process holds it; the message says which.
        CollectionError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_read_only = False
        self._lock = FileLock(path / _LOCK, thread_local=False)  # opened in one thread, closed in another
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CollectionLocked(_locked(path)) from None
        except OSError as error:
            if not path.is_dir() or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise CollectionError(f"{path} cannot be opened for writing: {error}; choose another folder") from error
            self.is_read_only = True
            return
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "program": Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        (path / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
        self._tidy()

    @contextlib.contextmanager
    def held_still(self) -> Iterator[None]:
        """Keep writers out while a collection is copied to be read.

        Raises:
            CollectionLocked: One is writing.
        """
        try:
            descriptor = os.open(self.path / _LOCK, os.O_RDONLY)
        except OSError:  # never opened by anyone, or on a disk that knows no locks
            yield
            return
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CollectionLocked(_locked(self.path)) from None
            yield
        finally:
            os.close(descriptor)  # and with it goes the lock

    def check_writable(self) -> None:
        """Refuse to change what can only be read.

        Raises:
            CollectionError: It is so.
        """
        if self.is_read_only:
            raise CollectionError(read_only(self.path))

    def names(self) -> list[str]:
        """The collections in here."""
        return names_in(self.path)

    def has(self, name: str) -> bool:
        return is_name(name) and _is_collection(self.path / name)

    def of(self, name: str) -> Path:
        """The folder of a collection.

        Raises:
            CollectionNotFound: There is no such collection; the message lists those there are.
        """
        if not self.has(name):
            there = ", ".join(self.names()) or "none"
            raise CollectionNotFound(f"collection {name!r} not found in {self.path}; there are: {there}")
        return self.path / name

    @contextlib.contextmanager
    def making(self, name: str) -> Any:
        """Give a folder to make a collection in; it appears under its name when the block ends without an error."""
        self.check_writable()
        if not is_name(name):
            raise InvalidInput(
                f"{name!r} cannot name a collection; expected up to 255 characters, none of them "
                f"{' '.join(sorted(_NOT_IN_A_NAME - {chr(0)}))}, and no dot in front"
            )
        if self.has(name):
            raise InvalidInput(f"collection {name!r} already exists in {self.path}")
        side = self.path / f".making-{uuid.uuid4().hex}"
        side.mkdir()
        try:
            yield side
            sync_tree(side)
            side.rename(self.path / name)
            sync_folder(self.path)
        except BaseException:
            shutil.rmtree(side, ignore_errors=True)
            raise

    def delete(self, name: str) -> None:
        self.check_writable()
        side = self.path / f".deleted-{uuid.uuid4().hex}"
        self.of(name).rename(side)
        sync_folder(self.path)
        shutil.rmtree(side, ignore_errors=True)

    def replace(self, name: str, by: str) -> None:
        """Give a collection the points and the configuration of another, which goes.

        The files are linked into place before `collection.json` changes: a crash before that step leaves the old
        collection whole, one after it the new one, and `_tidy` removes what was left over.
        """
        self.check_writable()
        old, new = self.of(name), self.of(by)
        description = Description.read(new)
        shutil.copytree(new / description.shard, old / description.shard, copy_function=_link)
        sync_tree(old / description.shard)
        sync_folder(old)
        was = Description.read(old).shard
        description.write(old)
        self.delete(by)
        shutil.rmtree(old / was, ignore_errors=True)

    def close(self) -> None:
        if self.is_read_only:
            return
        (self.path / _OWNER).unlink(missing_ok=True)
        self._lock.release()

    def _tidy(self) -> None:
        """Remove what a crash left half made or half deleted."""
        for left in [*self.path.glob(".making-*"), *self.path.glob(".deleted-*")]:
            shutil.rmtree(left, ignore_errors=True)
        for name in all_names_in(self.path):
            with contextlib.suppress(CollectionError):  # said when that collection is opened; the others are well
                present = Description.read(self.path / name).shard
                beside = self.path / (name + REBUILD_SUFFIX)
                if _is_collection(beside) and Description.read(beside).shard == present:
                    self.delete(beside.name)  # it has taken this one's place already
                for shard in (self.path / name).glob("shard-*"):
                    if shard.name != present:
                        shutil.rmtree(shard, ignore_errors=True)


def names_in(path: Path) -> list[str]:
    """The collections in a folder, by name; one that is being built to take another's place is not there yet."""
    return [name for name in all_names_in(path) if not name.endswith(REBUILD_SUFFIX)]


def all_names_in(path: Path) -> list[str]:
    """The collections in a folder, those that are being built among them."""
    return sorted(each.name for each in path.iterdir() if is_name(each.name) and _is_collection(each))


def _is_collection(folder: Path) -> bool:
    return (folder / _DESCRIPTION).is_file()


def _link(source: str, target: str) -> None:
    """The same file under another name; a copy where the disk knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def new_shard_name() -> str:
    """A name no shard folder ever had, so that a child process left over from before cannot write into a later one."""
    return f"shard-{uuid.uuid4().hex}"


def is_name(name: str) -> bool:
    return 0 < len(name) <= 255 and not name.startswith(".") and not _NOT_IN_A_NAME & set(name)


def read_only(path: Path) -> str:
    """What to say to who would change a folder that can only be read."""
    return f"{path} can only be read: its disk or its owner lets nobody else write; copy it to a folder of your own"


def _locked(path: Path) -> str:
    who = "another process"
    with contextlib.suppress(OSError, ValueError, KeyError):  # its owner may just be closing it
        owner = json.loads((path / _OWNER).read_text(encoding="utf-8"))
        who = f"process {owner['pid']} ({owner['program']} on {owner['host']}, since {owner['since']})"
    return (
        f"{path} is open in {who}, and a folder belongs to one process at a time; "
        "close it there, or run a Qdrant server and give its address to both"
    )
