"""Stage 1: the vision tower learns to read. Each cell of 28 x 28 pixels predicts the pieces of words that stand in it.

The classifier is the language model's embedding table, frozen (`tower.new_model` says what its rows hold), so what a
cell says about its pixels is, to the language model, a sum of the embeddings of the words that are there. Each patch
also names its letters with a head that is thrown away. Letters come first, with the first blocks alone: a cell that
cannot tell its letters learns nothing from its words.

    python read.py runs/nano --letters-only --name letters --minutes 20
    python read.py runs/nano --start letters --minutes 120

Cost: letters 2,500 cells of 28 x 28 px per CPU second, all 1,350; 1.6 GB a process. Result so far: LOG.md.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import Pages, load
from optimise import Masters
from team import Run, Team
from tiles import LETTERS, STRIP_ROWS, Strip, strips
from torch import nn
from tower import EMBED, FIRST_BLOCKS, cut_grey, grey_weight, merge, new_model, positions, see, spread_grey
from words import BLANK, VOCABULARY, Pieces, known

LOGITS = 10.0  # a cell's state is then about as long as the embedding of a word
LETTER_SHARE = 0.5
BLANK_WEIGHT = 0.03
OTHERS = 768  # wrong answers beside those of the batch


class StripBatches:
    """Endless batches of strips of equal width from pages in random order."""

    def __init__(self, pages: Pages, pieces: Pieces, cells: int, seed: int, scales: tuple[float, float]) -> None:
        self.pages, self.pieces, self.cells, self.seed, self.scales = pages, pieces, cells, seed, scales

    def __iter__(self) -> Iterator[dict[str, Any]]:
        random = np.random.default_rng(self.seed)
        waiting: dict[int, list[Strip]] = defaultdict(list)
        while True:
            page = int(random.integers(len(self.pages)))
            for strip in strips(self.pages, page, self.pieces, random, self.scales):
                columns = strip.pixels.shape[1] // 28
                group = waiting[columns]
                group.append(strip)
                if len(group) * columns * STRIP_ROWS >= self.cells:
                    random.shuffle(group)
                    yield join(waiting.pop(columns))


def join(group: list[Strip]) -> dict[str, Any]:
    """Strips of one size as arrays; cells and patches are numbered through the batch."""
    pixels = np.stack([strip.pixels for strip in group])
    count, height, width = pixels.shape
    patches = cut_grey(pixels)
    cells = height * width // 784
    flat = patches.reshape(count * cells, -1)
    return {
        "patches": torch.from_numpy(patches),
        "shape": (height // 28, width // 28),
        "blank": torch.from_numpy(np.flatnonzero(flat.max(1) - flat.min(1) < 8)),
        "cells": torch.from_numpy(np.concatenate([each.cells + i * cells for i, each in enumerate(group)])),
        "pieces": torch.from_numpy(np.concatenate([each.pieces for each in group])),
        "letter_patches": torch.from_numpy(
            np.concatenate([each.patches + i * cells * 4 for i, each in enumerate(group)])
        ),
        "letters": torch.from_numpy(np.concatenate([each.letters for each in group])),
    }


def many_hot(
    states: torch.Tensor, rows: torch.Tensor, ids: torch.Tensor, table: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy where a row may have several right answers.

    Args:
        states: (R, D); rows: (L,) into states; ids: (L,) right answers; table: (V, D); weights: (L,).

    Returns:
        The weighted mean loss, and for each answer whether it is among its row's first k, k the row's answers.
    """
    used, place, counts = torch.unique(rows, return_inverse=True, return_counts=True)
    logits = (states[used] @ table.T).float()  # (U, V)
    chosen = logits[place, ids]
    loss = (weights * (logits.logsumexp(-1)[place] - chosen)).sum() / weights.sum()
    with torch.no_grad():
        few = logits.topk(min(8, logits.shape[1])).values
        hit = chosen >= few[place, (counts[place] - 1).clamp(max=few.shape[1] - 1)]
    return loss, hit


