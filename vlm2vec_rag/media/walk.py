"""Files and folders to the list of files that can become items."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vlm2vec_rag.errors import MediaError, UnreadableMedia
from vlm2vec_rag.media.sniff import SUPPORTED, sniff

logger = logging.getLogger(__name__)


def find_media(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], recursive: bool = True
) -> Iterator[Path]:
    """All files to read, each once, as resolved paths.

    A file named outright is taken whatever its name; its content decides later. Folders give the files with a suffix
    in `SUPPORTED`, sorted by name, the files of a folder before those of the folders in it. Hidden files and folders
    are left out, and links are followed only where they lead to a place below the same folder.

    Raises:
        UnreadableMedia: A path is not there. That is checked for all of them before the first is returned.
    """
    given = [Path(each) for each in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    for path in given:
        if not path.exists():
            raise UnreadableMedia(f"{path}: no such file or folder; check the path")
    return _unique(file for path in given for file in (_walk(path, recursive) if path.is_dir() else [path.resolve()]))


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
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
        except OSError as error:
            logger.warning("%s is passed over: %s", here, error)
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                target = entry.resolve()
            except (OSError, RuntimeError) as error:  # a link to itself; RuntimeError before Python 3.13
                logger.info("%s is passed over: %s", entry, error)
                continue
            if not target.is_relative_to(root):
                logger.info("%s is passed over: the link leads outside of %s", entry, root)
            elif target.is_dir():
                folders.append(target)
            elif target.is_file() and _is_media(target, entry.suffix.lower()):
                yield target
        if recursive:
            waiting += reversed(folders)


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
