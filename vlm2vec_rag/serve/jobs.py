"""Long work on a collection, one job after the other, watched by whoever wants to know how far it is.

A job always ends in a state that says how: done, failed with a reason, or stopped. An error that nobody expected ends
the job, never the thread that works for all of them.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from vlm2vec_rag.errors import InvalidInput, VlmRagError

logger = logging.getLogger(__name__)

State: TypeAlias = Literal["waiting", "running", "done", "failed", "stopped"]
FileState: TypeAlias = Literal["waiting", "reading", "done", "failed"]

MOST_WAITING = 100  # jobs
MOST_KEPT = 50  # jobs that have ended and can still be looked at
MOST_FILES = 500  # files of a job that are listed one by one
SILENT_S = 180.0  # without a sign of progress a job is said to be silent


@dataclass(slots=True)
class FileStep:
    """How far one file is."""

    name: str
    state: FileState = "waiting"
    error: str = ""


class Stopped(Exception):
    """Raised inside a job that was asked to stop."""


@dataclass(slots=True, eq=False)
class Job:
    """One piece of long work, and how far it is. It is its own `IndexCallback`."""

    title: str
    work: Callable[[Job], str] = field(repr=False)  # gives the line that says what was done
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    state: State = "waiting"
    message: str = ""
    files: dict[str, FileStep] = field(default_factory=dict)  # by source
    files_planned: int = 0
    files_done: int = 0
    files_failed: int = 0
    items_planned: int = 0
    items: int = 0
    started_s: float = 0.0  # monotonic
    heard_s: float = 0.0  # monotonic, of the last sign of progress
    seconds: float = 0.0  # it took
    version: int = 0  # goes up with every change
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed", "stopped")

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1, as far as can be told."""
        if self.is_over:
            return 1.0
        if self.items_planned:
            return min(1.0, self.items / self.items_planned)
        return self.files_done / self.files_planned if self.files_planned else None

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far, once there is one."""
        share = self.share
        if self.state != "running" or not share or share >= 1:
            return None
        return (time.monotonic() - self.started_s) * (1 - share) / share

    @property
    def is_silent(self) -> bool:
        return self.state == "running" and time.monotonic() - self.heard_s > SILENT_S

    def expect(self, paths: Iterable[Path]) -> None:
        """Name the files that are to come, so that they can be shown before they are read."""
        for path in list(paths)[:MOST_FILES]:
            self.files[path.resolve().as_posix()] = FileStep(path.name)
        self.tell()

    def say(self, message: str) -> None:
        """What is going on, for people. Ends the job where it was asked to stop."""
        self.message = message
        self.tell()
        self.check()

    def check(self) -> None:
        """Raise `Stopped` where the job was asked to stop."""
        if self._stop.is_set():
            raise Stopped

    # IndexCallback

    def planned(self, files: int, items: int) -> None:
        """So many files will be read, which make so many items as far as can be told."""
        self.files_planned, self.items_planned = files, items
        self._begin_next()
        self.say("")

    def file_done(self, source: str, error: str | None) -> None:
        """A file is in the collection, or failed."""
        if source in self.files or len(self.files) < MOST_FILES:
            step = self.files.setdefault(source, FileStep(Path(source).name))
            reason = shown_reason(error, source).removeprefix(f"{step.name}: ")
            step.state, step.error = ("failed", reason) if error else ("done", "")
        self.files_done += 1
        self.files_failed += error is not None
        self._begin_next()
        self.say("")

    def items_done(self, kinds: Mapping[str, int]) -> None:
        """So many more items of each kind are in the collection."""
        self.items += sum(kinds.values())
        self.say("")

    def stop(self) -> None:
        """Ask the job to end at its next sign of progress; what it has done stays."""
        self._stop.set()
        if self.state == "waiting":
            self.end("stopped", "stopped before it began")

    def end(self, state: State, message: str) -> None:
        """Set how the job ended, for good."""
        self.state, self.message = state, message
        self.seconds = time.monotonic() - self.started_s if self.started_s else 0.0
        for step in self.files.values():
            if state == "done" and step.state in ("waiting", "reading"):
                step.state = "done"  # it was there already
            elif step.state == "reading":
                step.state = "waiting"
        self.tell()

    def run(self) -> None:
        """Do the work; whatever happens, the job ends."""
        if self.is_over:
            return
        self.state, self.started_s = "running", time.monotonic()
        self.tell()
        try:
            self.end("done", self.work(self))
        except Stopped:
            self.end("stopped", "stopped; what was done stays, and another run goes on from there")
        except VlmRagError as error:
            self.end("failed", shown_reason(str(error)))
        except BaseException as error:
            logger.exception("job %r ended with an unexpected error", self.title)
            self.end(
                "failed",
                f"an unexpected error ended this: {type(error).__name__}: {shown_reason(str(error))}; "
                "nothing that was indexed is lost, and the server's log says more",
            )

    def tell(self) -> None:
        """Wake whoever watches."""
        with self._changed:
            self.version += 1
            self.heard_s = time.monotonic()
            self._changed.notify_all()

    def wait(self, version: int, timeout_s: float) -> int:
        """Wait until something has changed since `version`, or the time is over; returns the present version."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != version, timeout_s)
            return self.version

    def _begin_next(self) -> None:
        if not any(step.state == "reading" for step in self.files.values()):
            step = next((each for each in self.files.values() if each.state == "waiting"), None)
            if step is not None:
                step.state = "reading"


