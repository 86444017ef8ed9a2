"""How much of a word search's answer changes when a collection is cut into shards, because `idf` counts within a shard.

    apt-get download debian-policy python3.11-doc git-doc …      # any Debian documentation packages, into a folder
    python benchmarks/shard_overlap.py FOLDER

Pages and manuals of the packages are cut into passages of 120 words, whole documents at a time, and asked with their
own headings. The weights are the collection's own (`Bm25`), the inverse document frequency is Qdrant's, counted over
everything for the answer of one shard and within each shard for the others; points go to shards at random, as Qdrant
spreads them by id. Overlap@10 is the share of the one shard's first ten that is among the first ten of the many.
"""

from __future__ import annotations

import argparse
import gzip
import html
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vlm2vec_rag.collection.bm25 import Bm25, Words

SIZES = (500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
SHARDS = (2, 3, 6, 12)
LIMIT = 10
QUESTIONS = 300
WORDS_PER_PASSAGE = 120
SHORTEST_PASSAGE = 40

_HEADING = re.compile(r"<h[1-4][^>]*>(.*?)</h[1-4]>", re.DOTALL | re.IGNORECASE)
_NOT_TEXT = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.DOTALL | re.IGNORECASE)
_ROFF = re.compile(r'^[.\'](\\"|[A-Za-z]+)|\\f.|\\[&/,|^]', re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds .deb files")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="passages at most")
    asked = parser.parse_args()
    console = Console(width=110)
    rng = np.random.default_rng(0)
    bm25 = Bm25()

    documents = list(documents_of(asked.folder))
    random.Random(0).shuffle(documents)
    texts: list[Words] = []
    ends: list[int] = []  # passages after each document
    headings: list[str] = []
    headings_before: list[int] = []
    for passages, titles in documents:
        texts.extend(bm25.encode_text(passage) for passage in passages)
        headings.extend(titles)
        ends.append(len(texts))
        headings_before.append(len(headings))
        if len(texts) >= asked.most:
            break
    console.print(f"{time.strftime('%Y-%m-%d')}: {len(ends):,} documents, {len(texts):,} passages")

    table = Table("passages", *(f"{count} shards" for count in SHARDS), "first hit the same, 2 to 12")
    for size in (each for each in SIZES if each <= len(texts)):
        last = next(at for at, end in enumerate(ends) if end >= size)
        index = Index(texts[:size])
        questions = questions_of(headings[: headings_before[last]], bm25, rng)
        row = [overlap(index, questions, rng.integers(0, count, size)) for count in SHARDS]
        same = ", ".join(f"{first:.2f}" for _, first in row)
        table.add_row(f"{size:,}", *(f"{ten:.3f}" for ten, _ in row), same)
    console.print(table)


def documents_of(folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """(passages, headings) of each document in the packages."""
    for package in sorted(folder.glob("*.deb")):
        with tempfile.TemporaryDirectory() as unpacked:
            subprocess.run(["dpkg-deb", "-x", str(package), unpacked], check=True)
            for path in sorted(Path(unpacked).rglob("*")):
                if not path.is_file() or path.is_symlink():
                    continue
                text, titles = text_of(path)
                words = text.split()
                passages = [
                    " ".join(words[at : at + WORDS_PER_PASSAGE])
                    for at in range(0, max(1, len(words) - SHORTEST_PASSAGE), WORDS_PER_PASSAGE)
                ]
                if len(words) >= SHORTEST_PASSAGE:
                    yield passages, titles


def text_of(path: Path) -> tuple[str, list[str]]:
    """The words of a page or manual, and its headings of three to eight words."""
    name = path.name.removesuffix(".gz")
    if not name.endswith((".html", ".htm", ".txt", ".rst")) and not re.search(r"\.[1-8]\w*$", name):
        return "", []
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    source = raw.decode("utf-8", "replace")
    if name.endswith((".html", ".htm")):
        titles = [" ".join(_plain(each).split()) for each in _HEADING.findall(source)]
        return _plain(source), [each for each in titles if 3 <= len(each.split()) <= 8]
    return _ROFF.sub(" ", source), []


def _plain(source: str) -> str:
    return html.unescape(_NOT_TEXT.sub(" ", source))


def questions_of(headings: list[str], bm25: Bm25, rng: np.random.Generator) -> list[list[int]]:
    """The words of some headings, as the numbers a query holds."""
    distinct = sorted(set(headings))
    chosen = rng.permutation(len(distinct))[:QUESTIONS]
    asked = [bm25.encode_query(distinct[at]).indices for at in chosen]
    return [each for each in asked if len(each) >= 2]


class Index:
    """Postings of every word: which passages hold it, and with what weight."""

    def __init__(self, texts: list[Words]) -> None:
        self.size = len(texts)
        lengths = [len(each.indices) for each in texts]
        words = np.concatenate([np.asarray(each.indices, dtype=np.int64) for each in texts])
        order = np.argsort(words, kind="stable")
        self._passages = np.repeat(np.arange(self.size), lengths)[order]
        self._weights = np.concatenate([np.asarray(each.values, dtype=np.float64) for each in texts])[order]
        self._words, starts = np.unique(words[order], return_index=True)
        self._bounds = np.append(starts, len(words))

    def postings(self, word: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        at = int(np.searchsorted(self._words, word))
        if at == len(self._words) or self._words[at] != word:
            return self._passages[:0], self._weights[:0]
        part = slice(self._bounds[at], self._bounds[at + 1])
        return self._passages[part], self._weights[part]

    def best(self, question: list[int], shard_of: NDArray[np.int64]) -> list[int]:
        """The first ten passages when document frequencies are counted within each shard."""
        scores = np.zeros(self.size)
        held = np.bincount(shard_of).astype(np.float64)
        for word in question:
            passages, weights = self.postings(word)
            shards = shard_of[passages]
            found = np.bincount(shards, minlength=len(held)).astype(np.float64)
            idf = np.log(1 + (held - found + 0.5) / (found + 0.5))
            scores[passages] += weights * idf[shards]
        nearest = np.lexsort((np.arange(self.size), -scores))[:LIMIT] if self.size < 1_000 else _first(scores)
        return [int(each) for each in nearest if scores[each] > 0]


def _first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    some = np.argpartition(-scores, 4 * LIMIT)[: 4 * LIMIT]
    return some[np.lexsort((some, -scores[some]))][:LIMIT]


def overlap(index: Index, questions: list[list[int]], shard_of: NDArray[np.int64]) -> tuple[float, float]:
    """(share of the one shard's first ten that is kept, share of questions whose first hit is)."""
    shares, firsts = [], []
    for question in questions:
        one = index.best(question, np.zeros_like(shard_of))
        many = index.best(question, shard_of)
        if one:
            shares.append(len(set(one) & set(many)) / len(one))
            firsts.append(one[0] == (many or [-1])[0])
    return float(np.mean(shares)), float(np.mean(firsts))


if __name__ == "__main__":
    main()
