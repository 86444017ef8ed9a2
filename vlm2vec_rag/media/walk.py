"""Files and folders to the list of files that can become items."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vlm2vec_rag.disk import is_cache
from vlm2vec_rag.errors import MediaError, UnreadableMedia
from vlm2vec_rag.media.sniff import SUPPORTED, sniff
from vlm2vec_rag.media.video.sidecars import SUFFIXES, is_named_after

_MOST_KINDS = 8
_NO_FILE = "pipes, devices or broken links"


@dataclass(slots=True)
class PassedOver:
    """What a walk through folders did not take up. Hidden files, and subtitle files of a video, are no part of it."""

    kinds: Counter[str] = field(default_factory=Counter)  # files that no reader takes, by their suffix
    unreadable: dict[str, str] = field(default_factory=dict)  # folders and files that cannot be looked at, and why

    def __str__(self) -> str:
        """`3 .docx, 2 .html`, the most frequent first."""
        most = sorted(self.kinds.items(), key=lambda pair: (-pair[1], pair[0]))
        named = [f"{count} {kind}" for kind, count in most[:_MOST_KINDS]]
        rest = sum(count for _, count in most[_MOST_KINDS:])
        return ", ".join(named + ([f"{rest} of other kinds"] if rest else []))


def find_media(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    recursive: bool = True,
    passed_over: PassedOver | None = None,
) -> Iterator[Path]:
    """All files to read, each once, as resolved paths.

    A file named outright is taken whatever its name; its content decides later. Folders give the files with a suffix
    in `SUPPORTED`, sorted by name, the files of a folder before those of the folders in it. Hidden files and folders,
    collections and caches (folders with a CACHEDIR.TAG) are left out, and links are followed only where they lead to a
    place below the same folder.

    Args:
        paths: Files and folders.
        recursive: Whether folders in folders are walked, too.
        passed_over: Is filled with what is not taken up.

    Raises:
        UnreadableMedia: A path is not there, or may not be looked at. That is checked for all of them before the first
            is returned.
    """
    given = [Path(each) for each in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    are_folders = [_is_folder(path) for path in given]
    passed_over = PassedOver() if passed_over is None else passed_over
    return _unique(
        file
        for path, is_folder in zip(given, are_folders, strict=True)
        for file in (_walk(path, recursive, passed_over) if is_folder else [path.resolve()])
    )


def is_visible(path: Path, root: Path) -> bool:
    """Whether a walk through `root` would come by a file or folder: nothing on the way is hidden, a store or a cache.

    The path itself may be gone.
    """
    if not path.is_relative_to(root) or any(part.startswith(".") for part in path.relative_to(root).parts):
        return False
    try:
        folders = [each for each in (path, *path.parents) if each.is_relative_to(root) and each.is_dir()]
        return not any(_is_store(folder, list(folder.iterdir())) for folder in folders)
    except OSError:
        return False


def takes_up(path: Path, root: Path) -> bool:
    """Whether a walk through `root` would read a file."""
    try:
        return is_visible(path, root) and path.is_file() and _is_media(path, path.suffix.lower())
    except OSError:
        return False


def videos_of(sidecar: Path) -> list[Path]:
    """The videos whose words a subtitle file holds; none for any other file."""
    if sidecar.suffix.lower() not in SUFFIXES:
        return []
    try:
        near = sorted(sidecar.parent.iterdir())
    except OSError:
        return []
    videos = [path for path in near if SUPPORTED.get(path.suffix.lower()) == "video"]
    return [path for path in videos if is_named_after(sidecar, [path.stem])]


def _is_folder(path: Path) -> bool:
    try:
        path.stat()
        return path.is_dir()
    except FileNotFoundError:
        raise UnreadableMedia(f"{path}: no such file or folder; check the path") from None
    except PermissionError:
        raise UnreadableMedia(f"{path}: may not be looked at; check the permissions of the folders above it") from None
    except (OSError, ValueError) as error:  # a disk that is gone, a link to itself, a NUL in the path
        raise UnreadableMedia(f"{path}: cannot be looked at ({error}); check the path and the disk") from error


def _walk(folder: Path, recursive: bool, passed_over: PassedOver) -> Iterator[Path]:
    root = folder.resolve()
    seen: set[Path] = set()
    waiting = [root]
    while waiting:
        here = waiting.pop()
        if here in seen:  # a link to a folder above, or a second one to the same place
            continue
        seen.add(here)
        try:
            entries = sorted(here.iterdir())
            if _is_store(here, entries):
                continue
        except OSError as error:
            passed_over.unreadable[str(here)] = f"cannot be listed ({error.strerror or error}); check its permissions"
            continue
        folders = []
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        videos = {entry.stem for entry in visible if SUPPORTED.get(entry.suffix.lower()) == "video"}
        for entry in visible:
            try:
                target = entry.resolve()
                if not target.is_relative_to(root):
                    continue
                if target.is_dir():
                    folders.append(target)
                    continue
                kind = _why_passed_over(target, entry, videos)
            except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, before Python 3.13
                if isinstance(error, OSError) and error.errno != errno.ELOOP:
                    passed_over.unreadable[str(entry)] = f"cannot be looked at ({error.strerror or error})"
                    continue
                kind = _NO_FILE
            if kind is None:
                yield target
            elif kind:
                passed_over.kinds[kind] += 1
        if recursive:
            waiting += reversed(folders)


def _why_passed_over(target: Path, entry: Path, videos: Iterable[str]) -> str | None:
    """None for a file to read; else what to count it as, or nothing for a subtitle file that is read with its video."""
    if not target.is_file():
        return _NO_FILE
    if _is_media(target, entry.suffix.lower()):
        return None
    return "" if is_named_after(entry, videos) else entry.suffix.lower() or "without a suffix"


def _is_store(folder: Path, entries: list[Path]) -> bool:
    """Whether a folder is a collection of this library, or a cache: what is in it was made from files."""
    names = {entry.name for entry in entries}
    if ".lock" in names and any((entry / "collection.json").is_file() for entry in entries):
        return True
    return is_cache(folder)


def _is_media(path: Path, suffix: str) -> bool:
    if suffix not in (".ts", ".mts"):
        return suffix in SUPPORTED
    try:
        return sniff(path).kind == "video"  # TypeScript has the suffixes of MPEG transport streams
    except MediaError:
        return False


def _unique(paths: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        if path not in seen:
            seen.add(path)
            yield path
