"""Stage 2b: contrastive training of the language model on the vision states that `cache_vision_states.py` wrote.

InfoNCE both ways over pages of few documents at a time, so that the negatives are the neighbours of the right page.
It starts from a bag of words that is set by hand (`model.init_mean_pooling`). Only o_proj is trained, between the sum
of a page and its vector: all else, trained too, learns these pages by heart and finds others worse (LOG.md).

    python train_retrieval.py runs/nano --minutes 2.5

No pixel is rendered. Result: LOG.md.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from cache_vision_states import VisionStates, load_states
from corpus import Pages, load
from metrics import rank_of_right, ranking_metrics
from model import CONSTANT_DIM, apply_rotary, new_model
from optimiser import learning_rate_share, save_checkpoint
from questions import draw_questions, training_question
from tokenizer import IMAGE_TOKEN, VIDEO_TOKEN, Subwords
from torch import nn

log = logging.getLogger("nano")

PAGE_PROMPT = "Understand the content of the provided document image."
CLIP_PROMPT = "Understand the content of the provided video."
PAGE_QUESTION = "Find a document image that matches the given query: {}"
CLIP_QUESTION = "Find a video that contains the following visual content: {}"
TEMPERATURE = 0.04
CLIP_SHARE = 0.12  # share of batches
CHECK_EVERY = 25  # steps
PROMPT_WEIGHT = 0.02  # loudness of the words of the prompts beside that of others as rare
TEXT_WEIGHT = (
    1 / 64
)  # loudness of text beside cells: of a question's few tokens `model.init_saturation` is then to take nothing


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
            at = next(index for index, subword in enumerate(ids) if subword in (IMAGE_TOKEN, VIDEO_TOKEN))
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
    query = apply_rotary(query, cos[lengths - 1].unsqueeze(1), sin[lengths - 1].unsqueeze(1))
    mixed = nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        apply_rotary(key, cos, sin).transpose(1, 2),
        value.transpose(1, 2),
        # as if a state stood there so many times; padding none
        attn_mask=nn.utils.rnn.pad_sequence(louder, batch_first=True).log().to(padded.dtype)[:, None, None],
    )
    states = padded[last] + attention.o_proj(mixed.reshape(count, width))
    states = language.norm(states + layer.mlp(layer.post_attention_layernorm(states)))
    return nn.functional.normalize(states.float(), dim=-1)


def init_text_weights(language: Any, idf: npt.NDArray[np.float32], subwords: Subwords) -> None:
    """Scale token embeddings by IDF; those of the prompts, in every question, nearly to zero, and punctuation to zero.

    Only where they are text: a page's cells are told by the table that the tower was taught.
    """
    ids = {
        subword
        for form in (PAGE_PROMPT, CLIP_PROMPT, PAGE_QUESTION, CLIP_QUESTION)
        for subword in subwords.ids(form.format(""))
    }
    loudness = torch.from_numpy(idf) / 5 * TEXT_WEIGHT
    loudness[list(ids)] *= PROMPT_WEIGHT
    told = [subwords.tokenizer.decode([subword]) for subword in range(len(idf))]
    loudness[[subword for subword, text in enumerate(told) if not any(letter.isalnum() for letter in text)]] = 0
    with torch.no_grad():
        language.embed_tokens.weight[:, :CONSTANT_DIM] *= loudness[:, None]


def symmetric_infonce(questions: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE from question to item and back, and the share of questions that find their item."""
    scores = questions @ items.T / TEMPERATURE
    right = torch.arange(len(scores))
    loss = (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2
    return loss, (scores.argmax(1) == right).float().mean()


def hard_negative_batch(count: int, random: np.random.Generator, by_path: list[list[int]]) -> list[int]:
    """Pages of a batch: up to 6 from each of several documents."""
    if len({page for group in by_path for page in group}) < count:
        raise SystemExit(
            f"a batch needs {count} pages that have neighbours; look at more pages (cache_vision_states.py --pages)"
        )
    chosen: list[int] = []
    while len(chosen) < count:
        group = by_path[int(random.integers(len(by_path)))]
        chosen += [group[place] for place in random.permutation(len(group))[:6].tolist() if group[place] not in chosen]
    return chosen[:count]


def group_by_document(pages: Pages, chosen: list[int]) -> list[list[int]]:
    """Places in `chosen` of the pages of each document that has more than one of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, page in enumerate(chosen):
        groups[pages.paths[page]].append(place)
    # a long document comes up as often as its pages ask for, up to five times a short one
    return [group for group in groups.values() if len(group) > 1 for _ in range(min(5, 1 + len(group) // 12))]


@dataclass(frozen=True)
class PooledStates:
    """What the language model's layer takes the mean of, added up over the cells of each of N pages."""

    states: torch.Tensor  # (N, D)
    counts: torch.Tensor  # (N,) cells

    def __getitem__(self, chosen: list[int]) -> PooledStates:
        return PooledStates(self.states[chosen], self.counts[chosen])

    def __add__(self, other: PooledStates) -> PooledStates:
        return PooledStates(self.states + other.states, self.counts + other.counts)


def pool_states(language: Any, seen: VisionStates) -> PooledStates:
    """Add up the states of each page's cells after the norm that comes before attention."""
    states, counts = [], []
    with torch.no_grad():
        for page in range(len(seen.pages)):
            cells, weights = seen.page(page)
            states.append(weights @ language.layers[0].input_layernorm(cells))
            counts.append(weights.sum())
    return PooledStates(torch.stack(states), torch.stack(counts))


def encode_pooled(language: Any, prompts: Sequence[Sequence[int]], sums: PooledStates | None = None) -> torch.Tensor:
    """`encode` where attention is the same for all tokens: a page is one row, and a step a hundred times quicker.

    Args:
        language: `Qwen2VLModel.language_model` as `model.init_mean_pooling` leaves its attention.
        prompts: Token ids of each input, without the image or video token.
        sums: Of the cells that stand in its place; none in questions.

    Returns:
        (B, D) float32.
    """
    (layer,) = language.layers
    flat = torch.tensor([subword for ids in prompts for subword in ids])
    lengths = torch.tensor([len(ids) for ids in prompts])
    first = lengths.cumsum(0) - lengths
    table = language.embed_tokens.weight
    mean = nn.functional.embedding_bag(flat, layer.input_layernorm(table), first, mode="sum")
    if sums:
        mean, lengths = mean + sums.states, lengths + sums.counts
    mean = mean / lengths[:, None]
    states = table[flat[first + torch.tensor([len(ids) - 1 for ids in prompts])]]
    states = states + layer.self_attn.o_proj(layer.self_attn.v_proj(mean))
    states = language.norm(states + layer.mlp(layer.post_attention_layernorm(states)))
    return nn.functional.normalize(states.float(), dim=-1)


class RetrievalTraining:
    """The language model with the pages it is trained on, as the tower sees them."""

    def __init__(self, folder: Path) -> None:
        self.subwords = Subwords(folder / "tokenizer")
        self.train, self.validation = (load(folder / "corpus", split) for split in ("train", "validation"))
        idf = np.load(folder / "tokenizer" / "subword_idf.npy")
        self.language = new_model(idf).language_model
        init_text_weights(self.language, idf, self.subwords)
        seen, seen_validation = (
            load_states(folder / f"vision_states_{split}.npz") for split in ("train", "validation")
        )
        self.pages, self.validation_pages = seen.pages, seen_validation.pages
        self.sums, self.validation_sums = (pool_states(self.language, each) for each in (seen, seen_validation))
        self.groups = group_by_document(self.train, self.pages.tolist())
        self.page_prompt, self.clip_prompt = (self.subwords.ids(prompt) for prompt in (PAGE_PROMPT, CLIP_PROMPT))

    def loss(self, count: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """InfoNCE of one batch of pages or clips, and the share of questions that find theirs."""
        is_clip = random.random() < CLIP_SHARE
        chosen = hard_negative_batch(count, random, self.groups)
        shown = self.sums[chosen]
        if is_clip:  # a recording that scrolls: the page and another
            shown += self.sums[random.integers(len(self.pages), size=count).tolist()]
        asked = []
        for index in chosen:
            form = CLIP_QUESTION if is_clip else PAGE_QUESTION if random.random() < 0.9 else "{}"
            asked.append(self.subwords.ids(form.format(training_question(self.train, int(self.pages[index]), random))))
        items = encode_pooled(self.language, [self.clip_prompt if is_clip else self.page_prompt] * count, shown)
        return symmetric_infonce(encode_pooled(self.language, asked), items)

    def check(self) -> dict[str, float]:
        """How well questions find validation pages."""
        index = {page: place for place, page in enumerate(self.validation_pages.tolist())}
        found = [each for each in draw_questions(self.validation, len(self.validation), 0) if each.page in index]
        with torch.no_grad():
            questions = encode_pooled(
                self.language, [self.subwords.ids(PAGE_QUESTION.format(each.text)) for each in found]
            )
            items = encode_pooled(self.language, [self.page_prompt] * len(index), self.validation_sums)
        right = np.array([index[each.page] for each in found])
        return ranking_metrics(rank_of_right((questions @ items.T).double().numpy(), right))


def main() -> None:
    """Train until the time is up; what finds validation pages best is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=256, help="pages")
    parser.add_argument("--rate", type=float, default=1e-4)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = np.random.default_rng(0)

    matcher = RetrievalTraining(args.folder)
    best = -1.0

    def keep_if_best() -> str:
        nonlocal best
        figures = matcher.check()
        if figures["ndcg@5"] > best:
            best = figures["ndcg@5"]
            save_checkpoint({"model": matcher.language.state_dict()}, args.folder / "retrieval.pt")
        return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())

    log.info("before the first step: %s", keep_if_best())
    trained = matcher.language.layers[0].self_attn.o_proj.weight
    matcher.language.requires_grad_(False)
    trained.requires_grad_(True)
    optimiser = torch.optim.AdamW([trained], betas=(0.9, 0.98), weight_decay=0.0)
    started, step, told = time.monotonic(), 0, []
    while (spent := (time.monotonic() - started) / 60) < args.minutes:
        optimiser.param_groups[0]["lr"] = args.rate * learning_rate_share(spent / args.minutes)
        loss, found = matcher.loss(args.batch, random)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        told.append([loss.item(), found.item()])
        step += 1
        if step % CHECK_EVERY == 0:
            log.info("%.1f min, step %d: loss %.3f found %.3f, %s", spent, step, *np.mean(told, axis=0), keep_if_best())
            told = []
    log.info("kept: ndcg@5 %.3f", best)


if __name__ == "__main__":
    main()
