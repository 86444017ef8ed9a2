"""Run the server until it is told to stop, and stop within seconds whatever it is doing."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from vlm2vec_rag.extras import require
from vlm2vec_rag.interrupts import SIGNALS, Interrupted

if TYPE_CHECKING:
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

logger = logging.getLogger(__name__)

GRACE_S = 1  # for answers that are being sent; open pages hold their connections and are not waited for
JOB_S = 0.4  # for a job to come to its next sign of progress; two seconds are what a signal may take in all


def run(served: Sequence[Served], settings: ServeSettings) -> None:
    """Serve until SIGINT or SIGTERM, which is raised again as `Interrupted` once the server has stopped.

    Raises:
        MissingExtra: uvicorn or FastAPI is not installed.
        Interrupted: A signal ended it.
    """
    require("uvicorn", "serve")
    import uvicorn

    from vlm2vec_rag.serve.app import build_app

    class Server(uvicorn.Server):
        """One that keeps the signal to itself until it has stopped, where uvicorn's sends it once more."""

        told: int | None = None

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.told, self.should_exit = self.told or sig, True

    config = uvicorn.Config(
        build_app(served, settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        proxy_headers=False,  # a header could claim any address, and the throttle counts by it
    )
    server = Server(config)
    try:
        server.run()
    finally:
        stop(served, server.told)
    if server.told is not None:
        raise Interrupted(server.told)


def stop(served: Sequence[Served], told: int | None = None) -> None:
    """End the jobs; where one is deep in a model's batch, end the process."""
    ended = [each.close(JOB_S) for each in served]
    if all(ended):
        return
    # A batch on a CPU can take minutes and cannot be interrupted. A collection survives being killed at any moment, and
    # its lock goes with the process; the next run goes on from there.
    logger.warning("a job did not stop in time; it is left where it is and goes on with the next run")
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(128 + told if told else 0)
