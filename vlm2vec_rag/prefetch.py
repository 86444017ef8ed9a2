"""Read ahead in a thread while the caller works on what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def prefetch(source: Iterable[T], depth: int, *, cancel: Callable[[], None] | None = None) -> Iterator[Iterator[T]]:
    """Iterate over `source` in a thread, at most `depth` elements ahead.

    An exception of `source` is raised where its element would have come. Leaving the block stops the thread, also
    when not everything was taken.

    Args:
        source: Is iterated over once.
        depth: Elements that may wait to be taken.
        cancel: Makes `source` give up the element it is at. Called when the block ends with an error, such as Ctrl-C,
            which should not have to wait for that element.
    """
    ahead: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not stop.is_set():
            try:
                ahead.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for element in source:
                if not put((element, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:  # carried to the thread that waits for it
            put((None, error, True))

    def take() -> Iterator[T]:
        while True:
            element, error, is_end = ahead.get()
            if error is not None:
                raise error
            if is_end:
                return
            yield element  # type: ignore[misc]  # None stands only beside an error or the end

    thread = threading.Thread(target=read, name="vlm2vec-prefetch", daemon=True)
    thread.start()
    try:
        yield take()
    except BaseException:
        stop.set()
        while cancel is not None and thread.is_alive():  # again: it may just have been between two elements
            cancel()
            thread.join(0.1)
        raise
    finally:
        stop.set()
        thread.join()
