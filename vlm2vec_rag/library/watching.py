"""A library that follows folders: what changes is indexed, what is deleted is removed, as it happens.

The collection is open only while there is something to write, so that other processes may search it in between; the
model stays loaded. Of a file that was renamed the new name is indexed before the old one goes, so that nothing is
encoded again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from vlm2vec_rag.errors import CollectionError, CollectionLocked, InvalidInput, MediaError
from vlm2vec_rag.extras import require
from vlm2vec_rag.media.walk import is_visible, takes_up, videos_of
from vlm2vec_rag.terminal import displayable

if TYPE_CHECKING:
    from vlm2vec_rag.library.library import Library

_LOCKED_S = 1.0  # between two tries to open a collection that another process has open

What: TypeAlias = Literal["indexed", "removed", "failed", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done about one file."""

    what: What
    source: str
    reason: str = ""  # of a failure, or for waiting


def watch(
    paths: Sequence[Path],
    open_library: Callable[[], Library],
    tell: Callable[[Change], None],
    *,
    stop: threading.Event | None = None,
    settle_s: float = 1.6,
) -> None:
    """Index folders, and then whatever changes in them, until `stop` is set or the process is interrupted.

    Args:
        paths: Folders, or single files.
        open_library: Opens the library; called for each batch of changes.
        tell: Is told of every file.
        stop: Ends the watch.
        settle_s: Changes that follow each other within this time are one batch, up to ten times as long.

    Raises:
        MissingExtra: watchfiles is not installed.
        InvalidInput: A path is not there.
    """
    watchfiles = require("watchfiles", "watch")
    stop = stop or threading.Event()
    roots = [path.expanduser().resolve() for path in paths]
    for root in roots:
        if not root.exists():
            raise InvalidInput(f"{root}: no such file or folder to watch; check the path")
    watched = watchfiles.watch(
        *roots,
        watch_filter=None,  # hidden files and collections are told apart below
        debounce=int(settle_s * 10_000),
        step=int(settle_s * 1000),
        stop_event=stop,
        raise_interrupt=True,
        rust_timeout=500,
        yield_on_timeout=True,
    )
    # the watch begins before the folders are read, or what changes meanwhile would be missed
    next(watched, None)
    _follow(open_library, tell, stop, roots, None)
    for changes in watched:
        if changes:
            came = {Path(path) for change, path in changes if change is watchfiles.Change.added}
            _follow(open_library, tell, stop, roots, {Path(path): Path(path) in came for _, path in changes})


def _follow(
    open_library: Callable[[], Library],
    tell: Callable[[Change], None],
    stop: threading.Event,
    roots: Sequence[Path],
    changes: Mapping[Path, bool] | None,
) -> None:
    """Bring a batch of changes into the library: paths, and whether each is new; None for everything there is."""
    seen = [(path, root) for path in changes or () for root in roots if is_visible(path, root)]
    wanted = {each for path, root in seen for each in _to_read(path, root, is_new=bool(changes and changes[path]))}
    to_index = list(roots) if changes is None else sorted(wanted)
    gone = {path for path, _ in seen if not path.exists()}
    if not to_index and not gone:
        return
    with _opened(open_library, tell, stop) as library:
        if library is None:
            return
        if to_index:  # first, so that a file under a new name finds the vectors of the old one
            _index(library, to_index, tell, prune=changes is None)
        if gone:
            prefixes = tuple(path.as_posix() + "/" for path in gone)
            names = {path.as_posix() for path in gone}
            lost = [source for source in library.sources() if source in names or source.startswith(prefixes)]
            for source in library.remove(lost) if lost else []:
                tell(Change(what="removed", source=source))


def _to_read(path: Path, root: Path, *, is_new: bool) -> Iterator[Path]:
    """What to read anew: a file that changed, the videos of a subtitle file, a new folder with all that it holds."""
    if path.is_dir():
        if is_new:
            yield path
        return
    yield from (each for each in (path, *videos_of(path)) if each == root or takes_up(each, root))


def _index(library: Library, paths: Sequence[Path], tell: Callable[[Change], None], *, prune: bool) -> None:
    callback = _Telling(tell)
    try:
        try:
            report = library.index(paths, prune=prune, callback=callback)
        except InvalidInput as error:
            if not prune:
                raise
            # most of the collection would go: a disk may not be mounted
            tell(Change(what="waiting", source=str(paths[0]), reason=str(error)))
            report = library.index(paths, callback=callback)
        for source in report.removed:
            tell(Change(what="removed", source=source))
    except MediaError as error:  # a path vanished meanwhile, or is a folder without files so far
        for each in paths if len(paths) > 1 else ():
            _index(library, [each], tell, prune=False)
        if len(paths) == 1 and paths[0].is_file():
            tell(Change(what="failed", source=str(paths[0]), reason=str(error)))
    except CollectionError as error:
        tell(Change(what="failed", source=str(paths[0]), reason=str(error)))


class _Telling:
    """An `IndexCallback` that tells of files only."""

    def __init__(self, tell: Callable[[Change], None]) -> None:
        self._tell = tell

    def planned(self, files: int, items: int) -> None:
        """See `IndexCallback.planned`."""

    def file_done(self, source: str, error: str | None) -> None:
        """See `IndexCallback.file_done`."""
        if error is not None and not Path(source).exists():
            return  # it was only there for a moment
        what: What = "indexed" if error is None else "failed"
        self._tell(Change(what=what, source=displayable(source), reason=error or ""))

    def items_done(self, kinds: Mapping[str, int]) -> None:
        """See `IndexCallback.items_done`."""


@contextmanager
def _opened(
    open_library: Callable[[], Library], tell: Callable[[Change], None], stop: threading.Event
) -> Iterator[Library | None]:
    """The library, once no other process holds its folder; None where the watch ends before."""
    was_told = False
    while not stop.is_set():
        try:
            library = open_library()
        except CollectionLocked as error:
            if not was_told:
                tell(Change(what="waiting", source="", reason=str(error)))
                was_told = True
            time.sleep(_LOCKED_S)
            continue
        with library:
            yield library
        return
    yield None
