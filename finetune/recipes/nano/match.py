"""Stage 2b: the language model learns to match questions with pages as the trained tower sees them (`look.py`).

InfoNCE both ways over pages of few documents at a time, so that the negatives are the neighbours of the right page.
It starts from a bag of words that is set by hand (`tower.take_the_mean`).

    python match.py runs/nano --minutes 12

No pixel is rendered. Result: LOG.md.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from corpus import Pages, load
from look import load_seen
from measures import ranks, report
from optimise import Masters
from questions import draw, span
from team import Run, Team
from torch import nn
from tower import CONSTANT, new_model, turn
from words import IMAGE, VIDEO, Pieces

log = logging.getLogger("nano")

PAGE_PROMPT = "Understand the content of the provided document image."
CLIP_PROMPT = "Understand the content of the provided video."
PAGE_QUESTION = "Find a document image that matches the given query: {}"
CLIP_QUESTION = "Find a video that contains the following visual content: {}"
TEMPERATURE = 0.04
HUSHED = 0.02  # loudness of the words of the prompts beside that of others as rare


def encode(
    language: Any, inputs: Sequence[tuple[list[int], torch.Tensor | None]], weights: Sequence[torch.Tensor | None] = ()
) -> torch.Tensor:
    """Encode prompts as the library does: plain positions, the last token's state, unit length.

    The last layer is worked out for the last token only; the others give it their keys and values.

    Args:
        language: `Qwen2VLModel.language_model`.
        inputs: Token ids, and the states (N, D) that stand in for their image or video token, if there is one.
        weights: (N,) for how many cells each of those states stands; one by default.

    Returns:
        (B, D) float32.
    """
    rows, louder = [], []
    for (ids, seen), weight in zip(inputs, weights or [None] * len(inputs), strict=True):
        row = language.embed_tokens(torch.tensor(ids))
        if seen is not None:
            at = next(index for index, piece in enumerate(ids) if piece in (IMAGE, VIDEO))
            row = torch.cat([row[:at], seen.to(row.dtype), row[at + 1 :]])
        rows.append(row)
        counts = torch.ones(len(row))
        if weight is not None:
            counts[at : at + len(weight)] = weight
        louder.append(counts)
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
        # as if a state stood there so many times; padding none
        attn_mask=nn.utils.rnn.pad_sequence(louder, batch_first=True).log().to(padded.dtype)[:, None, None],
    )
    states = padded[last] + attention.o_proj(mixed.reshape(count, width))
    states = language.norm(states + layer.mlp(layer.post_attention_layernorm(states)))
    return nn.functional.normalize(states.float(), dim=-1)


def weigh_text(language: Any, rarity: npt.NDArray[np.float32], pieces: Pieces) -> None:
    """Make text say its rare pieces louder, the words of the prompts, in every question, hardly at all, and marks not.

    Only where they are text: a page's cells are told by the table that the tower was taught.
    """
    ids = {
        piece
        for form in (PAGE_PROMPT, CLIP_PROMPT, PAGE_QUESTION, CLIP_QUESTION)
        for piece in pieces.ids(form.format(""))
    }
    loudness = torch.from_numpy(rarity) / 5
    loudness[list(ids)] *= HUSHED
    told = [pieces.tokenizer.decode([piece]) for piece in range(len(rarity))]
    loudness[[piece for piece, text in enumerate(told) if not any(letter.isalnum() for letter in text)]] = 0
    with torch.no_grad():
        language.embed_tokens.weight[:, :CONSTANT] *= loudness[:, None]


def both_ways(questions: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE from question to item and back, and the share of questions that find their item."""
    scores = questions @ items.T / TEMPERATURE
    right = torch.arange(len(scores))
    loss = (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2
    return loss, (scores.argmax(1) == right).float().mean()


def neighbours(count: int, random: np.random.Generator, by_path: list[list[int]]) -> list[int]:
    """Pages of a batch: up to 6 from each of several documents."""
    if len({page for group in by_path for page in group}) < count:
        raise SystemExit(f"a batch needs {count} pages that have neighbours; look at more pages (look.py --pages)")
    chosen: list[int] = []
    while len(chosen) < count:
        group = by_path[int(random.integers(len(by_path)))]
        chosen += [group[place] for place in random.permutation(len(group))[:6].tolist() if group[place] not in chosen]
    return chosen[:count]


def group_by_path(pages: Pages, chosen: list[int]) -> list[list[int]]:
    """Places in `chosen` of the pages of each document that has more than one of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, page in enumerate(chosen):
        groups[pages.paths[page]].append(place)
    # a long document comes up as often as its pages ask for, up to five times a short one
    return [group for group in groups.values() if len(group) > 1 for _ in range(min(5, 1 + len(group) // 12))]


class Matcher:
    """The language model with the pages it is trained on, as the tower sees them."""

    def __init__(self, folder: Path) -> None:
        self.pieces = Pieces(folder / "tokenizer")
        self.train, self.validation = (load(folder / "corpus", split) for split in ("train", "validation"))
        rarity = np.load(folder / "tokenizer" / "piece_weights.npy")
        self.language = new_model(rarity).language_model
        weigh_text(self.language, rarity, self.pieces)
        self.language.bfloat16()
        self.seen, self.seen_validation = (load_seen(folder / f"seen_{split}.npz") for split in ("train", "validation"))
        self.groups = group_by_path(self.train, self.seen.pages.tolist())

    def loss(self, count: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """InfoNCE of one batch of pages or clips, and the share of questions that find theirs."""
        is_clip = random.random() < 0.12
        inputs, weights, asked = [], [], []
        for index in neighbours(count, random, self.groups):
            shown = [index]
            if is_clip:  # a recording that scrolls: the page and another
                shown.insert(int(random.integers(2)), int(random.integers(len(self.seen.pages))))
            states, counts = (torch.cat(each) for each in zip(*map(self.seen.page, shown), strict=True))
            inputs.append((self.prompt(is_clip=is_clip), states))
            weights.append(counts)
            form = CLIP_QUESTION if is_clip else PAGE_QUESTION if random.random() < 0.9 else "{}"
            text = span(self.train, int(self.seen.pages[index]), random)
            asked.append((self.pieces.ids(form.format(text)), None))
        return both_ways(encode(self.language, asked), encode(self.language, inputs, weights))

    def prompt(self, *, is_clip: bool) -> list[int]:
        """Token ids of a page or clip, one for all that is seen."""
        return [VIDEO, *self.pieces.ids(CLIP_PROMPT)] if is_clip else [IMAGE, *self.pieces.ids(PAGE_PROMPT)]

    def check(self) -> dict[str, float]:
        """How well questions find validation pages."""
        index = {page: place for place, page in enumerate(self.seen_validation.pages.tolist())}
        found = [each for each in draw(self.validation, len(self.validation), 0) if each.page in index]
        with torch.no_grad():
            forms = [(self.pieces.ids(PAGE_QUESTION.format(each.text)), None) for each in found]
            questions = torch.cat([encode(self.language, [form]) for form in forms])
            items = []
            for place in range(len(index)):
                states, counts = self.seen_validation.page(place)
                items.append(encode(self.language, [(self.prompt(is_clip=False), states)], [counts]))
        right = np.array([index[each.page] for each in found])
        return report(ranks((questions @ torch.cat(items).T).double().numpy(), right))


def main() -> None:
    """Train until the time is up, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", help="the run whose weights to start from")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=64, help="pages")
    parser.add_argument("--rate", type=float, default=1e-4)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    matcher = Matcher(args.folder)
    run = Run(
        path=args.folder / "match.pt",
        minutes=args.minutes,
        processes=2,
        pieces=2,
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
        return ", ".join(f"{name} {value:.3f}" for name, value in matcher.check().items())

    masters = Masters(matcher.language.named_parameters(), args.rate)
    if args.start:
        masters.start(torch.load(args.folder / f"{args.start}.pt", weights_only=True)["train"])
    log.info("before the first step: %s", check())
    Team(run, masters).train(worker, check, matcher.language.state_dict)


if __name__ == "__main__":
    main()
