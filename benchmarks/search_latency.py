"""How long a search takes, through the whole Python API, and how much of the exact answer it finds.

    python benchmarks/search_latency.py                     # 20,000 points of 1,536 numbers
    python benchmarks/search_latency.py --points 2000       # quicker

The points are made up: clusters in 64 directions and noise, each with the text of a page. Made-up points are easier to
index than real ones, so the recall here says that the index works, and nothing of a model. For scale, the same
questions go to qdrant-client's in-memory store, which compares every point, in the same run on the same machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vlm2vec_rag.collection import Collection, Filter, Payload, Point, open_collection
from vlm2vec_rag.fingerprint import Fingerprint

DIM = 1536
LIMIT = 10
PAGES_PER_FILE = 20
WORDS_PER_PAGE = 250
BRUTE_FORCE_QUESTIONS = 10  # each takes a tenth of a second or more

Search = Callable[[Collection, NDArray[np.float32], str], list[Any]]
SEARCHES: dict[str, Search] = {
    "dense": lambda to, vector, text: to.search(vector, mode="dense", limit=LIMIT),
    "bm25": lambda to, vector, text: to.search(text=text, mode="bm25", limit=LIMIT),
    "hybrid": lambda to, vector, text: to.search(vector, text, limit=LIMIT),
    "fused, one folder of a hundred": lambda to, vector, text: to.search(
        vector, text, limit=LIMIT, filter=Filter(paths=("folder7/",))
    ),
    "fused, first half of each file": lambda to, vector, text: to.search(
        vector, text, limit=LIMIT, filter=Filter(kinds=("page",), pages=(1, PAGES_PER_FILE // 2))
    ),
    "dense, exact": lambda to, vector, text: to.search(vector, mode="dense", limit=LIMIT, exact=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--questions", type=int, default=300)
    asked = parser.parse_args()
    console = Console(width=110)

    rng = np.random.default_rng(0)
    vectors, queries = clustered(asked.points, asked.questions, rng)
    texts = list(pages_of_words(asked.points, WORDS_PER_PAGE, rng))
    questions = list(zip(queries, pages_of_words(asked.questions, 6, rng), strict=True))
    fingerprint = Fingerprint(model="made up", weights="benchmark", dim=DIM)

    with (
        tempfile.TemporaryDirectory() as folder,
        open_collection(folder, fingerprint=fingerprint) as embedded,
        open_collection(":memory:", fingerprint=fingerprint) as brute_force,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # that so many points are too many for it is what is shown
        written_s = seconds_of(lambda: embedded.upsert(points(vectors, texts)))
        indexed_s = seconds_of(embedded.optimize)
        brute_force.upsert(points(vectors, texts))
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        console.print(
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores {platform.machine()}{load}, "
            f"Python {platform.python_version()}. {asked.points:,} points of {DIM} numbers, "
            f"{(embedded.info().size_bytes or 0) / 1e6:,.0f} MB on disk: "
            f"{asked.points / written_s:,.0f} points written a second, index built in {indexed_s:.1f} s"
        )
        console.print(table_of(embedded, brute_force, questions))
        console.print(f"recall@{LIMIT} of dense against the exact answer: {recall(embedded, vectors, queries):.4f}")


def table_of(embedded: Collection, brute_force: Collection, questions: list[tuple[Any, str]]) -> Table:
    table = Table("search", "p50 ms", "p95 ms", "brute force p50 ms", "ratio")
    for name, search in SEARCHES.items():
        mine = latencies_ms(search, embedded, questions)
        theirs = latencies_ms(search, brute_force, questions[:BRUTE_FORCE_QUESTIONS])
        p50, p95 = np.percentile(mine, [50, 95])
        other = float(np.median(theirs))
        table.add_row(name, f"{p50:.2f}", f"{p95:.2f}", f"{other:.0f}", f"{other / p50:.0f}x")
    return table


def latencies_ms(search: Search, collection: Collection, questions: list[tuple[Any, str]]) -> list[float]:
    for vector, text in questions[:5]:  # first touches of files and code
        search(collection, vector, text)
    return [seconds_of(lambda: search(collection, vector, text)) * 1e3 for vector, text in questions]  # noqa: B023


def recall(collection: Collection, vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """How much of the true nearest points a search by the index finds, on average."""
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :LIMIT]
    found = [
        {int(each.payload.content_hash) for each in collection.search(query, mode="dense", limit=LIMIT)}
        for query in queries
    ]
    return float(np.mean([len(found[at] & set(nearest[at].tolist())) / LIMIT for at in range(len(queries))]))


def points(vectors: NDArray[np.float32], texts: list[str]) -> Iterator[Point]:
    """Pages of files of twenty pages, in a hundred folders."""
    for number, (vector, text) in enumerate(zip(vectors, texts, strict=True)):
        file, page = divmod(number, PAGES_PER_FILE)
        payload = Payload(
            source=f"folder{file % 100}/{file}.pdf",
            kind="page",
            content_hash=str(number),
            fragment=f"page={page + 1}",
            page=page + 1,
            text=text,
            file_hash=f"{file:064x}",
            file_points=PAGES_PER_FILE,
        )
        yield Point(id=payload.id, payload=payload, vector=vector)


def clustered(count: int, queries: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit vectors around fifty centres in 64 directions, with noise; and as many questions like them."""
    directions = rng.standard_normal((64, DIM), dtype=np.float32)
    centres = 2 * rng.standard_normal((50, 64), dtype=np.float32)
    total = count + queries
    inner = centres[rng.integers(0, 50, total)] + rng.standard_normal((total, 64), dtype=np.float32)
    vectors = inner @ directions + 0.5 * rng.standard_normal((total, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:count], vectors[count:]


def pages_of_words(count: int, words: int, rng: np.random.Generator) -> Iterator[str]:
    """Texts whose words are as unevenly common as those of a language (Zipf)."""
    for _ in range(count):
        ranks = np.minimum(rng.zipf(1.3, words), 50_000)
        yield " ".join(f"w{rank}" for rank in ranks)


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
