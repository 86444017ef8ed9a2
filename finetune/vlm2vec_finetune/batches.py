"""One step's share of a rank: pairs to inputs, with those that cannot be read skipped, counted and reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vlm2vec_finetune.datasets.base import VisDocDataset
from vlm2vec_finetune.gradcache import Slot
from vlm2vec_finetune.inputs import Inputs, query_prompt, read_ahead, target_prompt
from vlm2vec_finetune.lora import mixed
from vlm2vec_finetune.mixing import Row
from vlm2vec_rag.errors import MediaError, VlmRagError


@dataclass(frozen=True, slots=True)
class BadPair:
    """A pair, or one of its negatives, that could not be read."""

    source: str
    index: int  # from 0
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pair's inputs; none where it is broken."""

    slots: tuple[Slot, ...]
    bad: BadPair | None


class BatchReader:
    """Reads the pairs of a step. A pair has 2 + K slots: its query, its target, K hard negatives."""

    def __init__(
        self, datasets: Sequence[VisDocDataset], names: Sequence[str], inputs: Inputs, *, negatives: int, workers: int,
        seed: int,
    ) -> None:  # fmt: skip
        self._datasets, self._names, self._inputs = datasets, names, inputs
        self._negatives, self._workers, self._seed = negatives, workers, seed

    @property
    def slots_per_pair(self) -> int:
        return 2 + self._negatives

    def read(self, rows: Sequence[Row], *, step: int, first: int) -> Iterator[Loaded]:
        """The inputs of these rows, in order, read ahead.

        Args:
            rows: This rank's part of the batch.
            step: Of the run, from 0.
            first: Where the part begins in the global batch; dropout depends on the place there, not on the rank.
        """
        load = partial(self._load, step=step, first=first)
        return read_ahead(load, list(enumerate(rows)), workers=self._workers)

    def _load(self, numbered: tuple[int, Row], *, step: int, first: int) -> Loaded:
        at, (source, index) = numbered
        width, prompts = self.slots_per_pair, self._inputs.prompts

        def slot(side: int, prompt: str, content: object) -> Slot:
            key = mixed(self._seed, step, first + at, side)
            return Slot(slot=at * width + side, key=key, prepared=self._inputs.prepare(prompt, content))  # type: ignore[arg-type]

        try:
            pair = self._datasets[source][index]
            slots = [
                slot(0, query_prompt(pair, prompts), pair.query),
                slot(1, target_prompt(pair.target, prompts, pair.target_instruction), pair.target),
            ]
        except (VlmRagError, OSError) as error:
            return Loaded((), BadPair(self._names[source], index, _reason(error)))
        bad = None
        for side, content in enumerate(pair.negatives[: self._negatives], start=2):
            try:
                slots.append(slot(side, target_prompt(content, prompts, pair.target_instruction), content))
            except (VlmRagError, OSError) as error:
                bad = BadPair(self._names[source], index, f"negative {side - 1}: {_reason(error)}")
        return Loaded(tuple(slots), bad)


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, MediaError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
