"""What a search through the server costs beside the same search in this process, one by one and 50 at once.

    python benchmarks/server_throughput.py                      # the sample collection, by words

The server is `vlm2vec-rag serve` in a process of its own, asked over HTTP on this machine by one client that keeps its
connections. The peer is `Library.search` in this process, in as many threads, over the same collection and questions.
Not one request may fail; the run ends with an error where one does.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from vlm2vec_rag import samples
from vlm2vec_rag.library import open_library

WORDS = "pie chart font size colour slice axis legend butterfly bunny coffee table label width bar line page".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=400)
    parser.add_argument("--parallel", type=int, default=50)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    questions = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(asked.searches)]
    table = Table("searches by words", "p50 ms", "p95 ms", "a second", "failed")

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "collection"
        with open_library(place, model="none") as library:
            library.index(samples.folder())
            here = {
                parallel: measured(lambda each: len(library.search(each)), questions, parallel)
                for parallel in (1, asked.parallel)
            }
        with serving(place) as address, httpx.Client(limits=httpx.Limits(max_connections=asked.parallel)) as client:

            def over_http(question: str) -> int:
                answer = client.post(f"{address}/api/search", json={"query": question}, timeout=60)
                return len(answer.raise_for_status().json()["hits"])

            there = {parallel: measured(over_http, questions, parallel) for parallel in (1, asked.parallel)}
    for name, runs in (("in this process", here), ("through the server", there)):
        for parallel, (latencies_ms, seconds, failed) in runs.items():
            p50, p95 = np.percentile(latencies_ms, [50, 95])
            rate = len(questions) / seconds
            table.add_row(f"{name}, {parallel} at once", f"{p50:.1f}", f"{p95:.1f}", f"{rate:.0f}", str(failed))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    console = Console(width=110)
    console.print(
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores {platform.machine()}{load}, "
        f"Python {platform.python_version()}"
    )
    console.print(table)
    for parallel in here:
        ratio = here[parallel][1] / there[parallel][1]
        console.print(f"{parallel} at once: the server answers {ratio:.2f} of the searches a second of this process")
    if any(failed for runs in (here, there) for _, _, failed in runs.values()):
        sys.exit("a search failed")


def measured(search: Callable[[str], int], questions: list[str], parallel: int) -> tuple[list[float], float, int]:
    """Latency of each search in ms, seconds in all, and how many failed."""
    search(questions[0])

    def timed(question: str) -> tuple[float, bool]:
        started = time.perf_counter()
        try:
            search(question)
        except Exception as error:
            print(f"{question!r} failed: {error}")
            return (time.perf_counter() - started) * 1000, True
        return (time.perf_counter() - started) * 1000, False

    started = time.perf_counter()
    with ThreadPoolExecutor(parallel) as pool:
        done = list(pool.map(timed, questions))
    return [each for each, _ in done], time.perf_counter() - started, sum(failed for _, failed in done)


class serving:  # noqa: N801  reads as what it does
    """`vlm2vec-rag serve` over a collection, until it is left."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-c", "from vlm2vec_rag.cli import main; main()", "serve"]
        self.process = subprocess.Popen([*command, "-c", str(place), "--port", str(self.port)])

    def __enter__(self) -> str:
        address = f"http://127.0.0.1:{self.port}"
        for _ in range(600):
            try:
                httpx.get(f"{address}/health", timeout=5)
                return address
            except httpx.HTTPError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


if __name__ == "__main__":
    main()
