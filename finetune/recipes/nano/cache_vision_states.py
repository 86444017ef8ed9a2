"""Stage 2a: the vision encoder's states of training and validation pages, kept for training the language model.

Pages are read in bands of 8 rows of cells, four times quicker than whole. Cells without ink are all alike: one in ten
is kept, with the weight of ten.

    python cache_vision_states.py runs/nano --pages 1000

Cost: about 1 CPU second and 0.9 MB a page.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from corpus import Pages, load
from crops import PAGE_PIXELS, grid_of_page, render
from model import CELL, merge_patches, patch_positions, to_patches, vision_forward
from train_vision import VisionTraining

log = logging.getLogger("nano")
BAND_ROWS = 8  # rows of cells
PAGES_PER_DOCUMENT = 12  # pages of a document
BLANK_STRIDE = 10  # one of so many blank cells


@dataclass(frozen=True)
class VisionStates:
    """States of the vision encoder for N pages, C cells in all."""

    pages: npt.NDArray[np.int64]  # (N,) of the split
    starts: npt.NDArray[np.int64]  # (N + 1,) first cell of each
    states: npt.NDArray[np.float16]  # (C, D)
    weights: npt.NDArray[np.float32]  # (C,) for how many cells each stands

    def page(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """States and weights of one page's cells."""
        cells = slice(self.starts[index], self.starts[index + 1])
        return torch.from_numpy(self.states[cells]).float(), torch.from_numpy(self.weights[cells])


def page_encoder(
    training: VisionTraining, pages: Pages, seed: int
) -> Callable[[int], tuple[npt.NDArray[np.float16], ...]]:
    """A function from a page to the states and weights of its cells."""
    visual = training.model.visual

    def encode_page(page: int) -> tuple[npt.NDArray[np.float16], ...]:
        random = np.random.default_rng([seed, page])
        rows, columns = grid_of_page(pages.sizes[page], PAGE_PIXELS * random.uniform(0.85, 1.0))
        pixels = render(pages.paths[page], int(pages.numbers[page]), rows * CELL, columns * CELL)
        tops = range(0, max(1, rows - BAND_ROWS // 2), BAND_ROWS)
        found = []
        with torch.no_grad():
            for number, top in enumerate(tops):
                end = rows if number == len(tops) - 1 else top + BAND_ROWS
                band = torch.from_numpy(to_patches(pixels[None, top * CELL : end * CELL]))
                place = patch_positions(end - top, columns)[None]
                found.append(merge_patches(visual, vision_forward(visual, training.grey, band, place))[0].float())
        patches = to_patches(pixels[None]).reshape(rows * columns, -1)
        blank = patches.max(1) - patches.min(1) < 8
        kept = ~blank | (random.random(len(blank)) < 1 / BLANK_STRIDE)
        states = torch.cat(found).numpy()[kept].astype(np.float16)
        return states, np.where(blank[kept], float(BLANK_STRIDE), 1.0).astype(np.float32)

    return encode_page


PAGE_ENCODERS: dict[str, Callable[[int], tuple[npt.NDArray[np.float16], ...]]] = {}  # forked processes find them here


def _run(page: int) -> tuple[npt.NDArray[np.float16], ...]:
    torch.set_num_threads(1)
    return PAGE_ENCODERS["now"](page)


def sample_pages(pages: Pages, count: int, each: int, seed: int) -> list[int]:
    """Up to `each` pages of each of several documents, in a random order: neighbours are a page's hardest negatives."""
    random = np.random.default_rng(seed)
    by_path: dict[str, list[int]] = defaultdict(list)
    for page, path in enumerate(pages.paths):
        by_path[path].append(page)
    groups = list(by_path.values())
    chosen: list[int] = []
    for place in random.permutation(len(groups)).tolist():
        chosen += random.permutation(groups[place])[:each].tolist()
    return random.permutation(chosen[:count]).tolist()


def write(training: VisionTraining, pages: Pages, count: int, path: Path, *, each: int, seed: int = 0) -> None:
    """Look at `count` pages in a random order and write what was seen."""
    PAGE_ENCODERS["now"] = page_encoder(training, pages, seed)
    chosen = np.array(sample_pages(pages, count, each, seed))
    started, found = time.monotonic(), []
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for number, page in enumerate(pool.imap(_run, chosen.tolist(), chunksize=4), 1):
            found.append(page)
            if number % 100 == 0:
                left = (time.monotonic() - started) / number * (count - number)
                log.info("%d of %d pages, %.1f min left", number, count, left / 60)
    np.savez(
        path,
        pages=chosen,
        starts=np.cumsum([0, *(len(states) for states, _ in found)]),
        states=np.concatenate([states for states, _ in found]),
        weights=np.concatenate([weights for _, weights in found]),
    )


def load_states(path: Path) -> VisionStates:
    """Read what `write` wrote."""
    with np.load(path) as file:
        return VisionStates(**{key: file[key] for key in file})


def main() -> None:
    """Look at pages of both splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vision-run", default="vision", help="the run whose tower is used")
    parser.add_argument("--pages", type=int, default=1000, help="of the training split")
    parser.add_argument("--validation-pages", type=int, default=200)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    training = VisionTraining(args.folder, compiled=False)
    training.start(torch.load(args.folder / f"{args.vision_run}.pt", weights_only=True))
    for split, count in (("validation", args.validation_pages), ("train", args.pages)):
        target, each = args.folder / f"vision_states_{split}.npz", PAGES_PER_DOCUMENT if split == "train" else count
        write(training, load(args.folder / "corpus", split), count, target, each=each)


if __name__ == "__main__":
    main()
