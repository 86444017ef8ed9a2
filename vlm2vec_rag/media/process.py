"""The parent's side of the worker: start it, ask it, and end it when it takes too long or dies."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.spawn import get_executable
from typing import IO, Any, cast

from vlm2vec_rag.errors import MediaError, ReaderClosed, VlmRagError
from vlm2vec_rag.media import wire
from vlm2vec_rag.media.notes import note
from vlm2vec_rag.media.settings import MediaLimits, MediaSettings
from vlm2vec_rag.media.worker import OUT_OF_MEMORY

PIPE_BYTES = 2**20  # a page is 3 MB: with the usual 64 KiB it costs 48 changes between the processes, not 3
BOOT_S = 60.0  # 0.08 s here; a cold disk or a busy machine takes far longer

# the parent's search path, without its environment and without running its main module again, as spawn would
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from vlm2vec_rag.media.worker import main; main()"
# keys, tokens and addresses in the environment are none of the worker's business
_PASSED_ON = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TMP",
    "TEMP",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LC_MESSAGES",
)

# threads and arenas reserve address space for each core, which would use up the memory limit on a large machine
_SMALL = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


_starters: dict[int, ThreadPoolExecutor] = {}  # by process id: a forked child has none of its parent's threads


def _starter() -> ThreadPoolExecutor:
    """A thread that lives as long as this process: Linux ends a worker with the thread that started it."""
    return _starters.setdefault(os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="vlm2vec-starts-workers"))


class WorkerDied(Exception):
    """The worker ended without an answer."""


class OutOfMemory(WorkerDied):
    """The worker came to its memory limit, and ended itself."""


class TimedOut(Exception):
    """The worker took too long, and was ended."""


class Worker:
    """One worker process. Not for use from several threads."""

    def __init__(self, settings: MediaSettings, limits: MediaLimits) -> None:
        self._settings, self._limits = settings, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()
        self._is_cancelled = False
        self.answered = 0  # requests that this process has served

    def ask(self, method: str, arguments: list[Any], timeout_s: float) -> Any:
        """Send a request and wait for its answer. What the worker notes meanwhile is noted here.

        Raises:
            VlmRagError: What the worker raised.
            TimedOut: No answer in time; the process is ended.
            WorkerDied: The process is gone.
            MediaError: No process can be started.
            ReaderClosed: Another thread cancelled it.
        """
        self._is_cancelled = False
        process = self._running()
        request = {"method": method, "arguments": arguments, "seconds": timeout_s}
        answer, notes = self._exchange(process, request, timeout_s)
        self.answered += 1
        for each in notes:
            note(each)
        if isinstance(answer, VlmRagError):
            raise answer
        return answer

    def cancel(self) -> None:
        """End the process under the thread that waits for its answer. May be called from any thread."""
        self._is_cancelled = True
        process = self._process
        if process is not None and self._pid == os.getpid():
            process.kill()

    def close(self) -> None:
        """End the process, if there is one of ours."""
        process, self._process, self.answered = self._process, None, 0
        if process is None or self._pid != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written has nowhere to go
                    pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._pid != os.getpid():  # forked: that process and its pipes are the parent's
            self._process, self._pid, self.answered = None, os.getpid(), 0
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        process = _starter().submit(self._spawn).result()
        setup = {
            "settings": dataclasses.asdict(self._settings),
            "limits": dataclasses.asdict(self._limits),
            "parent": os.getpid(),
        }
        try:
            self._exchange(process, setup, BOOT_S)
        except (WorkerDied, TimedOut) as error:
            raise MediaError(
                f"the process that opens files does not start ({error}); "
                "MediaReader(isolated=False) reads without one, for files that you trust"
            ) from error
        return process

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(  # noqa: S603  our own interpreter, no shell
            [os.fsdecode(get_executable()), "-I", "-c", _BOOT, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _SMALL,
        )
        return process

    def _exchange(self, process: subprocess.Popen[bytes], message: Any, timeout_s: float) -> Any:
        """Write and read, with a timer that ends the process: a pipe to a dead process ends, on every platform."""
        requests, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        too_late = threading.Event()

        def end() -> None:
            too_late.set()
            process.kill()

        timer = threading.Timer(timeout_s, end)
        timer.daemon = True
        timer.start()
        try:
            wire.write(requests, message)
            return wire.read(answers, self._limits.memory_bytes)
        except (wire.Disconnected, OSError) as error:
            if self._is_cancelled:
                self.close()
                raise ReaderClosed("the reader was closed while it read; read on with one that is open") from None
            last_words = self._end(process)
            if too_late.is_set():
                raise TimedOut(f"no answer within {timeout_s:g} s") from error
            raise WorkerDied(last_words) from error
        except BaseException:
            self.close()  # Ctrl-C: an answer is under way that the next request must not take for its own
            raise
        finally:
            timer.cancel()

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """End a process that stopped talking, and say how it went."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)  # a process that died by itself tells its own reason
        has_ended, stderr = process.returncode is not None, cast("IO[bytes]", process.stderr)
        said = stderr.read().decode(errors="replace").strip() if has_ended else ""
        self.close()
        code = process.returncode
        if code == OUT_OF_MEMORY:
            raise OutOfMemory
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{how}: {said.splitlines()[-1]}" if said else how