class Reader:
    """The tower with what it is trained by: its folded patch embedding, the head for letters, weights of pieces."""

    def __init__(self, folder: Path, *, letters_only: bool) -> None:
        rarity, spellings = known(folder / "tokenizer")
        self.letters_only = letters_only
        # rare pieces find pages, frequent ones are learnt anyway
        self.weights = (torch.from_numpy(rarity) / 4).clamp(0.25, 1.5)
        self.model = new_model(rarity, spellings).bfloat16()
        self.model.language_model.requires_grad_(False)
        self.head = nn.Linear(EMBED, len(LETTERS), bias=False).bfloat16()
        self.grey = nn.Parameter(grey_weight(self.model).bfloat16())

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is trained, by name; the patch embedding in its folded form."""
        named = self.model.visual.named_parameters()
        inner = [(name, each) for name, each in named if not name.startswith("patch_embed")]
        return [*inner, ("grey", self.grey), ("head", self.head.weight)]

    def state(self) -> dict[str, torch.Tensor]:
        """The model's weights, the patch embedding unfolded."""
        spread_grey(self.model, self.grey)
        state: dict[str, torch.Tensor] = self.model.state_dict()
        return state

    def losses(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss of pieces, loss of letters, and which pieces and letters were read right."""
        visual = self.model.visual
        blocks = FIRST_BLOCKS if self.letters_only else None
        seen = see(visual, self.grey, batch["patches"], positions(*batch["shape"])[None], blocks=blocks)
        letters, letter_hit = many_hot(
            seen.flatten(0, 1),
            batch["letter_patches"],
            batch["letters"],
            self.head.weight,
            torch.ones(len(batch["letters"])),
        )
        if self.letters_only:
            return torch.zeros(()), letters, torch.zeros(1), letter_hit
        # the right answers of the whole batch and some others: a full softmax would cost a third of the step
        candidates = torch.arange(VOCABULARY)
        if torch.is_grad_enabled():
            others = torch.randint(VOCABULARY, (OTHERS,))
            candidates = torch.unique(torch.cat([batch["pieces"], torch.tensor([BLANK]), others]))
        place = torch.empty(VOCABULARY, dtype=torch.int64).index_copy_(0, candidates, torch.arange(len(candidates)))
        table = self.model.language_model.embed_tokens.weight[candidates] * LOGITS
        rows = torch.cat([batch["cells"], batch["blank"]])
        ids = torch.cat([batch["pieces"], torch.full_like(batch["blank"], BLANK)])
        weight = torch.cat([self.weights[batch["pieces"]], torch.full(batch["blank"].shape, BLANK_WEIGHT)])
        pieces, hit = many_hot(merge(visual, seen).flatten(0, 1), rows, place[ids], table, weight)
        return pieces, letters, hit[: len(batch["pieces"])], letter_hit

    def figures(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[float]]:
        """The loss to follow, and the figures to log."""
        pieces, letters, hit, letter_hit = self.losses(batch)
        shares = [hit.float().mean().item(), letter_hit.float().mean().item()]
        return pieces + LETTER_SHARE * letters, [pieces.item(), letters.item(), *shares]


def main() -> None:
    """Train until the time is up, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="read")
    parser.add_argument("--letters-only", action="store_true", help="train the first blocks on letters alone")
    parser.add_argument("--start", help="the run whose weights to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cells", type=int, default=480, help="in a piece of a step")
    parser.add_argument("--pieces", type=int, default=2, help="of a step, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3, help="AdamW's")
    parser.add_argument("--matrix-rate", type=float, default=4e-3, help="Muon's; 0 leaves all to AdamW")
    parser.add_argument("--scales", type=float, nargs=2, default=(0.85, 1.35), help="of a page's area, least and most")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    pieces = Pieces(args.folder / "tokenizer")
    train, validation = (load(args.folder / "corpus", split) for split in ("train", "validation"))
    reader = Reader(args.folder, letters_only=args.letters_only)
    masters = Masters(reader.parameters(), args.rate, args.matrix_rate)
    if args.start:
        masters.start(torch.load(args.folder / f"{args.start}.pt", weights_only=True)["train"])
    run = Run(
        path=args.folder / f"{args.name}.pt",
        minutes=args.minutes,
        processes=args.processes,
        pieces=args.pieces,
        figures=("loss of pieces", "of letters", "pieces read", "letters read"),
    )
    checks = iter(StripBatches(validation, pieces, 1000, 7, (0.9, 1.3)))
    held_out = [next(checks) for _ in range(6)]

    def worker(seed: int) -> Callable[[], list[float]]:
        torch.manual_seed(seed)
        batches = iter(StripBatches(train, pieces, args.cells, seed, tuple(args.scales)))

        def backward() -> list[float]:
            loss, figures = reader.figures(next(batches))
            torch.autograd.backward(loss)
            return figures

        return backward

    def check() -> str:
        with torch.no_grad():
            figures = np.mean([reader.figures(batch)[1] for batch in held_out], axis=0)
        return " ".join(f"{name} {value:.3f}" for name, value in zip(run.figures, figures, strict=True))

    Team(run, masters).train(worker, check, reader.state)


if __name__ == "__main__":
    main()
