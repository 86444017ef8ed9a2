"""A search index being built: the child process, and the thread that waits for it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlm2vec_rag.errors import CollectionError

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("build_index.py")


class Build:
    """Building the index of the shard copied to `path`; starts at once, and goes on in the background.

    If this process dies meanwhile, so does the child on Linux; elsewhere it finishes a copy that nobody opens. The next
    process to open the folder removes it.
    """

    def __init__(
        self,
        path: Path,
        *,
        pending: int,
        in_background: bool,
        on_success: Callable[[Build], None],
        on_end: Callable[[Build], None],
    ) -> None:
        self.path = path
        self.pending = pending  # points outside the index when the copy was made
        self.changed: set[Any] = set()  # ids written since
        self.schema_changes: list[Any] = []
        self.error: Exception | None = None
        self._is_cancelled = False
        self._in_background = in_background
        self._on_success = on_success
        self._on_end = on_end
        self._child: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"index-of-{path.parent.name}", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end.

        Raises:
            CollectionError: It failed.
        """
        self._thread.join()
        if self.error is not None:
            raise CollectionError(f"the search index was not built, searches go on without it: {self.error}")

    def cancel(self) -> None:
        """Give up, and wait until nothing touches the copy any more."""
        with self._starting:
            self._is_cancelled = True
            if self._child is not None:
                self._child.kill()
        self._thread.join()

    def _run(self) -> None:
        try:
            child = self._start()
            _, complaint = child.communicate()
            if self._is_cancelled:
                raise CollectionError("the collection was closed")
            if child.returncode != 0:
                last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
                raise CollectionError(f"the building process ended with {child.returncode}: {last[0]}")
            self._on_success(self)
        except Exception as error:
            self.error = error
            if not self._is_cancelled:
                logger.warning("the search index of %s was not built: %s", self.path.parent, error)
        finally:
            self._on_end(self)

    def _start(self) -> subprocess.Popen[str]:
        """Start the child, from the thread that outlives it: Linux ends a child with the thread that started it."""
        # the child must find the engine where this process found it, wherever that was
        paths = os.pathsep.join(each for each in sys.path if each)
        with self._starting:
            if self._is_cancelled:
                raise CollectionError("the collection was closed")
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter and our own file
                [sys.executable, str(PROGRAM), str(self.path), str(os.getpid()), *["--nice"] * self._in_background],
                env={**os.environ, "PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            return self._child
