"""Stage 2: the language model learns to match questions with pages, before it sees a pixel.

A page is given as the vision tower would give it if it read without fault: each cell is the sum of the (frozen)
embeddings of the pieces of words in it. Pieces are dropped, swapped and blurred, as a tower that misreads would.
InfoNCE both ways over pages of few documents at a time, so that the negatives are the neighbours of the right page.
It starts from a bag of rare words that is set by hand (`tower.add_up_rare_words`).

    python match.py runs/nano --minutes 20

No pixel is rendered. Result so far: LOG.md.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from corpus import Pages, load
from measures import ranks, report
from optimise import Masters
from questions import draw, span
from team import Run, Team
from tiles import PAGE_PIXELS, fit
from torch import nn
from tower import new_model, turn
from words import BLANK, IMAGE, VIDEO, VOCABULARY, Pieces, known

PAGE_PROMPT = "Understand the content of the provided document image."
CLIP_PROMPT = "Understand the content of the provided video."
PAGE_QUESTION = "Find a document image that matches the given query: {}"
CLIP_QUESTION = "Find a video that contains the following visual content: {}"
TEMPERATURE = 0.04


@dataclass(frozen=True)
class Cells:
    """What a tower without fault says of a page: pieces and the cell of each, cells numbered in reading order."""

    count: int
    cells: torch.Tensor  # (L,)
    pieces: torch.Tensor  # (L,)


@dataclass(frozen=True)
class Placed:
    """Pieces of a page and where they stand, as shares of its width and height: cells of any scale follow from it."""

    size: npt.NDArray[np.float32]  # points
    pieces: npt.NDArray[np.int16]  # (L,)
    places: npt.NDArray[np.float32]  # (L, 2) row and column, 0 to 1

    def cells(self, pixels: float) -> Cells:
        """The cells of the page at about so many pixels."""
        rows, columns = fit(self.size, pixels)
        at = (self.places * np.array([rows, columns], dtype=np.float32)).astype(np.int64)
        return Cells(
            rows * columns,
            torch.from_numpy(at[:, 0] * columns + at[:, 1]),
            torch.from_numpy(self.pieces.astype(np.int64)),
        )


def place(pages: Pages, page: int, pieces: Pieces) -> Placed:
    """Where the pieces of a page stand, from its text layer."""
    words = slice(pages.starts[page], pages.starts[page + 1])
    ids: list[int] = []
    places: list[tuple[float, float]] = []
    for word, (left, top, right, bottom) in zip(pages.words[words], pages.boxes[words].tolist(), strict=True):
        middle = (top + bottom) / 2
        if 0 <= middle < 1 and left >= 0 and right < 1:
            for piece, share in zip(*pieces(word), strict=True):
                ids.append(piece)
                places.append((middle, left + share * (right - left)))
    return Placed(pages.sizes[page], np.array(ids, np.int16), np.array(places, np.float32).reshape(-1, 2))


def misread(page: Cells, random: np.random.Generator, keep_blanks: float) -> Cells:
    """Drop and swap pieces; leave out most of the blank cells, which cost time and say nothing."""
    count = len(page.pieces)
    dropped = torch.from_numpy(random.random(count) < random.uniform(0, 0.5))
    swapped = torch.from_numpy(random.random(count) < random.uniform(0, 0.4))
    others = torch.from_numpy(random.integers(14, VOCABULARY, count))
    ids = torch.where(swapped, others, page.pieces)[~dropped]
    used = torch.zeros(page.count, dtype=torch.bool)
    used[page.cells] = True
    used |= torch.from_numpy(random.random(page.count) < keep_blanks)
    new_number = used.cumsum(0) - 1
    return Cells(int(used.sum()), new_number[page.cells[~dropped]], ids)


def states(page: Cells, table: torch.Tensor, random: np.random.Generator | None) -> torch.Tensor:
    """(N, D): the sum of the embeddings in each cell, blank where there is none; blurred if `random` is given."""
    summed = torch.zeros(page.count, table.shape[1]).index_add_(0, page.cells, table[page.pieces])
    empty = torch.ones(page.count, dtype=torch.bool)
    empty[page.cells] = False
    summed[empty] = table[BLANK]
    if random is not None:
        # as long as a third to all of one embedding
        summed += torch.randn(summed.shape) * (random.uniform(0.3, 1.0) * table.shape[1] ** -0.5)
    return summed


def encode(language: Any, inputs: Sequence[tuple[list[int], torch.Tensor | None]]) -> torch.Tensor:
    """Encode prompts as the library does: plain positions, the last token's state, unit length.

    The last layer is worked out for the last token only; the others give it their keys and values.

    Args:
        language: `Qwen2VLModel.language_model`.
        inputs: Token ids, and the states (N, D) that stand in for their image or video token, if there is one.

    Returns:
        (B, D) float32.
    """
    rows = []
    for ids, seen in inputs:
        row = language.embed_tokens(torch.tensor(ids))
        if seen is not None:
            at = next(index for index, piece in enumerate(ids) if piece in (IMAGE, VIDEO))
            row = torch.cat([row[:at], seen.to(row.dtype), row[at + 1 :]])
        rows.append(row)
    lengths = torch.tensor([len(row) for row in rows])
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, T, D)
    count, length, width = padded.shape
    last = (torch.arange(count), lengths - 1)

    (layer,) = language.layers
    attention = layer.self_attn
    normed = layer.input_layernorm(padded)
    query = attention.q_proj(normed[last]).view(count, 1, -1, attention.head_dim)
    key, value = (
        part(normed).view(count, length, -1, attention.head_dim) for part in (attention.k_proj, attention.v_proj)
    )
    cos, sin = language.rotary_emb(padded, torch.arange(length).expand(3, 1, length))
    cos, sin = (
        each[0].unsqueeze(-2) if each.ndim == 3 else each[0, 0].unsqueeze(-2) for each in (cos, sin)
    )  # (T, 1, F)
    query = turn(query, cos[lengths - 1].unsqueeze(1), sin[lengths - 1].unsqueeze(1))
    mixed = nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        turn(key, cos, sin).transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=(torch.arange(length) < lengths[:, None])[:, None, None],
    )
    states = padded[last] + attention.o_proj(mixed.reshape(count, width))
    states = language.norm(states + layer.mlp(layer.post_attention_layernorm(states)))
    return nn.functional.normalize(states.float(), dim=-1)


def hush(language: Any, pieces: Pieces) -> None:
    """Make the words of the prompts themselves quiet: they are the same in every question and say nothing.

    Only where they are text: a page's cells are told by the table that the tower was taught.
    """
    ids = {
        piece
        for form in (PAGE_PROMPT, CLIP_PROMPT, PAGE_QUESTION, CLIP_QUESTION)
        for piece in pieces.ids(form.format(""))
    }
    table = language.embed_tokens.weight
    with torch.no_grad():
        quietest = table[BLANK].clone()
        for piece in ids:
            table[piece] = quietest + 0.2 * table[piece]


def both_ways(questions: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE from question to item and back, and the share of questions that find their item."""
    scores = questions @ items.T / TEMPERATURE
    right = torch.arange(len(scores))
    loss = (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2
    return loss, (scores.argmax(1) == right).float().mean()


def neighbours(count: int, random: np.random.Generator, by_path: list[list[int]]) -> list[int]:
    """Pages of a batch: up to 6 from each of several documents."""
    chosen: list[int] = []
    while len(chosen) < count:
        group = by_path[int(random.integers(len(by_path)))]
        chosen += [group[place] for place in random.permutation(len(group))[:6].tolist() if group[place] not in chosen]
    return chosen[:count]


def group_by_path(pages: Pages, chosen: list[int]) -> list[list[int]]:
    """The chosen pages of each document that has more than one of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for page in chosen:
        groups[pages.paths[page]].append(page)
    # a long document comes up as often as its pages ask for, up to five times a short one
    return [group for group in groups.values() if len(group) > 1 for _ in range(min(5, 1 + len(group) // 12))]


class Matcher:
    """The language model with the pages it is trained on."""

    def __init__(self, folder: Path, count: int) -> None:
        self.pieces = Pieces(folder / "tokenizer")
        self.train, self.validation = (load(folder / "corpus", split) for split in ("train", "validation"))
        model = new_model(*known(folder / "tokenizer"))
        self.table = model.language_model.embed_tokens.weight.detach().clone()  # what the tower was taught
        self.language = model.language_model
        hush(self.language, self.pieces)
        self.language.bfloat16()
        self.chosen = np.random.default_rng(0).permutation(len(self.train))[:count].tolist()
        self.placed = {page: place(self.train, page, self.pieces) for page in self.chosen}
        self.placed_validation = [place(self.validation, page, self.pieces) for page in range(len(self.validation))]
        self.groups = group_by_path(self.train, self.chosen)

    def loss(self, count: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """InfoNCE of one batch of pages or clips, and the share of questions that find theirs."""
        is_clip = random.random() < 0.12
        prompt = [VIDEO, *self.pieces.ids(CLIP_PROMPT)] if is_clip else [IMAGE, *self.pieces.ids(PAGE_PROMPT)]
        inputs, asked = [], []
        for page in neighbours(count, random, self.groups):
            shown = [page]
            if is_clip:  # a recording that scrolls: the page and another
                shown.insert(int(random.integers(2)), self.chosen[int(random.integers(len(self.chosen)))])
            given = []
            for each in shown:
                cells = self.placed[each].cells(PAGE_PIXELS * random.uniform(0.6, 1.3))
                given.append(states(misread(cells, random, random.choice([0.05, 0.3])), self.table, random))
            inputs.append((prompt, torch.cat(given)))
            form = CLIP_QUESTION if is_clip else PAGE_QUESTION if random.random() < 0.9 else "{}"
            asked.append((self.pieces.ids(form.format(span(self.train, page, random))), None))
        return both_ways(encode(self.language, asked), encode(self.language, inputs))

    def ceiling(self, count: int = 300) -> dict[str, float]:
        """What validation pages would score if the tower read without fault."""
        found = draw(self.validation, count, 0)
        prompt = [IMAGE, *self.pieces.ids(PAGE_PROMPT)]
        forms = [self.pieces.ids(PAGE_QUESTION.format(each.text)) for each in found]
        cells = [each.cells(PAGE_PIXELS) for each in self.placed_validation]
        with torch.no_grad():
            asked = torch.cat([encode(self.language, [(form, None)]) for form in forms])
            items = torch.cat([encode(self.language, [(prompt, states(each, self.table, None))]) for each in cells])
        return report(ranks((asked @ items.T).double().numpy(), np.array([each.page for each in found])))


def main() -> None:
    """Train until the time is up, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=64, help="pages")
    parser.add_argument("--pages", type=int, default=6000, help="to train with, the first of a random order")
    parser.add_argument("--rate", type=float, default=5e-4)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    matcher = Matcher(args.folder, args.pages)
    run = Run(
        path=args.folder / "match.pt",
        minutes=args.minutes,
        processes=1,
        pieces=1,
        figures=("loss", "found"),
        log_every=10,
    )

    def worker(seed: int) -> Callable[[], list[float]]:
        random = np.random.default_rng(seed)
        torch.manual_seed(seed)

        def backward() -> list[float]:
            loss, found = matcher.loss(args.batch, random)
            torch.autograd.backward(loss)
            return [loss.item(), found.item()]

        return backward

    def check() -> str:
        return "read without fault " + str(matcher.ceiling())

    Team(run, Masters(matcher.language.named_parameters(), args.rate)).train(worker, check, matcher.language.state_dict)


if __name__ == "__main__":
    main()
