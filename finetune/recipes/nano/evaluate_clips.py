"""Questions to clips of 30 s from screen recordings of documents that training never saw, by pixels alone.

Each recording is read back by the library as it reads any video. A question comes from a page that one clip shows for
at least 5 s; every clip that does so for that page counts as right, and the best placed of them is scored. Prints
NDCG@5, Hit@1 and Recall@10 of chance, of the pixels, and of BM25 over the text layers of the pages on screen (a text
that no recording carries: what perfect reading would give). Seeds are fixed.

    python evaluate_clips.py runs/nano/export runs/nano/corpus
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from corpus import Pages, load
from metrics import Array, bm25, ranking_metrics
from questions import draw_questions
from recordings import Recording, record

from vlm2vec_rag.encoder import load_encoder
from vlm2vec_rag.items import Clip
from vlm2vec_rag.media.reader import MediaReader
from vlm2vec_rag.media.settings import MediaSettings

PAGES = 12  # of a recording
SECONDS = 150
SHOWN_S = 5.0


def make(pages: Pages, count: int, folder: Path, seed: int) -> list[Recording]:
    """Recordings of runs of pages, each from another place."""
    random = np.random.default_rng(seed)
    by_path: dict[str, list[int]] = defaultdict(list)
    for page, path in enumerate(pages.paths):
        by_path[path].append(page)
    runs = [group[at : at + PAGES] for group in by_path.values() for at in range(0, len(group) - PAGES + 1, PAGES)]
    chosen = random.permutation(len(runs))[:count].tolist()
    return [record(pages, runs[each], folder / f"{each}.mp4", SECONDS, random) for each in chosen]


def best_places(scores: Array, right: list[list[int]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Place of each question's best right clip, from 0; ties with wrong clips count against it."""
    places = []
    for row, good in zip(scores, right, strict=True):
        wrong = np.delete(row, good)
        places.append(int((wrong >= row[good].max()).sum()))
    return np.array(places)


def main() -> None:
    """Record, read, encode, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--recordings", type=int, default=25, help="of 5 to 6 clips each")
    parser.add_argument("--dtype", help="float32, bfloat16; what the library would take by default")
    args = parser.parse_args()
    torch.set_num_threads(2)

    pages = load(args.corpus, args.split)
    settings = MediaSettings(window_s=30, overlap_s=0)
    clips: list[Clip] = []
    shown: dict[int, list[int]] = defaultdict(list)  # page: the clips that show it
    with TemporaryDirectory() as folder, MediaReader(settings) as reader:
        for recording in make(pages, args.recordings, Path(folder), 0):
            for item in reader.items(recording.path):
                if not isinstance(item, Clip):
                    continue
                for page, times in recording.seen.items():
                    # frames are a quarter of a second apart
                    if sum(item.start_s <= at < item.end_s for at in times) >= SHOWN_S * 4:
                        shown[page].append(len(clips))
                clips.append(item)
    asked = [each for each in draw_questions(pages, len(pages), 0) if each.page in shown]
    right = [shown[each.page] for each in asked]
    texts = [
        " ".join(pages.texts[page] for page, found in shown.items() if clip in found) for clip in range(len(clips))
    ]

    encoder = load_encoder(args.model, device="cpu", dtype=args.dtype)
    started = time.monotonic()
    vectors = encoder.encode_items(clips)
    elapsed = time.monotonic() - started
    questions = encoder.encode_queries([each.text for each in asked], target="clip")
    random = np.random.default_rng(0)
    orders = np.concatenate([best_places(random.random((len(asked), len(clips))), right) for _ in range(20)])
    rows = {
        "chance (20 random orders)": ranking_metrics(orders),
        "nano, pixels alone": ranking_metrics(best_places((questions @ vectors.T).astype(np.float64), right)),
        "BM25, text of the pages on screen": ranking_metrics(
            best_places(bm25([each.text for each in asked], texts), right)
        ),
    }
    print(  # noqa: T201
        f"{args.split}: {len(asked)} questions, {len(clips)} clips; "
        f"{encoder.runs_on}, {elapsed / len(clips):.1f} s a clip"
    )
    for name, row in rows.items():
        print(f"{name:34}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))  # noqa: T201


if __name__ == "__main__":
    main()
