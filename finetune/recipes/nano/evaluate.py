"""Questions to pages of packages that training never saw, by pixels alone, through the library's own encoder.

Prints NDCG@5, Hit@1 and Recall@10 of chance, of the pixels, of BM25 over the text layer and of their fusion
(reciprocal ranks, k = 60, the pixels' ranking at several weights; on the test split at the model's own weight, which
was chosen on validation pages). Seeds are fixed.

    python evaluate.py runs/nano/export runs/nano/corpus --split validation --pages 150
    python evaluate.py runs/nano/export runs/nano/corpus --split test
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from corpus import Pages, load
from crops import PAGE_PIXELS, render
from metrics import bm25, chance_metrics, fuse, rank_of_right, ranking_metrics
from PIL import Image
from questions import draw_questions

from vlm2vec_rag.encoder import load_encoder
from vlm2vec_rag.items import Page
from vlm2vec_rag.pixels import page_size

WEIGHTS = (1.0, 0.5, 0.25, 0.1, 0.05)  # of the pixels' ranking, tried on validation pages


def items(pages: Pages, chosen: list[int], max_pixels: int) -> Iterator[Page]:
    """The pages as images, nothing else."""
    for page in chosen:
        width, height = pages.sizes[page].tolist()
        size = page_size(height, width, max_pixels)
        image = Image.fromarray(render(pages.paths[page], int(pages.numbers[page]), *size)).convert("RGB")
        yield Page(image=image, page=int(pages.numbers[page]) + 1)


def main() -> None:
    """Encode, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--pages", type=int, help="only so many pages, to have a look")
    parser.add_argument("--max-pixels", type=int, default=PAGE_PIXELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", help="float32, bfloat16; what the library would take by default")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    pages = load(args.corpus, args.split)
    chosen = np.random.default_rng(0).permutation(len(pages))[: args.pages].tolist()
    place = {page: index for index, page in enumerate(chosen)}
    asked = [
        each for each in draw_questions(pages, args.questions if not args.pages else 10**6, 0) if each.page in place
    ]
    right = np.array([place[each.page] for each in asked])
    encoder = load_encoder(args.model, device="cpu", dtype=args.dtype, max_pixels=args.max_pixels)
    images = list(items(pages, chosen, args.max_pixels))
    started, cpu = time.monotonic(), time.process_time()
    vectors = encoder.encode_items(images)
    elapsed, cpu = time.monotonic() - started, time.process_time() - cpu
    questions = encoder.encode_queries([each.text for each in asked], target="page")

    by_pixels = (questions @ vectors.T).astype(np.float64)
    by_words = bm25([each.text for each in asked], [pages.texts[page] for page in chosen])
    rows = {
        "chance": chance_metrics(len(chosen)),
        "nano, pixels alone": ranking_metrics(rank_of_right(by_pixels, right)),
        "BM25, text layer": ranking_metrics(rank_of_right(by_words, right)),
    }
    own = encoder.fingerprint.dense_weight
    for weight in sorted({1.0, own} if args.split == "test" else {*WEIGHTS, own}, reverse=True):
        name = f"fusion, pixels x {weight:g}" + (" (the model's own)" if weight == own else "")
        rows[name] = ranking_metrics(rank_of_right(fuse(by_words, by_pixels, weights=(1.0, weight)), right))
    kinds = np.array([each.kind for each in asked])
    for kind in ("heading", "sentence"):
        rows[f"nano, {kind}s only ({(kinds == kind).sum()})"] = ranking_metrics(
            rank_of_right(by_pixels, right)[kinds == kind]
        )
    print(  # noqa: T201
        f"{args.split}: {len(asked)} questions, {len(chosen)} pages of {len(set(pages.packages))} packages, at most "
        f"{args.max_pixels // 784} cells a page; {encoder.runs_on}, "
        f"{len(chosen) / elapsed:.2f} pages/s, {cpu / len(chosen):.2f} CPU s a page"
    )
    for name, row in rows.items():
        print(f"{name:38}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))  # noqa: T201


if __name__ == "__main__":
    main()
