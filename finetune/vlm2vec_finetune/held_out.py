"""Score the model in training on its held-out pairs."""

from __future__ import annotations

import logging

import numpy as np
import torch

from vlm2vec_finetune.gradcache import Slot
from vlm2vec_finetune.inputs import read_ahead
from vlm2vec_finetune.model import Trainee
from vlm2vec_finetune.pairs import Content
from vlm2vec_finetune.scoring import Scores, Trial, score
from vlm2vec_finetune.spool import Spool
from vlm2vec_rag.errors import MediaError

logger = logging.getLogger(__name__)


@torch.no_grad()
def evaluate_trainee(trainee: Trainee, trial: Trial, workers: int) -> Scores:
    """Score the model as it is now, without dropout, on one rank; what cannot be read ranks last."""
    trainee.model.eval()
    sides = [*trial.queries, *trial.candidates]

    def load(numbered: tuple[int, tuple[str, Content]]) -> Slot | None:
        at, (prompt, content) = numbered
        try:
            return Slot(slot=at, key=0, prepared=trainee.inputs.prepare(prompt, content))
        except MediaError as error:
            logger.warning("held out: %s", error)
            return None

    vectors = np.full((len(sides), trainee.files.family.dim(trainee.files)), np.nan, dtype=np.float32)
    with Spool() as spool:
        slots = (slot for slot in read_ahead(load, list(enumerate(sides)), workers=workers) if slot is not None)
        seen = trainee.engine.look(slots, spool)
        vectors[[each.slot for each in seen]] = trainee.engine.encode(seen, spool).numpy()
    return score(trial, vectors[: len(trial.queries)], vectors[len(trial.queries) :])
