"""Training: the loop, and what one step does.

Every rank reads its part of the batch, encodes it, and gets all ranks' vectors; the loss over the whole batch is then
taken on every rank alike, and each pushes the gradient of its own vectors into its weights. Summed over ranks that is
the gradient of one big batch, on any number of them.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from vlm2vec_finetune import checkpoints
from vlm2vec_finetune.batches import BadPair, BatchReader
from vlm2vec_finetune.datasets.base import VisDocDataset
from vlm2vec_finetune.datasets.files import read_pairs
from vlm2vec_finetune.datasets.registry import import_modules, open_dataset
from vlm2vec_finetune.gradcache import Seen, Slot
from vlm2vec_finetune.held_out import evaluate_trainee
from vlm2vec_finetune.loss import duplicates, info_nce
from vlm2vec_finetune.mixing import Mix
from vlm2vec_finetune.model import Trainee, load_trainee
from vlm2vec_finetune.passages import pages_of_documents
from vlm2vec_finetune.ranks import Ranks, open_ranks
from vlm2vec_finetune.recipe import Recipe
from vlm2vec_finetune.scoring import HEADLINE, METRICS, Scores, Trial, trial_of
from vlm2vec_finetune.spool import Spool
from vlm2vec_finetune.stopping import stop_on_signal
from vlm2vec_finetune.visuals import Visuals
from vlm2vec_finetune.watch import StepReport, Watch, append_line, cut_log
from vlm2vec_rag.disk import replacing
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia, VlmRagError
from vlm2vec_rag.evaluation.intervals import Interval

logger = logging.getLogger(__name__)

SCORES = "held_out_scores.json"  # step -> metric -> a number for each held-out question


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a run's results are."""

    folder: Path  # the adapter or model; the last checkpoint when the run was stopped
    step: int
    is_finished: bool
    gain: Interval | None = None  # of the held-out headline metric, from before the first step to after the last


@dataclass(slots=True)
class _Progress:
    """What changes while a run goes on, beside weights."""

    step: int = 0
    bad: dict[str, str] = field(default_factory=dict)  # `source:index` -> why


def train(
    recipe: Recipe, *, restart: bool = False, watches: Sequence[Watch] = (), stop_at: int | None = None
) -> Outcome:
    """Train as the recipe says, from its last checkpoint where there is one.

    Args:
        recipe: Every setting.
        restart: Remove the run's checkpoints and begin anew.
        watches: Told of every step.
        stop_at: Save and stop after so many steps in all, to go on later.

    Raises:
        InvalidInput: Recipe and machine or data do not fit.
        ModelNotFound, AdapterMismatch: The model or the checkpoint does not fit.
        UnreadableMedia: More pairs than `max_bad_pairs` cannot be read.
        VlmRagError: The loss is no number, or one input is too large for the memory.
    """
    visuals = Visuals(max_pixels=recipe.max_pixels, frames=recipe.frames)
    with visuals, open_ranks(recipe.device) as ranks, stop_on_signal() as stop:
        return _Run(recipe, ranks, visuals, watches if ranks.is_first else ()).go(restart, stop, stop_at)


