"""Run the server until it is told to stop, and stop within seconds whatever it is doing."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vlm2vec_rag.extras import require

if TYPE_CHECKING:
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

logger = logging.getLogger(__name__)

GRACE_S = 2  # for answers that are being sent; open pages hold their connections and are not waited for


def run(served: Sequence[Served], settings: ServeSettings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        MissingExtra: uvicorn or FastAPI is not installed.
    """
    require("uvicorn", "serve")
    import uvicorn

    from vlm2vec_rag.serve.app import build_app

    app = build_app(served, settings)
    # uvicorn sends itself the signal again once it has shut down; the rest is put away then, and not left lying
    signal.signal(signal.SIGTERM, _leave)
    try:
        with suppress(KeyboardInterrupt):
            uvicorn.run(
                app,
                host=settings.host,
                port=settings.port,
                log_level="warning",
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
                proxy_headers=False,  # a header could claim any address, and the throttle counts by it
            )
    finally:
        stop(served)


def stop(served: Sequence[Served]) -> None:
    """End the jobs; where one is deep in a model's batch, end the process."""
    ended = [each.close() for each in served]
    if all(ended):
        return
    # A batch on a CPU can take minutes and cannot be interrupted. A collection survives being killed at any moment, and
    # its lock goes with the process; the next run goes on from there.
    logger.warning("a job did not stop in time; it is left where it is and goes on with the next run")
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _leave(*_: object) -> None:
    raise SystemExit(0)
