"""Run a function in a forked process, which is killed in the middle, and hear what it told until then.

A fork starts in a millisecond with everything imported, the model included, where a new interpreter takes seconds.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[[Any], None]
PATIENCE_S = 300.0


@dataclass
class Ended:
    """How a forked process ended."""

    told: list[Any] = field(default_factory=list)  # what it reported, in order
    result: Any = None
    error: str = ""  # of an exception
    signal: str = ""  # that ended it, `SIGKILL` where we did
    is_killed: bool = False  # by us, in time
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        return not self.error and not self.signal


def forked(work: Callable[[Tell], Any], *, kill_after_s: float | None = None) -> Ended:
    """Call `work(tell)` in a fork.

    Args:
        work: What to do. Its result and what it tells are pickled.
        kill_after_s: Kill it then, if it is still at work.
    """
    read, write = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(work, write)
    os.close(write)
    ended = Ended()
    after_s = PATIENCE_S if kill_after_s is None else kill_after_s
    killer = threading.Timer(after_s, _kill, (pid,))
    killer.start()
    with os.fdopen(read, "rb") as pipe, contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            what, value = pickle.load(pipe)
            if what == "told":
                ended.told.append(value)
            elif what == "result":
                ended.result = value
            else:
                ended.error = value
    _, status = os.waitpid(pid, 0)
    killer.cancel()
    ended.seconds = time.monotonic() - began
    if os.WIFSIGNALED(status):
        ended.signal = signal.Signals(os.WTERMSIG(status)).name
        ended.is_killed = ended.signal == "SIGKILL" and kill_after_s is not None
        if ended.signal == "SIGKILL" and kill_after_s is None:
            ended.error = f"no answer in {PATIENCE_S:g} s"
    return ended


def moments(rng: random.Random, count: int, longest_s: float) -> list[float]:
    """Moments at which to kill: some at the very beginning, where things are opened, the others anywhere."""
    return [rng.uniform(0, 0.1 * longest_s) if at % 5 == 0 else rng.uniform(0, longest_s) for at in range(count)]


def _child(work: Callable[[Tell], Any], write: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # the engine's own panics
    status = 1
    try:
        with os.fdopen(write, "wb", buffering=0) as pipe:

            def say(what: str, value: Any) -> None:
                pipe.write(pickle.dumps((what, value)))

            try:
                say("result", work(lambda value: say("told", value)))
                status = 0
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                say("error", f"{type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})")
    finally:
        os._exit(status)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