class _Run:
    def __init__(self, recipe: Recipe, ranks: Ranks, visuals: Visuals, watches: Sequence[Watch]) -> None:
        if recipe.batch_size % ranks.size:
            raise InvalidInput(f"batch_size {recipe.batch_size} does not divide among {ranks.size} ranks")
        self.recipe, self.ranks, self.watches = recipe, ranks, watches
        self.folder = Path(recipe.output_dir)
        import_modules(recipe.modules)
        self.datasets = [open_dataset(source) for source in recipe.datasets]
        self.mix = Mix(
            [_size(data, source.cap) for data, source in zip(self.datasets, recipe.datasets, strict=True)],
            [source.weight for source in recipe.datasets],
            batch_size=recipe.batch_size,
            sub_batch_size=recipe.sub_batch_size,
            seed=recipe.seed,
        )
        self.trainee: Trainee = load_trainee(recipe, ranks.device, visuals)
        self.names = [source.name for source in recipe.datasets]
        self.reader = BatchReader(
            self.datasets, self.names, self.trainee.inputs,
            negatives=recipe.negatives_per_query, workers=recipe.workers, seed=recipe.seed,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            self.trainee.trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.trial: Trial | None = None
        if recipe.held_out:
            pairs = read_pairs(recipe.held_out)
            with visuals.reading() as reader:
                pages = pages_of_documents([pair.target for pair in pairs], reader)
            self.trial = trial_of(pairs, self.trainee.inputs.prompts, pages)
        self.progress = _Progress()

    def go(self, restart: bool, stop: threading.Event, stop_at: int | None) -> Outcome:
        self._begin(restart)
        recipe, progress = self.recipe, self.progress
        if progress.step >= recipe.max_steps and self._final.is_dir():
            return Outcome(self._final, progress.step, is_finished=True, gain=self._gain())
        for watch in self.watches:
            watch.started(recipe, progress.step)
        last = min(recipe.max_steps, stop_at or recipe.max_steps)
        try:
            if progress.step == 0:
                self._evaluate()
            while progress.step < last:
                report = self._step(progress.step)
                progress.step += 1
                self._tell(report)
                stopping = self.ranks.any(stop.is_set()) or progress.step == last
                if recipe.evaluate_steps and progress.step % recipe.evaluate_steps == 0 and progress.step < last:
                    self._evaluate()
                if progress.step % recipe.save_steps == 0 or stopping:
                    self._save()
                if stopping:
                    break
            return self._end()
        finally:
            for watch in self.watches:
                watch.ended()

    def _begin(self, restart: bool) -> None:
        """Resume from the newest checkpoint, or clear the way."""
        if self.ranks.is_first:
            self.folder.mkdir(parents=True, exist_ok=True)
            if restart:
                for old in checkpoints.checkpoints(self.folder):
                    shutil.rmtree(old)
                (self.folder / SCORES).unlink(missing_ok=True)
        self.ranks.wait()
        found = checkpoints.checkpoints(self.folder)
        if found:
            state = checkpoints.load_checkpoint(found[-1], self.trainee.model, self.optimizer, self.recipe)
            self.progress = _Progress(state["step"], dict(state["bad"]))
            logger.info("resuming %s after step %d", self.folder, self.progress.step)
        if self.ranks.is_first:
            cut_log(self._log, self.progress.step)

    @property
    def _final(self) -> Path:
        return self.folder / ("adapter" if self.recipe.mode == "lora" else "model")

    @property
    def _log(self) -> Path:
        return self.folder / "metrics.jsonl"

    def _step(self, step: int) -> StepReport:
        began = time.monotonic()
        recipe, ranks, engine = self.recipe, self.ranks, self.trainee.engine
        rate = learning_rate(step, recipe)
        batch = self.mix.batch(step)
        mine = len(batch) // ranks.size
        rows = batch[ranks.rank * mine : (ranks.rank + 1) * mine]
        self.trainee.model.train()
        for name in self.trainee.files.family.vision:
            self.trainee.model.get_submodule(name).train(not recipe.freeze_vision)
        bad: list[BadPair] = []
        with Spool() as spool:
            seen = engine.look(self._slots(rows, step, ranks.rank * mine, bad), spool)
            self._count_bad(bad)
            vectors = engine.encode(seen, spool)
            loss, gradients, n_inputs = self._contrast(seen, vectors, mine * self.reader.slots_per_pair)
            if not math.isfinite(loss):
                raise self._diverged(step, batch, "the loss")
            self.optimizer.zero_grad(set_to_none=True)
            engine.backpropagate(seen, spool, gradients)
        ranks.sum_gradients(self.trainee.trained)
        norm = float(torch.nn.utils.clip_grad_norm_(self.trainee.trained, recipe.max_grad_norm))
        if not math.isfinite(norm):
            raise self._diverged(step, batch, "the gradient")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        speed = n_inputs / (time.monotonic() - began)
        return StepReport(step + 1, loss, rate, norm, n_inputs, speed, len(self.progress.bad))

    def _slots(self, rows: Sequence[tuple[int, int]], step: int, first: int, bad: list[BadPair]) -> Iterator[Slot]:
        for loaded in self.reader.read(rows, step=step, first=first):
            if loaded.bad:
                bad.append(loaded.bad)
            yield from loaded.slots

    def _contrast(self, seen: Sequence[Seen], vectors: torch.Tensor, n_slots: int) -> tuple[float, torch.Tensor, int]:
        """The loss of the global batch, its gradient at this rank's vectors, and the number of inputs of all ranks."""
        recipe, ranks, width = self.recipe, self.ranks, self.reader.slots_per_pair
        slots = torch.tensor([each.slot for each in seen], dtype=torch.int64)
        table = torch.zeros(n_slots, vectors.shape[1]).index_copy(0, slots, vectors)
        keys = torch.zeros(n_slots, 16, dtype=torch.uint8)
        for each in seen:
            keys[each.slot] = torch.frombuffer(bytearray(each.content_key), dtype=torch.uint8)
        is_here = torch.zeros(n_slots, dtype=torch.bool).index_fill(0, slots, True)
        every, keys, is_here = ranks.gather(table), ranks.gather(keys), ranks.gather(is_here)
        every.requires_grad_(True)
        at = torch.arange(len(every)).view(-1, width)  # (pairs, 2 + K): numbers of slots
        at = at[is_here[at[:, 0]] & is_here[at[:, 1]]]
        if len(at) == 0:
            raise UnreadableMedia("no pair of this batch can be read; see bad_pairs.jsonl in the output folder")
        negatives = at[:, 2:].flatten()
        candidates = torch.cat([at[:, 1], negatives[is_here[negatives]]])
        loss = info_nce(
            every[at[:, 0]],
            every[candidates],
            temperature=recipe.temperature,
            both_directions=recipe.both_directions,
            not_negative=duplicates(keys[at[:, 0]], keys[candidates]) if recipe.mask_duplicates else None,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        assert every.grad is not None  # noqa: S101  it is a leaf of the loss
        return loss.item(), every.grad[ranks.rank * n_slots + slots], int(is_here.sum())

    def _count_bad(self, bad: Sequence[BadPair]) -> None:
        """Take note of what any rank could not read.

        Raises:
            UnreadableMedia: There are more than the recipe allows.
        """
        if not self.ranks.any(bool(bad)):
            return
        news = [each for part in self.ranks.gather_objects(list(bad)) for each in part]
        for each in news:
            place = f"{each.source}:{each.index}"
            if place not in self.progress.bad:
                self.progress.bad[place] = each.reason
                if self.ranks.is_first:
                    logger.warning("skipping pair %d of %s: %s", each.index + 1, each.source, each.reason)
                    with (self.folder / "bad_pairs.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(each), ensure_ascii=False) + "\n")
        if len(self.progress.bad) > self.recipe.max_bad_pairs:
            shown = "; ".join(f"{place} {reason}" for place, reason in list(self.progress.bad.items())[-3:])
            raise UnreadableMedia(
                f"{len(self.progress.bad)} pairs cannot be read, more than max_bad_pairs {self.recipe.max_bad_pairs}: "
                f"{shown}; all are in {self.folder / 'bad_pairs.jsonl'}"
            )

    def _diverged(self, step: int, batch: Sequence[tuple[int, int]], what: str) -> VlmRagError:
        counts = {name: sum(source == at for source, _ in batch) for at, name in enumerate(self.names)}
        mixed = ", ".join(f"{count} of {name}" for name, count in counts.items() if count)
        good = checkpoints.checkpoints(self.folder)
        return VlmRagError(
            f"{what} of step {step + 1} is not a number; its batch holds {mixed}. "
            f"The last good checkpoint is {good[-1] if good else 'none: it happened before the first'}; "
            "lower learning_rate or raise temperature, and run again to go on from there"
        )

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Score the held-out pairs on the first rank; the others wait."""
        if self.trial is not None and self.ranks.is_first:
            scores = evaluate_trainee(self.trainee, self.trial, self.recipe.workers)
            line = {"step": self.progress.step, **{metric: scores.interval(metric).mean for metric in METRICS}}
            append_line(self._log, line)
            told = {**self._scores(), str(self.progress.step): scores.values}
            with replacing(self.folder / SCORES) as part:
                part.write_text(json.dumps(told) + "\n", encoding="utf-8")
            for watch in self.watches:
                watch.evaluated(self.progress.step, scores)
        self.ranks.wait()

    def _scores(self) -> dict[str, dict[str, list[float]]]:
        """What each question scored, by step, of all sittings of this run."""
        path = self.folder / SCORES
        told: dict[str, dict[str, list[float]]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return told

    def _gain(self) -> Interval | None:
        """What training changed on the held-out questions; None where they were not scored before and after."""
        told = self._scores()
        before, after = (told.get(str(step)) for step in (0, self.recipe.max_steps))
        if self.trial is None or before is None or after is None or len(before[HEADLINE]) != len(after[HEADLINE]):
            return None
        return Scores(after).gain_over(Scores(before), HEADLINE)

    def _tell(self, report: StepReport) -> None:
        if self.ranks.is_first and (report.step % self.recipe.log_steps == 0 or report.step == self.recipe.max_steps):
            append_line(self._log, asdict(report))
            for watch in self.watches:
                watch.stepped(report)

    def _save(self) -> None:
        if self.ranks.is_first:
            checkpoints.save_checkpoint(
                self.folder, self.progress.step, self.trainee.model, self.optimizer, self.recipe,
                files=self.trainee.files, base_name=self.trainee.base_name, state={"bad": self.progress.bad},
            )  # fmt: skip
        self.ranks.wait()

    def _end(self) -> Outcome:
        done = self.progress.step
        if done < self.recipe.max_steps:
            return Outcome(checkpoints.step_folder(self.folder, done), done, is_finished=False)
        self._evaluate()
        final = self._final
        if self.ranks.is_first:
            with replacing(final) as part:
                checkpoints.save_model(
                    part,
                    self.trainee.model,
                    self.recipe,
                    files=self.trainee.files,
                    base_name=self.trainee.base_name,
                )
        self.ranks.wait()
        return Outcome(final, done, is_finished=True, gain=self._gain())


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of a step, from 0: linear up over the warm-up, linear down to nothing at the end."""
    if step < recipe.warmup_steps:
        # the first step counts as one of the warm-up: the public schedule begins with a rate of 0, a step for nothing
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    return recipe.learning_rate * (recipe.max_steps - step) / (recipe.max_steps - recipe.warmup_steps)


def _size(data: VisDocDataset, cap: int | None) -> int:
    return len(data) if cap is None else min(len(data), cap)