class Jobs:
    """The jobs of one collection. They take turns in one thread, which starts with the first."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, title: str, work: Callable[[Job], str], *, files: Iterable[Path] = ()) -> Job:
        """Put work at the end of the line.

        Raises:
            InvalidInput: The line is full, or the server is stopping.
        """
        job = Job(title, work)
        job.expect(files)
        with self._lock:
            if self._closing:
                raise InvalidInput("the server is stopping and takes no new work; start it again first")
            if len(self._waiting) >= MOST_WAITING:
                raise InvalidInput(f"{MOST_WAITING} jobs are waiting already; wait until some are done")
            self._jobs[job.id] = job
            ended = [each.id for each in self._jobs.values() if each.is_over]
            for each in ended[: max(0, len(self._jobs) - MOST_KEPT)]:
                del self._jobs[each]
            self._waiting.append(job)
            if self._thread is None:
                # a daemon: an encoder in the middle of a batch cannot keep the server from ending
                self._thread = threading.Thread(target=self._work, name="vlm2vec-jobs", daemon=True)
                self._thread.start()
            self._lock.notify_all()
        return job

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """Every job that is kept, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def active(self) -> list[Job]:
        """The jobs that have not ended, the one that runs first."""
        with self._lock:
            return [job for job in self._jobs.values() if not job.is_over]

    def close(self, timeout_s: float = 3.0) -> bool:
        """Ask everything to stop, and wait a little. Returns whether the thread has ended."""
        with self._lock:
            self._closing = True
            self._waiting.clear()
            self._lock.notify_all()
        for job in self.active():
            job.stop()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                job = self._waiting.popleft()
            job.run()


def shown_reason(reason: str | None, source: str = "") -> str:
    """A reason as clients see it: on one line, a file by its name and not by where it is on this machine."""
    words = " ".join((reason or "").split())
    if source:
        words = words.replace(source, Path(source).name)
    # paths in messages of engines and systems: only their last part tells a client anything
    return " ".join(_last_part(word) for word in words.split(" "))[:600]


def _last_part(word: str) -> str:
    core = word.strip("'\"()[]:;,")
    if core.startswith("/") and core.count("/") > 1 and len(core) > 1:
        return word.replace(core, core.rstrip("/").rpartition("/")[2] or core)
    return word
