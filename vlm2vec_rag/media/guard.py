"""Asks the worker, within limits of time, and says in words what became of it when it does not answer."""

from __future__ import annotations

import time
from typing import Any

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.media.ocr import PATIENCE
from vlm2vec_rag.media.process import OutOfMemory, TimedOut, Worker, WorkerDied
from vlm2vec_rag.media.settings import MediaKind, MediaLimits, MediaSettings

ITEMS: dict[MediaKind, str] = {"pdf": "page", "video": "clip", "text": "passage", "image": "image", "document": "page"}


class Clock:
    """Time that may still be spent on a file. Only reading counts, not what is done with its items meanwhile."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = self.left_s = limit_s

    def spend(self, seconds: float) -> None:
        self.left_s = max(self.left_s - seconds, 0.0)

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0


class Guard:
    """A worker that is started when it is needed, and again when it was lost. Not for use from several threads."""

    def __init__(self, settings: MediaSettings, limits: MediaLimits) -> None:
        self._worker = Worker(settings, limits)
        self._limits = limits

    def ask(self, kind: MediaKind, method: str, path: str, arguments: tuple[Any, ...], clock: Clock | None) -> Any:
        """The worker's answer; a worker that dies over a file is that file's error.

        Raises:
            VlmRagError: What the worker raised.
            MediaLimit: It took too long, or needed too much memory. The cause is TimedOut or OutOfMemory.
            UnreadableMedia: The worker died. The cause is WorkerDied.
            ReaderClosed: Another thread cancelled it.
        """
        limit_s = self._limits.seconds_per_clip if kind == "video" else self._limits.seconds_per_item
        limit_s *= PATIENCE if method == "read_words" else 1
        started = time.monotonic()
        try:
            return self._ask_until_sure(method, [path, *arguments], min(limit_s, clock.left_s) if clock else limit_s)
        except TimedOut as error:
            if clock and clock.left_s < limit_s:
                whole_s = f"takes longer than {clock.limit_s:g} s to read in all"
                raise MediaLimit(f"{path}: {whole_s}; split it, or raise limits.seconds_per_file") from error
            name = "seconds_per_clip" if kind == "video" else "seconds_per_item"
            too_long = f"{_what(kind, method, arguments)} takes longer than {limit_s:g} s to read"
            raise MediaLimit(f"{path}: {too_long}; leave it out, or raise limits.{name}") from error
        except OutOfMemory as error:
            too_much = f"needs more memory than {self._limits.memory_bytes / 2**30:g} GiB"
            raise MediaLimit(
                f"{path}: {_what(kind, method, arguments)} {too_much}; reduce it, or raise limits.memory_bytes"
            ) from error
        except WorkerDied as error:
            raise UnreadableMedia(
                f"{path}: {_what(kind, method, arguments)} ended the process that opened it ({error}); it is broken, "
                "or made to do harm, or needs more than limits.memory_bytes; leave it out, or save it again"
            ) from error
        finally:
            if clock:
                clock.spend(time.monotonic() - started)

    def cancel(self) -> None:
        """End the request that another thread waits for, which raises ReaderClosed there."""
        self._worker.cancel()

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def _ask_until_sure(self, method: str, arguments: list[Any], timeout_s: float) -> Any:
        """Ask again where a worker died that had served before: earlier files may have left it weak."""
        was_used = self._worker.answered > 0
        try:
            return self._worker.ask(method, arguments, timeout_s)
        except WorkerDied:
            if not was_used:
                raise
        return self._worker.ask(method, arguments, timeout_s)


def _what(kind: MediaKind, method: str, arguments: tuple[Any, ...]) -> str:
    """`page 7`, for a message; arguments are as `MediaReader` gives them."""
    match method:
        case "page" | "words" | "export":
            return f"page {arguments[0]}"
        case "clip":
            return f"the clip from {arguments[0]:g} to {arguments[1]:g} s"
        case "item" | "read_words" if kind != "image":
            return f"{ITEMS[kind]} {arguments[0] + 1}"
    return "it"
