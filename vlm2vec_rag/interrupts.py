"""Ctrl-C and SIGTERM on the command line: two seconds at most, one line, and a second one ends it at once.

The first signal raises `Interrupted` in the main thread, so that what is open is put away: processes ended, files
closed, the collection flushed. Where that does not happen, in a library that does not come back to Python or waits for
something, a thread ends the process without it. A collection survives being killed at any moment, so nothing is lost
either way; and on Linux every process started from here ends with this one.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, ClassVar, NoReturn

import typer
from typer.core import TyperGroup

PATIENCE_S = 1.4  # for putting things away; the rest of two seconds is for the system to end a large process
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FORGIVEN = 0  # written in place of a signal's number: the last one was dealt with
_SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_kept: list[Callable[[], str]] = []


@contextmanager
def keeping(says: Callable[[], str]) -> Iterator[None]:
    """Tell what stays when the block is interrupted: "41 items kept; the same command goes on"."""
    _kept.append(says)
    try:
        yield
    except KeyboardInterrupt as error:
        if not hasattr(error, "kept"):
            error.kept = _what_is_kept()  # type: ignore[attr-defined]
        raise
    finally:
        _kept.remove(says)


@contextmanager
def handled() -> Iterator[None]:
    """Have signals raise `Interrupted` in the block, and end the process where that does not end it in time."""
    if threading.current_thread() is not threading.main_thread() or _Watch.current is not None:
        yield
        return
    watch = _Watch.current = _Watch()
    before = {number: signal.signal(number, watch.ask) for number in SIGNALS}
    try:
        yield
    finally:
        if watch.asked is not None:
            _end(watch.asked)
        for number, handler in before.items():
            signal.signal(number, handler)
        watch.close()
        _Watch.current = None


@contextmanager
def unhurried() -> Iterator[None]:
    """Let the first signal take its time in the block, which has a handler of its own; a second one ends it at once."""
    watch = _Watch.current
    if watch is None:
        yield
        return
    watch.is_hurried = False
    try:
        yield
    finally:
        watch.is_hurried = True


def forgive(error: KeyboardInterrupt) -> None:
    """Go on after Ctrl-C, which was meant for one piece of work. SIGTERM is not forgiven: it is raised again."""
    if getattr(error, "number", signal.SIGINT) != signal.SIGINT:
        raise error
    if _Watch.current is not None:
        _Watch.current.forgive()


def seen() -> int | None:
    """The signal that came and was not forgiven, whoever handles it."""
    return _Watch.current.seen if _Watch.current is not None else None


class Group(TyperGroup):
    """Commands that end with one line and status 130 (143 for SIGTERM) when they are interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """See `click.Group.invoke`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            _say(getattr(error, "kept", ""))
            raise typer.Exit(128 + number) from None
        except Exception:
            # a library that was interrupted may turn it into an error of its own
            number = _Watch.current.asked if _Watch.current else None
            if number is None:
                raise
            _say("")
            raise typer.Exit(128 + number) from None


class _Watch:
    """Waits in a thread for signals, which the interpreter writes into a socket the moment they come."""

    current: ClassVar[_Watch | None] = None

    def __init__(self) -> None:
        self.asked: int | None = None  # the signal that was raised in the main thread
        self.seen: int | None = None
        self.is_hurried = True
        self.has_said = False
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._former = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="vlm2vec-interrupts", daemon=True)
        self._thread.start()

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The handler: the first signal is an exception in the main thread, the thread sees to the second."""
        if self.asked is None:
            self.asked = number
            raise Interrupted(number)

    def forgive(self) -> None:
        """Take the next signal for the first one again."""
        self._write.send(bytes([_FORGIVEN]))
        self.asked = None

    def close(self) -> None:
        """End the thread."""
        signal.set_wakeup_fd(self._former)
        self._write.close()
        self._thread.join()
        self._read.close()

    def _run(self) -> None:
        ends_s: float | None = None
        while True:
            left_s = None if ends_s is None else max(0.0, ends_s - time.monotonic())
            ready, _, _ = select.select([self._read], [], [], left_s)
            if self.seen is not None and not ready:
                self._leave(self.seen)
            given = self._read.recv(64)
            if not given:
                return
            for number in given:
                if number == _FORGIVEN:
                    self.seen = ends_s = None
                elif number in SIGNALS:
                    if self.seen is not None:
                        self._leave(self.seen)
                    self.seen = number
                    ends_s = time.monotonic() + PATIENCE_S if self.is_hurried else None

    def _leave(self, number: int) -> NoReturn:
        """End the process now, whatever its other threads are in the middle of."""
        with suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            if not self.has_said:
                kept = _what_is_kept()
                os.write(2, f"\ninterrupted{f': {kept}' if kept else ''}\n".encode())
        os._exit(128 + number)


def _what_is_kept() -> str:
    with suppress(Exception):  # asked from another thread while the work goes on
        return _kept[-1]() if _kept else ""
    return ""


def _end(number: int) -> NoReturn:
    """End the process once all is put away. The interpreter's own end takes long with torch, and joins threads."""
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(128 + number)


def _say(kept: str) -> None:
    if _Watch.current is not None:
        _Watch.current.has_said = True
    with suppress(OSError, ValueError):
        sys.stderr.write(f"interrupted{f': {kept}' if kept else ''}\n")
        sys.stderr.flush()
