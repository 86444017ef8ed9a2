"""How far an indexing run is: a bar in a terminal or a notebook, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vlm2vec_rag.terminal import counted

PLAIN_EVERY_S = 5.0


class IndexProgress:
    """A bar over all items, with what came in by kind, the rate and the time left. An `IndexCallback`."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on a console; None takes a terminal's error output, or the notebook."""
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[files]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not (self._console.is_terminal or self._console.is_jupyter),
        )
        self._task: TaskID | None = None
        self._files = self._files_done = 0
        self._items = self._items_done = 0
        self._kinds: dict[str, int] = {}
        self._started_s = self._told_s = time.monotonic()

    def __enter__(self) -> IndexProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def items(self) -> int:
        """Items that are in the collection by now, of this run."""
        return self._items_done

    def planned(self, files: int, items: int) -> None:
        """See `IndexCallback.planned`."""
        self._files, self._items = files, items
        self._started_s = self._told_s = time.monotonic()
        self._task = self._progress.add_task("indexing", total=items, rate="", files=f"0/{files} files")

    def file_done(self, source: str, error: str | None) -> None:
        """See `IndexCallback.file_done`."""
        self._files_done += self._task is not None
        if error is not None:
            self._console.print(f"[red]{escape(Path(source).name)}[/red]: {escape(error)}")
        self._show(0)

    def items_done(self, kinds: Mapping[str, int]) -> None:
        """See `IndexCallback.items_done`."""
        for kind, count in kinds.items():
            self._kinds[kind] = self._kinds.get(kind, 0) + count
        self._show(sum(kinds.values()))

    def _show(self, advance: int) -> None:
        self._items_done += advance
        if self._task is None:
            return
        kinds = " · ".join(counted(count, kind) for kind, count in sorted(self._kinds.items()))
        if self._progress.disable:
            self._tell(kinds)
            return
        task = self._progress.tasks[self._task]
        rate = f"{task.speed:.1f}/s" if task.speed else ""
        files = f"{self._files_done}/{self._files} files  {kinds}"
        self._progress.update(self._task, advance=advance, rate=rate, files=files)

    def _tell(self, kinds: str) -> None:
        """A plain line every few seconds, for logs and pipes, where no bar can be drawn."""
        now_s = time.monotonic()
        if now_s - self._told_s < PLAIN_EVERY_S or not self._items_done:
            return
        self._told_s = now_s
        left_s = (now_s - self._started_s) / self._items_done * max(0, self._items - self._items_done)
        self._console.print(
            f"indexing: {self._items_done} of {self._items} items, {self._files_done}/{self._files} files"
            f"{f'  {kinds}' if kinds else ''}, about {left_s:.0f} s left"
        )
