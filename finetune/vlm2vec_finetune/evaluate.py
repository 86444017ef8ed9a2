"""Before and after: a model and its adapter on the same held-out pairs, through the encoder that serves them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vlm2vec_finetune.checkpoints import TRAINING
from vlm2vec_finetune.pairs import Content
from vlm2vec_finetune.scoring import HEADLINE, METRICS, Scores, Trial, chance, score
from vlm2vec_rag.encoder.adapter import CONFIG
from vlm2vec_rag.encoder.base import Vectors
from vlm2vec_rag.errors import MediaError, ModelNotFound
from vlm2vec_rag.evaluation.intervals import Interval

if TYPE_CHECKING:
    from vlm2vec_finetune.inputs import Opener
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Visual

Encode: TypeAlias = Callable[[Sequence[tuple[str, Content]]], Vectors]
BLOCK = 32  # inputs whose images are open at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the adapter changed."""

    before: Scores
    after: Scores
    facts: dict[str, Any]  # what was compared, on what

    def gain(self, metric: str) -> Interval:
        """The difference on the same questions, with its 95 % interval."""
        return self.after.gain_over(self.before, metric)

    @property
    def is_better(self) -> bool:
        """Whether the whole interval of the headline's difference lies above 0."""
        return self.gain(HEADLINE).low > 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: for each metric the means, the intervals and the difference."""

        def row(interval: Interval) -> list[float]:
            return [round(value, 4) for value in (interval.mean, interval.low, interval.high)]

        numbers = {
            metric: {
                "before": row(self.before.interval(metric)),
                "after": row(self.after.interval(metric)),
                "gain": row(self.gain(metric)),
            }
            for metric in METRICS
        }
        return {**self.facts, "metrics": numbers, "is_better": self.is_better}


def encode_with(
    encoder: Encoder,
    open_visual: Opener,
    *,
    progress: Callable[[int], None] | None = None,
    bad: list[str] | None = None,
) -> Encode:
    """How prompts with contents become vectors of an encoder, a few images at a time.

    Args:
        encoder: As it is served.
        open_visual: See `visuals.Visuals`.
        progress: Called with the number of inputs done since the last call.
        bad: Takes the reason for each file that cannot be read; its vector is NaN and ranks last. None raises instead.
    """

    def encode(sides: Sequence[tuple[str, Content]]) -> Vectors:
        vectors = np.full((len(sides), encoder.dim), np.nan, dtype=np.float32)
        for start in range(0, len(sides), BLOCK):
            block = sides[start : start + BLOCK]
            opened: list[tuple[int, str, Visual]] = []
            for at, (prompt, content) in enumerate(block, start=start):
                try:
                    opened.append((at, prompt, open_visual(content)))
                except MediaError as error:
                    if bad is None:
                        raise
                    bad.append(str(error))
            if opened:
                places, prompts, visuals = zip(*opened, strict=True)
                vectors[list(places)] = encoder.encode_prompts(prompts, visuals)
            if progress:
                progress(len(block))
        return vectors

    return encode


def scores_of(trial: Trial, encode: Encode) -> Scores:
    """Encode both sides and rank."""
    vectors = encode([*trial.queries, *trial.candidates])
    return score(trial, vectors[: len(trial.queries)], vectors[len(trial.queries) :])


def adapter_folder(path: Path) -> Path:
    """The adapter at a path: the folder itself, or the `adapter` of a finished run.

    Raises:
        ModelNotFound: There is none.
    """
    for folder in (path, path / "adapter"):
        if (folder / CONFIG).is_file():
            return folder
    raise ModelNotFound(f"{path} holds no adapter: neither {CONFIG} nor adapter/{CONFIG}; give a run or a checkpoint")


def trained_from(adapter: Path) -> str:
    """The model that an adapter began from, which it must beat: another adapter, or else its base."""
    told = adapter / TRAINING
    if told.is_file():
        return str(json.loads(told.read_text(encoding="utf-8"))["model_name"])
    return str(json.loads((adapter / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])


def compare(
    before: Encode, after: Encode, trial: Trial, *, held_out: Path, names: tuple[str, str], bad: Sequence[str] = ()
) -> Comparison:
    """Score both on the same trial.

    Args:
        before: Of the model the adapter began from.
        after: Of the adapted model.
        trial: Questions and candidates.
        held_out: The pairs file, for the record.
        names: Of the model and of the adapter, for the record.
        bad: Files that `before` and `after` could not read; filled while they run.
    """
    facts = {
        "model": names[0],
        "adapter": names[1],
        "held_out": held_out.name,
        "held_out_sha256": hashlib.sha256(held_out.read_bytes()).hexdigest(),
        "questions": len(trial.queries),
        "candidates": len(trial.candidates),
        "chance": chance(trial),
    }
    scores = scores_of(trial, before), scores_of(trial, after)
    return Comparison(*scores, {**facts, "unreadable": len(set(bad))})
