"""The training loop of every stage: processes that share one model and meet once a step, until the time is up.

On a busy machine one process with two threads waits at every operation for the slower core (20 times slower,
measured at a load of 5 on 2 cores). Two processes of one thread each take micro-batches of a step as they come free.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optimiser import MasterWeights, learning_rate_share, save_checkpoint

log = logging.getLogger("nano")
SAVE_EVERY_S = 180


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How long and with how many hands a stage is trained."""

    path: Path  # of the checkpoint
    minutes: float  # wall time over all sittings; the learning rate follows it
    processes: int
    micro_batches: int  # of a step, over all processes
    figures: tuple[str, ...]  # what `backward` returns
    log_every: int = 50  # steps


class ParallelTraining:
    """What the processes of one run share: parameters, gradients, figures and the count of micro-batches taken."""

    def __init__(self, run: RunSettings, masters: MasterWeights) -> None:
        self.run, self.masters = run, masters
        self.spent, self.step = 0.0, 0
        if run.path.exists():
            saved = torch.load(run.path, weights_only=True)
            masters.load(saved["train"])
            self.spent, self.step = saved["spent"], saved["step"]
        for parameter in masters.shown:
            parameter.data.share_memory_()  # type: ignore[no-untyped-call]
        self.sums = [[_shared(*each.shape) for each in masters.shown] for _ in range(run.processes)]
        self.figures = _shared(run.processes, len(run.figures) + 1)
        self.context = torch.multiprocessing.get_context("fork")
        self.barrier = self.context.Barrier(run.processes)
        self.taken, self.going = self.context.Value("i", 0), self.context.Value("b", True)

    def train(
        self,
        worker: Callable[[int], Callable[[], list[float]]],
        check: Callable[[], str],
        weights: Callable[[], dict[str, torch.Tensor]],
    ) -> None:
        """Train until the time is up.

        Args:
            worker: Given a seed, makes what a process calls again and again: it adds the gradients of one micro-batch
                to the parameters and returns the run's figures.
            check: Called before each save; what it returns is logged.
            weights: The model's weights as they are to be saved.
        """
        others = [
            self.context.Process(target=self._work, args=(member, worker, check, weights))
            for member in range(1, self.run.processes)
        ]
        for process in others:
            process.start()
        self._work(0, worker, check, weights)
        for process in others:
            process.join()

    def _work(self, member: int, worker: Any, check: Callable[[], str], weights: Any) -> None:
        backward = worker(1000 + 10 * self.step + member)
        self.started = self.saved = time.monotonic()
        while self.going.value:
            while self._take_micro_batch():
                self.figures[member] += torch.tensor([*backward(), 1.0])
            for total, parameter in zip(self.sums[member], self.masters.shown, strict=True):
                total.zero_() if parameter.grad is None else total.copy_(parameter.grad)
                parameter.grad = None
            self.barrier.wait()
            if member == 0:
                self._lead(check, weights)
            self.barrier.wait()

    def _take_micro_batch(self) -> bool:
        with self.taken.get_lock():
            self.taken.value += 1
            return bool(self.taken.value <= self.run.micro_batches)

    def _lead(self, check: Callable[[], str], weights: Any) -> None:
        """Take the step that all gradients ask for; log and save when it is time."""
        total_s = self.run.minutes * 60
        gradients = [sum(parts[1:], parts[0]) / self.run.micro_batches for parts in zip(*self.sums, strict=True)]
        torch.set_num_threads(self.run.processes)  # the others wait
        self.masters.step(learning_rate_share(self.spent / total_s), gradients)
        torch.set_num_threads(1)
        self.taken.value = 0
        now = time.monotonic()
        self.spent, self.started, self.step = self.spent + now - self.started, now, self.step + 1
        done = self.spent >= total_s
        if self.step % self.run.log_every == 0 or done:
            total = self.figures.sum(0)
            means = (total[:-1] / total[-1]).tolist()
            told = " ".join(f"{name} {value:.3f}" for name, value in zip(self.run.figures, means, strict=True))
            log.info("%.1f min, step %d: %s", self.spent / 60, self.step, told)
            self.figures.zero_()
        if done or now - self.saved > SAVE_EVERY_S:
            log.info("validation: %s", check())
            save_checkpoint(
                {"train": self.masters.state(), "model": weights(), "spent": self.spent, "step": self.step},
                self.run.path,
            )
            self.saved = self.started = time.monotonic()
        self.going.value = not done


def _shared(*shape: int) -> torch.Tensor:
    zeros: torch.Tensor = torch.zeros(shape).share_memory_()  # type: ignore[no-untyped-call]
    return zeros
