"""Stage 1: the vision encoder learns to read. Each cell of 28 x 28 pixels says which subwords stand in it.

What a cell ought to say is the sum of its subwords' codes, the rows of the language model's first embedding table,
which stays as it is (`model.init_token_embeddings`). Least squares teaches it: a cell in doubt then says little, and
the cells of a page can be added up. Three auxiliary heads that are thrown away afterwards teach what comes before: each
quarter of a patch names its letter and its neighbours in the word, and the patches of a cell together name its
subwords. It is a curriculum: letters first, with the first blocks alone; then neighbours, with all of them; then
subwords: what a stage is not ready for only undoes the one before.

    python train_vision.py runs/nano --letters-only --name letters --minutes 8 --matrix-rate 1.5e-2 --rate 3e-3
    python train_vision.py runs/nano --start letters --detach-subwords --name near --minutes 9 --matrix-rate 8e-3 \\
        --rate 1.5e-3
    python train_vision.py runs/nano --start near --minutes 66 --matrix-rate 6e-3 --rate 8e-4

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
from corpus import Pages, concatenate, load
from crops import LETTERS, NEIGHBOURS, NO_LETTER, Crop, crops_of_page
from model import (
    CONSTANT_DIM,
    DEPTH,
    EMBED,
    LETTER_BLOCKS,
    PRESENCE_DIMS,
    WIDTH,
    grey_patch_embedding,
    merge_patches,
    new_model,
    patch_positions,
    to_patches,
    unfold_from_grey,
    vision_forward,
)
from optimiser import MasterWeights
from parallel import ParallelTraining, RunSettings
from tokenizer import BLANK_TOKEN, VOCABULARY, Subwords
from torch import nn

LOGIT_SCALE = 10.0  # a cell's state is then about as long as the embedding of a word
LETTER_LOSS, NEIGHBOUR_LOSS, REGRESSION_LOSS = 0.5, 1.0, 4.0
BLANK_WEIGHT = 0.03
EMPTY_WEIGHT = 0.1  # of a slot without a letter
SCALES = (0.7, 1.4)  # of a page's area
CROPS_PER_SEQUENCE = 2  # crops in one sequence
PAGE_SHAPE = 44, 48  # rows of a tall page, columns of a wide one
SIDE_BY_SIDE_SHARE = 0.5  # of the sequences have their crops side by side
SHUFFLE_BATCHES = 6  # batches from which the crops of one are drawn
SAMPLED_NEGATIVES = 768  # wrong answers beside those of the batch


class CropBatches:
    """Endless batches of crops of one shape from pages in random order."""

    def __init__(
        self,
        pages: Pages,
        subwords: Subwords,
        seed: int,
        *,
        shape: tuple[int, int],
        count: int,
        scales: tuple[float, float] = SCALES,
    ) -> None:
        self.pages, self.subwords, self.seed = pages, subwords, seed
        self.shape, self.count, self.scales = shape, count, scales

    def __iter__(self) -> Iterator[dict[str, Any]]:
        random = np.random.default_rng(self.seed)
        waiting: list[Crop] = []
        while True:
            while len(waiting) < SHUFFLE_BATCHES * self.count:
                page = int(random.integers(len(self.pages)))
                waiting += crops_of_page(self.pages, page, self.subwords, random, scales=self.scales, shape=self.shape)
            random.shuffle(waiting)  # type: ignore[arg-type]
            yield collate(waiting[: self.count], place_crops(self.count // CROPS_PER_SEQUENCE, self.shape, random))
            del waiting[: self.count]


def place_crops(count: int, shape: tuple[int, int], random: np.random.Generator) -> torch.Tensor:
    """(count, P, 2) rows and columns of the patches of the crops of a sequence, side by side or further off.

    Attention meets on a whole page what no crop has: text many rows or columns away. Trained on single crops, the
    tower read tall ones worse, and trained on crops one below the other it read wide ones worse; perhaps because the
    rotary angles come round there to those of near text (LOG.md).
    """
    patches = patch_positions(*shape)
    down, across = PAGE_SHAPE[0] // shape[0], PAGE_SHAPE[1] // shape[1]  # how many crops a page has room for
    starts = []
    for _ in range(count):
        # what stands in the same rows is the easiest to take for the next word
        slots = random.permutation(across if random.random() < SIDE_BY_SIDE_SHARE else down * across)[
            :CROPS_PER_SEQUENCE
        ]
        starts.append(np.stack([slots // across * shape[0], slots % across * shape[1]], -1) * 2)
    return (torch.from_numpy(np.stack(starts)).long()[:, :, None] + patches).flatten(1, 2)


def collate(group: list[Crop], places: torch.Tensor) -> dict[str, Any]:
    """Crops as arrays; cells and slots are numbered through the batch.

    Args:
        group: Crops of one shape.
        places: (S, P, 2) of the patches of S sequences, which share the crops out in order.
    """
    pixels = np.stack([crop.pixels for crop in group])
    _, height, width = pixels.shape
    patches = to_patches(pixels)
    cells = height * width // 784
    flat = patches.reshape(len(group) * cells, -1)
    letters = np.full((len(group) * cells * 16, 2 * NEIGHBOURS + 1), NO_LETTER)
    slots = np.concatenate([each.slots + i * cells * 16 for i, each in enumerate(group)])
    letters[slots] = np.concatenate([each.letters for each in group])
    return {
        "patches": torch.from_numpy(patches).view(len(places), -1, patches.shape[-1]),
        "places": places,
        "blank": torch.from_numpy(np.flatnonzero(flat.max(1) - flat.min(1) < 8)),
        "cells": torch.from_numpy(np.concatenate([each.cells + i * cells for i, each in enumerate(group)])),
        "subwords": torch.from_numpy(np.concatenate([each.subwords for each in group])),
        "letters": torch.from_numpy(letters),
    }


def multi_label_cross_entropy(
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


class VisionTraining:
    """The tower with what it is trained by: its folded patch embedding, the head for letters, weights of subwords."""

    def __init__(
        self, folder: Path, *, letters_only: bool = False, detach_subwords: bool = False, compiled: bool = True
    ) -> None:
        self.detach_subwords = detach_subwords
        idf = np.load(folder / "tokenizer" / "subword_idf.npy")
        self.letters_only = letters_only
        # rare subwords find pages, frequent ones are learnt anyway
        self.weights = (torch.from_numpy(idf) / 4).clamp(0.25, 1.5)
        self.model = new_model(idf).bfloat16()
        self.model.language_model.requires_grad_(False)
        self.letter_head = nn.Linear(EMBED, 4 * (len(LETTERS) + 1), bias=False).bfloat16()
        self.neighbour_head = nn.Linear(EMBED, 4 * 2 * NEIGHBOURS * (len(LETTERS) + 1), bias=False).bfloat16()
        self.vision_forward = torch.compile(vision_forward) if compiled else vision_forward
        self.table = self.model.language_model.embed_tokens.weight.detach() * LOGIT_SCALE
        self.presence = self.table[:, PRESENCE_DIMS] / LOGIT_SCALE  # (VOCABULARY, blocks)
        self.table[:, [*PRESENCE_DIMS.tolist(), CONSTANT_DIM]] = (
            0  # those have a target of their own, or are the same for all
        )
        self.subword_head = nn.Linear(4 * EMBED, WIDTH).bfloat16()
        self.grey = nn.Parameter(grey_patch_embedding(self.model).bfloat16())
        # Muon's steps are as long for a small gradient as for a large one: what random heads ask of the blocks undid
        # the letters within a minute
        for fresh in (
            self.neighbour_head.weight,
            self.subword_head.weight,
            self.subword_head.bias,
            self.model.visual.merger.mlp[2].weight,
        ):
            nn.init.zeros_(fresh)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is trained, by name; the patch embedding in its folded form."""
        unused = ["patch_embed", *([f"blocks.{n}." for n in range(LETTER_BLOCKS, DEPTH)] if self.letters_only else [])]
        if self.letters_only:
            unused.append("merger.mlp")
        named = self.model.visual.named_parameters()
        inner = [(name, each) for name, each in named if not name.startswith(tuple(unused))]
        heads = [("grey", self.grey), ("head", self.letter_head.weight)]
        if not self.letters_only:
            heads += [("around", self.neighbour_head.weight)]
            heads += [("teller.weight", self.subword_head.weight), ("teller.bias", self.subword_head.bias)]
        return [*inner, *heads]

    def start(self, saved: dict[str, Any]) -> None:
        """Take the weights of a run as `ParallelTraining` saved them."""
        masters = dict(zip(saved["train"]["names"], saved["train"]["masters"], strict=True))
        with torch.no_grad():
            for name, parameter in self.parameters():
                parameter.copy_(masters[name])

    def state(self) -> dict[str, torch.Tensor]:
        """The model's weights, the patch embedding unfolded."""
        unfold_from_grey(self.model, self.grey)
        state: dict[str, torch.Tensor] = self.model.state_dict()
        return state

    def losses(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """The loss to follow; the losses of subwords, letters and their neighbours; and which of each were right."""
        visual = self.model.visual
        blocks = LETTER_BLOCKS if self.letters_only else None
        seen = self.vision_forward(visual, self.grey, batch["patches"], batch["places"], blocks=blocks)
        letters, letter_hit = self.letter_loss(seen, batch["letters"])
        if self.letters_only:
            return (
                letters,
                [torch.zeros(()), letters, torch.zeros(()), torch.zeros(())],
                [torch.zeros(1), letter_hit, torch.zeros(1)],
            )
        near, near_hit = self.neighbour_loss(seen, batch["letters"])
        # the right answers of the whole batch and some others: a full softmax would cost a third of the step
        candidates = torch.arange(VOCABULARY)
        if torch.is_grad_enabled():
            others = torch.randint(VOCABULARY, (SAMPLED_NEGATIVES,))
            candidates = torch.unique(torch.cat([batch["subwords"], torch.tensor([BLANK_TOKEN]), others]))
        place = torch.empty(VOCABULARY, dtype=torch.int64).index_copy_(0, candidates, torch.arange(len(candidates)))
        table = self.table[candidates]
        rows = torch.cat([batch["cells"], batch["blank"]])
        ids = torch.cat([batch["subwords"], torch.full_like(batch["blank"], BLANK_TOKEN)])
        weight = torch.cat([self.weights[batch["subwords"]], torch.full(batch["blank"].shape, BLANK_WEIGHT)])
        if self.detach_subwords:
            seen = seen.detach()
        # one layer before the merger's units: they can then tell apart what is likely enough to be said
        subwords, hit = multi_label_cross_entropy(
            self.subword_head(seen.view(-1, 4 * EMBED)), rows, place[ids], table, weight
        )
        regression_loss = self.regression_loss(merge_patches(visual, seen).flatten(0, 1), batch)
        loss = subwords + LETTER_LOSS * letters + NEIGHBOUR_LOSS * near + REGRESSION_LOSS * regression_loss
        return loss, [subwords, letters, near, regression_loss], [hit[: len(batch["subwords"])], letter_hit, near_hit]

    def letter_loss(self, seen: torch.Tensor, letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of every slot's letter, and which were read right."""
        logits = self.letter_head(seen).view(len(letters), -1).float()
        losses = nn.functional.cross_entropy(logits, letters[:, NEIGHBOURS], reduction="none")
        is_letter = letters[:, NEIGHBOURS] != NO_LETTER
        weights = torch.where(is_letter, 1.0, EMPTY_WEIGHT)
        return (losses * weights).sum() / weights.sum(), (logits.argmax(-1) == letters[:, NEIGHBOURS])[is_letter]

    def neighbour_loss(self, seen: torch.Tensor, letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of the letters beside each letter in its word, and which were read right.

        Between knowing letters and knowing words: it makes attention fetch the letters of a word, in order.
        """
        (at,) = torch.nonzero(letters[:, NEIGHBOURS] != NO_LETTER, as_tuple=True)
        sides = [each for each in range(2 * NEIGHBOURS + 1) if each != NEIGHBOURS]
        right = letters[at][:, sides].flatten()
        per_slot = self.neighbour_head(seen).view(len(letters), -1)[at]
        logits = per_slot.view(len(right), -1).float()
        return nn.functional.cross_entropy(logits, right), logits.argmax(-1) == right

    def regression_loss(self, merged: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """The share of the squared length of what cells ought to say that they miss; 1 is as good as saying nothing.

        A cell ought to say the sum of its subwords' codes, rare ones louder, and of each block how loud its loudest
        subword there is. Least squares makes a cell say what it expects, so little when in doubt: the states of a page
        can be added up. What the cross entropy asks for cannot, for doubt is then spread over all directions (LOG.md).
        """
        right = torch.zeros(len(merged), WIDTH)
        codes = self.table[batch["subwords"]].float() / LOGIT_SCALE
        right.index_add_(0, batch["cells"], codes * self.weights[batch["subwords"], None])
        loudest = torch.zeros(len(merged), len(PRESENCE_DIMS))
        louder = self.presence[batch["subwords"]].float()
        loudest.scatter_reduce_(0, batch["cells"][:, None].expand(-1, len(PRESENCE_DIMS)), louder, "amax")
        right[:, PRESENCE_DIMS] = loudest
        used = torch.unique(torch.cat([batch["cells"], batch["blank"]]))
        wrong = merged[used, :CONSTANT_DIM].float() - right[used, :CONSTANT_DIM]
        return wrong.square().sum() / right.square().sum()

    def figures(self, batch: dict[str, Any]) -> tuple[torch.Tensor, list[float]]:
        """The loss to follow, and the figures to log."""
        loss, parts, hits = self.losses(batch)
        return loss, [*(each.item() for each in parts), *(each.float().mean().item() for each in hits)]


def main() -> None:
    """Train until the time is up, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="vision")
    parser.add_argument("--letters-only", action="store_true", help="train the first blocks on letters alone")
    parser.add_argument(
        "--detach-subwords", action="store_true", help="what learns subwords does not move the blocks yet"
    )
    parser.add_argument("--start", help="the run whose weights to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--shape", type=int, nargs=2, default=(4, 8), help="of a crop, in cells")
    parser.add_argument("--crops", type=int, default=16, help="in a micro-batch")
    parser.add_argument("--micro-batches", type=int, default=2, help="of a step, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="AdamW's")
    parser.add_argument("--matrix-rate", type=float, default=4e-3, help="Muon's; 0 leaves all to AdamW")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    subwords = Subwords(args.folder / "tokenizer")
    real, typeset, validation = (load(args.folder / "corpus", split) for split in ("train", "typeset", "validation"))
    train = concatenate([real, typeset])
    training = VisionTraining(args.folder, letters_only=args.letters_only, detach_subwords=args.detach_subwords)
    masters = MasterWeights(training.parameters(), args.rate, args.matrix_rate)
    if args.start:
        masters.start(torch.load(args.folder / f"{args.start}.pt", weights_only=True)["train"])
    run = RunSettings(
        path=args.folder / f"{args.name}.pt",
        minutes=args.minutes,
        processes=args.processes,
        micro_batches=args.micro_batches,
        figures=(
            "loss of subwords",
            "of letters",
            "of neighbours",
            "regression",
            "subwords read",
            "letters",
            "neighbours",
        ),
    )
    form = {"shape": tuple(args.shape), "count": args.crops}
    checks = iter(CropBatches(validation, subwords, 7, **form, scales=(0.95, 1.05)))
    held_out = [next(checks) for _ in range(16)]

    def worker(seed: int) -> Callable[[], list[float]]:
        torch.manual_seed(seed)
        batches = iter(CropBatches(train, subwords, seed, **form))

        def backward() -> list[float]:
            loss, figures = training.figures(next(batches))
            torch.autograd.backward(loss)
            return figures

        return backward

    def check() -> str:
        with torch.no_grad():
            figures = np.mean([training.figures(batch)[1] for batch in held_out], axis=0)
        return " ".join(f"{name} {value:.3f}" for name, value in zip(run.figures, figures, strict=True))

    ParallelTraining(run, masters).train(worker, check, training.state)


if __name__ == "__main__":
    main()
