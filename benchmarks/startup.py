"""How long importing takes: each package in a fresh process, the median of five, beside a bare interpreter.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

MODULES = [
    "",
    "vlm2vec_rag",
    "vlm2vec_rag.collection",
    "vlm2vec_rag.media",
    "vlm2vec_rag.cli",
    "langchain_core.embeddings",
    "langchain_vlm2vec",
    "llama_index.core",
    "llama_index.embeddings.vlm2vec",
]


def seconds(code: str) -> float:
    """Median wall time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    bare = seconds("")
    print(f"{'import':34}{'ms':>8}   (a bare interpreter, {bare * 1000:.0f} ms, is taken off)")
    for module in filter(None, MODULES):
        try:
            print(f"{module:34}{(seconds(f'import {module}') - bare) * 1000:8.0f}")
        except subprocess.CalledProcessError:
            print(f"{module:34}       -  not installed")


if __name__ == "__main__":
    main()
