"""Stage 1: the vision tower learns to read. Each cell of 28 x 28 pixels says which pieces of words stand in it.

What a cell ought to say is the sum of its pieces' codes, the rows of the language model's first embedding table, which
stays as it is (`tower.block_code`). Least squares teaches it: a cell in doubt then says little, and the cells of a page
can be added up. Three heads that are thrown away afterwards teach what comes before: each quarter of a patch names its
letter and its neighbours in the word, and the patches of a cell together name its pieces. Letters come first, with the
first blocks alone; then neighbours, with all of them; then pieces: what a stage is not ready for only undoes the one
before.

    python read.py runs/nano --letters-only --name letters --minutes 8 --matrix-rate 1.5e-2 --rate 3e-3
    python read.py runs/nano --start letters --apart --name near --minutes 9 --matrix-rate 8e-3 --rate 1.5e-3
    python read.py runs/nano --start near --minutes 66 --matrix-rate 6e-3 --rate 8e-4

Cost on two cores: letters 2,600 cells a second, all 1,400; 3 GB a process. Result: LOG.md.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import Pages, load, together
from optimise import Masters
from team import Run, Team
from tiles import LETTERS, NEAR, NO_LETTER, Window, windows
from torch import nn
from tower import (
    CONSTANT,
    DEPTH,
    EMBED,
    FIRST_BLOCKS,
    PRESENT,
    WIDTH,
    cut_grey,
    grey_weight,
    merge,
    new_model,
    positions,
    see,
    spread_grey,
)
from words import BLANK, VOCABULARY, Pieces

LOGITS = 10.0  # a cell's state is then about as long as the embedding of a word
LETTER_SHARE, NEAR_SHARE, MISSED_SHARE = 0.5, 1.0, 4.0
BLANK_WEIGHT = 0.03
EMPTY_WEIGHT = 0.1  # of a slot without a letter
SCALES = (0.7, 1.4)  # of a page's area
TOGETHER = 2  # windows in one sequence
PAGE_SHAPE = 44, 48  # rows of a tall page, columns of a wide one
SAME_ROWS = 0.5  # of the sequences have their windows side by side
MIXED = 6  # batches from which the windows of one are drawn
OTHERS = 768  # wrong answers beside those of the batch


class WindowBatches:
    """Endless batches of windows of one shape from pages in random order."""

    def __init__(
        self,
        pages: Pages,
        pieces: Pieces,
        seed: int,
        *,
        shape: tuple[int, int],
        count: int,
        scales: tuple[float, float] = SCALES,
    ) -> None:
        self.pages, self.pieces, self.seed = pages, pieces, seed
        self.shape, self.count, self.scales = shape, count, scales

    def __iter__(self) -> Iterator[dict[str, Any]]:
        random = np.random.default_rng(self.seed)
        waiting: list[Window] = []
        while True:
            while len(waiting) < MIXED * self.count:
                page = int(random.integers(len(self.pages)))
                waiting += windows(self.pages, page, self.pieces, random, scales=self.scales, shape=self.shape)
            random.shuffle(waiting)  # type: ignore[arg-type]
            yield join(waiting[: self.count], far_apart(self.count // TOGETHER, self.shape, random))
            del waiting[: self.count]


def far_apart(count: int, shape: tuple[int, int], random: np.random.Generator) -> torch.Tensor:
    """(count, P, 2) rows and columns of the patches of TOGETHER windows in one sequence, side by side or further off.

    Attention meets on a whole page what no window has: text many rows or columns away. Trained on single windows, the
    tower read tall ones worse, and trained on windows one below the other it read wide ones worse; perhaps because the
    rotary angles come round there to those of near text (LOG.md).
    """
    patches = positions(*shape)
    down, across = PAGE_SHAPE[0] // shape[0], PAGE_SHAPE[1] // shape[1]  # how many windows a page has room for
    starts = []
    for _ in range(count):
        # what stands in the same rows is the easiest to take for the next word
        slots = random.permutation(across if random.random() < SAME_ROWS else down * across)[:TOGETHER]
        starts.append(np.stack([slots // across * shape[0], slots % across * shape[1]], -1) * 2)
    return (torch.from_numpy(np.stack(starts)).long()[:, :, None] + patches).flatten(1, 2)


def join(group: list[Window], places: torch.Tensor) -> dict[str, Any]:
    """Windows as arrays; cells and slots are numbered through the batch.

    Args:
        group: Windows of one shape.
        places: (S, P, 2) of the patches of S sequences, which share the windows out in order.
    """
    pixels = np.stack([window.pixels for window in group])
    _, height, width = pixels.shape
    patches = cut_grey(pixels)
    cells = height * width // 784
    flat = patches.reshape(len(group) * cells, -1)
    letters = np.full((len(group) * cells * 16, 2 * NEAR + 1), NO_LETTER)
    slots = np.concatenate([each.slots + i * cells * 16 for i, each in enumerate(group)])
    letters[slots] = np.concatenate([each.letters for each in group])
    return {
        "patches": torch.from_numpy(patches).view(len(places), -1, patches.shape[-1]),
        "places": places,
        "blank": torch.from_numpy(np.flatnonzero(flat.max(1) - flat.min(1) < 8)),
        "cells": torch.from_numpy(np.concatenate([each.cells + i * cells for i, each in enumerate(group)])),
        "pieces": torch.from_numpy(np.concatenate([each.pieces for each in group])),
        "letters": torch.from_numpy(letters),
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

    def __init__(self, folder: Path, *, letters_only: bool = False, apart: bool = False, compiled: bool = True) -> None:
        self.apart = apart
        rarity = np.load(folder / "tokenizer" / "piece_weights.npy")
        self.letters_only = letters_only
        # rare pieces find pages, frequent ones are learnt anyway
        self.weights = (torch.from_numpy(rarity) / 4).clamp(0.25, 1.5)
        self.model = new_model(rarity).bfloat16()
        self.model.language_model.requires_grad_(False)
        self.head = nn.Linear(EMBED, 4 * (len(LETTERS) + 1), bias=False).bfloat16()
        self.around = nn.Linear(EMBED, 4 * 2 * NEAR * (len(LETTERS) + 1), bias=False).bfloat16()
        self.see = torch.compile(see) if compiled else see
        self.table = self.model.language_model.embed_tokens.weight.detach() * LOGITS
        self.loud = self.table[:, PRESENT] / LOGITS  # (VOCABULARY, blocks)
        self.table[:, [*PRESENT.tolist(), CONSTANT]] = 0  # those have a target of their own, or are the same for all
        self.teller = nn.Linear(4 * EMBED, WIDTH).bfloat16()
        self.grey = nn.Parameter(grey_weight(self.model).bfloat16())
        # Muon's steps are as long for a small gradient as for a large one: what random heads ask of the blocks undid
        # the letters within a minute
        for fresh in (self.around.weight, self.teller.weight, self.teller.bias, self.model.visual.merger.mlp[2].weight):
            nn.init.zeros_(fresh)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is trained, by name; the patch embedding in its folded form."""
        unused = ["patch_embed", *([f"blocks.{n}." for n in range(FIRST_BLOCKS, DEPTH)] if self.letters_only else [])]
        if self.letters_only:
            unused.append("merger.mlp")
        named = self.model.visual.named_parameters()
        inner = [(name, each) for name, each in named if not name.startswith(tuple(unused))]
        heads = [("grey", self.grey), ("head", self.head.weight)]
        if not self.letters_only:
            heads += [("around", self.around.weight)]
            heads += [("teller.weight", self.teller.weight), ("teller.bias", self.teller.bias)]
        return [*inner, *heads]

    def start(self, saved: dict[str, Any]) -> None:
        """Take the weights of a run as `Team` saved them."""
        masters = dict(zip(saved["train"]["names"], saved["train"]["masters"], strict=True))
        with torch.no_grad():
            for name, parameter in self.parameters():
                parameter.copy_(masters[name])

    def state(self) -> dict[str, torch.Tensor]:
        """The model's weights, the patch embedding unfolded."""
        spread_grey(self.model, self.grey)
        state: dict[str, torch.Tensor] = self.model.state_dict()
        return state

    def losses(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """The loss to follow; the losses of pieces, letters and their neighbours; and which of each were right."""
        visual = self.model.visual
        blocks = FIRST_BLOCKS if self.letters_only else None
        seen = self.see(visual, self.grey, batch["patches"], batch["places"], blocks=blocks)
        letters, letter_hit = self.name_letters(seen, batch["letters"])
        if self.letters_only:
            return (
                letters,
                [torch.zeros(()), letters, torch.zeros(()), torch.zeros(())],
                [torch.zeros(1), letter_hit, torch.zeros(1)],
            )
        near, near_hit = self.name_neighbours(seen, batch["letters"])
        # the right answers of the whole batch and some others: a full softmax would cost a third of the step
        candidates = torch.arange(VOCABULARY)
        if torch.is_grad_enabled():
            others = torch.randint(VOCABULARY, (OTHERS,))
            candidates = torch.unique(torch.cat([batch["pieces"], torch.tensor([BLANK]), others]))
        place = torch.empty(VOCABULARY, dtype=torch.int64).index_copy_(0, candidates, torch.arange(len(candidates)))
        table = self.table[candidates]
        rows = torch.cat([batch["cells"], batch["blank"]])
        ids = torch.cat([batch["pieces"], torch.full_like(batch["blank"], BLANK)])
        weight = torch.cat([self.weights[batch["pieces"]], torch.full(batch["blank"].shape, BLANK_WEIGHT)])
        if self.apart:
            seen = seen.detach()
        # one layer before the merger's units: they can then tell apart what is likely enough to be said
        pieces, hit = many_hot(self.teller(seen.view(-1, 4 * EMBED)), rows, place[ids], table, weight)
        missed = self.missed(merge(visual, seen).flatten(0, 1), batch)
        loss = pieces + LETTER_SHARE * letters + NEAR_SHARE * near + MISSED_SHARE * missed
        return loss, [pieces, letters, near, missed], [hit[: len(batch["pieces"])], letter_hit, near_hit]

    def name_letters(self, seen: torch.Tensor, letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of every slot's letter, and which were read right."""
        logits = self.head(seen).view(len(letters), -1).float()
        losses = nn.functional.cross_entropy(logits, letters[:, NEAR], reduction="none")
        is_letter = letters[:, NEAR] != NO_LETTER
        weights = torch.where(is_letter, 1.0, EMPTY_WEIGHT)
        return (losses * weights).sum() / weights.sum(), (logits.argmax(-1) == letters[:, NEAR])[is_letter]

    def name_neighbours(self, seen: torch.Tensor, letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of the letters beside each letter in its word, and which were read right.

        Between knowing letters and knowing words: it makes attention fetch the letters of a word, in order.
        """
        (at,) = torch.nonzero(letters[:, NEAR] != NO_LETTER, as_tuple=True)
        sides = [each for each in range(2 * NEAR + 1) if each != NEAR]
        right = letters[at][:, sides].flatten()
        per_slot = self.around(seen).view(len(letters), -1)[at]
        logits = per_slot.view(len(right), -1).float()
        return nn.functional.cross_entropy(logits, right), logits.argmax(-1) == right

    def missed(self, merged: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """The share of the squared length of what cells ought to say that they miss; 1 is as good as saying nothing.

        A cell ought to say the sum of its pieces' codes, rare ones louder, and of each block how loud its loudest piece
        there is. Least squares makes a cell say what it expects, so little when in doubt: the states of a page can be
        added up. What the cross entropy asks for cannot, for doubt is then spread over all directions (LOG.md).
        """
        right = torch.zeros(len(merged), WIDTH)
        codes = self.table[batch["pieces"]].float() / LOGITS
        right.index_add_(0, batch["cells"], codes * self.weights[batch["pieces"], None])
        loudest = torch.zeros(len(merged), len(PRESENT))
        louder = self.loud[batch["pieces"]].float()
        loudest.scatter_reduce_(0, batch["cells"][:, None].expand(-1, len(PRESENT)), louder, "amax")
        right[:, PRESENT] = loudest
        used = torch.unique(torch.cat([batch["cells"], batch["blank"]]))
        wrong = merged[used, :CONSTANT].float() - right[used, :CONSTANT]
        return wrong.square().sum() / right.square().sum()

    def figures(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[float]]:
        """The loss to follow, and the figures to log."""
        loss, parts, hits = self.losses(batch)
        return loss, [*(each.item() for each in parts), *(each.float().mean().item() for each in hits)]


def main() -> None:
    """Train until the time is up, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="read")
    parser.add_argument("--letters-only", action="store_true", help="train the first blocks on letters alone")
    parser.add_argument("--apart", action="store_true", help="what learns pieces of words does not move the blocks yet")
    parser.add_argument("--start", help="the run whose weights to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--shape", type=int, nargs=2, default=(4, 8), help="of a window, in cells")
    parser.add_argument("--windows", type=int, default=16, help="in a piece of a step")
    parser.add_argument("--pieces", type=int, default=2, help="of a step, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="AdamW's")
    parser.add_argument("--matrix-rate", type=float, default=4e-3, help="Muon's; 0 leaves all to AdamW")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    pieces = Pieces(args.folder / "tokenizer")
    real, typeset, validation = (load(args.folder / "corpus", split) for split in ("train", "typeset", "validation"))
    train = together([real, typeset])
    reader = Reader(args.folder, letters_only=args.letters_only, apart=args.apart)
    masters = Masters(reader.parameters(), args.rate, args.matrix_rate)
    if args.start:
        masters.start(torch.load(args.folder / f"{args.start}.pt", weights_only=True)["train"])
    run = Run(
        path=args.folder / f"{args.name}.pt",
        minutes=args.minutes,
        processes=args.processes,
        pieces=args.pieces,
        figures=(
            "loss of pieces",
            "of letters",
            "of neighbours",
            "missed",
            "pieces read",
            "letters",
            "neighbours",
        ),
    )
    form = {"shape": tuple(args.shape), "count": args.windows}
    checks = iter(WindowBatches(validation, pieces, 7, **form, scales=(0.95, 1.05)))
    held_out = [next(checks) for _ in range(16)]

    def worker(seed: int) -> Callable[[], list[float]]:
        torch.manual_seed(seed)
        batches = iter(WindowBatches(train, pieces, seed, **form))

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
