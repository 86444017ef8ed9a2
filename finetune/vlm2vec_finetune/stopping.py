"""Stop between two steps: Ctrl-C, or a scheduler's SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vlm2vec_rag.interrupts import unhurried

logger = logging.getLogger(__name__)


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Ctrl-C or a scheduler's SIGTERM ends the run after its step, with a checkpoint; a second one ends it at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        logger.warning("stopping after this step, with a checkpoint; once more stops at once")
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        with unhurried():
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
