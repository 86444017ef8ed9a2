"""The worker process: reads requests from its standard input, opens files, answers on its standard output.

It is a fresh interpreter (never a fork, which would carry the parent's threads, locks and secrets along) that imports
only what opens files, and has limits on memory, processor time, open files and file writes before it opens the first.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from typing import IO, Any

from vlm2vec_rag.errors import UnreadableMedia, VlmRagError
from vlm2vec_rag.media import wire
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.opener import Opener
from vlm2vec_rag.media.settings import MediaLimits, MediaSettings

OPEN_FILES = 64
OUT_OF_MEMORY = 77  # exit code
REQUEST_BYTES = 2**20
METHODS = ("probe", "item", "read_words", "page", "words", "export", "clip", "image")


def main() -> None:
    """Serve until the pipe ends."""
    requests, answers = _take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    try:
        setup = wire.read(requests, REQUEST_BYTES)
        end_with(setup["parent"])
        limits = MediaLimits(**setup["limits"])
        opener = Opener(MediaSettings(**setup["settings"]), limits)
        limit_resources(limits)
        os.dup2(0, 2)  # up to here the parent can read what went wrong; nobody empties that pipe later
        wire.write(answers, "ready")
        while True:
            request = wire.read(requests, REQUEST_BYTES)
            limit_processor_time(request["seconds"])
            with collected_notes() as notes:
                result = answer(opener, request["method"], request["arguments"])
            wire.write(answers, [result, notes])
    except (wire.Disconnected, BrokenPipeError):
        return
    except MemoryError:
        # what is left of this process is not fit for another file; no clean-up, which needs memory too
        os._exit(OUT_OF_MEMORY)


def answer(opener: Opener, method: str, arguments: list[Any]) -> Any:
    """The result of a request, or the error it ends in: one of ours, whatever a library raised.

    Raises:
        MemoryError: The limit is reached.
    """
    if method not in METHODS:
        raise ValueError(method)
    try:
        return getattr(opener, method)(*arguments)
    except VlmRagError as error:
        return error
    except MemoryError:
        raise
    except Exception as error:
        # libraries raise whatever they like on a broken file; the run must go on with the next one
        return UnreadableMedia(
            f"{arguments[0]}: cannot be read ({type(error).__name__}: {error}); it may be broken, so save it again"
        )


def limit_resources(limits: MediaLimits) -> None:
    """Cap memory, open files and written bytes; does nothing where the platform has no such limits (Windows)."""
    import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = None  # limits.pixels is checked before anything is decoded
    sys.dont_write_bytecode = True
    try:
        import resource
    except ImportError:
        return
    caps = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: OPEN_FILES}
    if sys.platform == "linux":  # macOS takes the limit and does not keep it
        caps[resource.RLIMIT_AS] = limits.memory_bytes
    for which, most in caps.items():
        _, hard = resource.getrlimit(which)
        lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)  # this machine may allow less
        resource.setrlimit(which, (lowest, lowest))


def limit_processor_time(seconds: float) -> None:
    """Let the kernel end this process when a request has used far more than its time on all processors.

    The parent ends it long before; this is for a parent that was killed and cannot.
    """
    try:
        import resource
    except ImportError:
        return
    used = time.process_time()
    most = math.ceil(used + seconds * (os.cpu_count() or 1))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def end_with(parent: int) -> None:
    """Have Linux end this process with its parent, however deep in a file it is; elsewhere its next answer does."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that
            os._exit(1)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the two pipes for the protocol alone: what a C library prints goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return requests, answers
