"""Which Debian packages nano reads, how they are split, and their pages' words with boxes.

The split is by whole package and was fixed before the first training step: no stage (tokenizer, word weights, reading,
matching) sees a page of TEST; VALIDATION picks settings. Cost: 2 minutes and 450 MB of downloads.

    python corpus.py /tmp/nano/x runs/nano/corpus      # packages unpacked with `dpkg -x NAME.deb /tmp/nano/x/NAME`
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt

TEST = (
    "debian-faq",
    "debian-reference-en",
    "installation-guide-amd64",
    "maint-guide",
    "python-reportlab-doc",
    "r-cran-strucchange",
    "r-cran-surveillance",
    "r-cran-vcd",
    "r-cran-zoo",
)
VALIDATION = ("asymptote-doc", "docbook-xsl-doc-pdf", "gri-pdf-doc", "mrbayes-doc")
TRAIN = (
    "auto-multiple-choice-doc-pdf",
    "erlang-doc",
    "freefem-doc",
    "gmsh-doc",
    "gnuplot-doc",
    "lilypond-doc-pdf",
    "octave-doc",
    "pari-doc",
    "r-doc-pdf",
    "texlive-humanities-doc",
    "texlive-latex-recommended-doc",
    "texlive-images-doc",
    "texlive-science-doc",
)
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}

PAGES_PER_PDF = 120  # a 3,000-page reference must not outweigh a hundred articles
MIN_WORDS = 25
# shares of all words: pages in other languages or of bare numbers ask questions that nobody would
ENGLISH = frozenset("the of and to in is a for be this are that with as on by or it if an can from not".split())
MIN_ENGLISH = 0.12


@dataclass(frozen=True)
class Pages:
    """Pages of one split: N pages, W words in all, in reading order."""

    paths: list[str]  # N, the PDF of each page
    packages: list[str]  # N
    numbers: npt.NDArray[np.int32]  # (N,), from 0
    sizes: npt.NDArray[np.float32]  # (N, 2) width and height in points
    starts: npt.NDArray[np.int64]  # (N + 1,) first word of each page
    words: list[str]  # W
    boxes: npt.NDArray[np.float32]  # (W, 4) left, top, right, bottom as shares of the page
    lines: npt.NDArray[np.int32]  # (W,) which line of its page a word stands in

    def __len__(self) -> int:
        return len(self.paths)

    def text(self, page: int) -> str:
        """The words of a page, joined with spaces."""
        return " ".join(self.words[self.starts[page] : self.starts[page + 1]])

    @cached_property
    def texts(self) -> list[str]:
        """All pages' words."""
        return [self.text(page) for page in range(len(self))]


def load(folder: Path, split: str) -> Pages:
    """Read what `main` wrote."""
    with np.load(folder / f"{split}.npz") as file:
        blob = {key: file[key] for key in file}
    strings = {key: bytes(blob[key]).decode().split("\n") for key in ("paths", "packages", "words")}
    return Pages(
        **strings,
        numbers=blob["numbers"],
        sizes=blob["sizes"],
        starts=blob["starts"],
        boxes=blob["boxes"],
        lines=blob["lines"],
    )


def pdfs(root: Path, package: str) -> list[Path]:
    """The PDFs of one package, English ones only where it brings translations, each content once."""
    found: dict[str, Path] = {}
    for path in sorted((root / package).rglob("*.pdf")):
        # a translation says so in its name or folder: guide.de.pdf, manual-fr.pdf, /ja/
        if re.search(
            r"[-_./](?!en)(ca|cs|da|de|el|es|fi|fr|hu|it|ja|ko|nl|no|pl|pt|pt_BR|ro|ru|sv|vi|zh|zh_CN|zh_TW)[./]",
            str(path.relative_to(root / package)),
        ):
            continue
        if path.is_file() and not path.is_symlink():
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    return list(found.values())


PagesRead = list[tuple[int, tuple[float, float], list[str], npt.NDArray[np.float32], list[int]]]


def read_pdf(path: Path, min_english: float = MIN_ENGLISH) -> PagesRead:
    """The usable pages of a PDF: number, size, words, boxes and lines."""
    import pymupdf

    pymupdf.TOOLS.mupdf_display_errors(False)
    kept = []
    try:
        with pymupdf.open(path) as document:
            numbers = np.random.default_rng(0).permutation(len(document))[: 2 * PAGES_PER_PDF]
            for number in sorted(numbers.tolist()):
                page = document[number]
                rows = page.get_text("words", clip=page.rect)
                words = [re.sub(r"\s", "", row[4]) or "?" for row in rows]
                english = sum(word.lower().strip(".,:;()") in ENGLISH for word in words)
                if len(words) < MIN_WORDS or english < min_english * len(words) or page.rotation:
                    continue
                width, height = page.rect.width, page.rect.height
                boxes = np.array([row[:4] for row in rows], dtype=np.float32) - np.array(
                    [page.rect.x0, page.rect.y0] * 2, dtype=np.float32
                )
                boxes /= np.array([width, height] * 2, dtype=np.float32)
                line_of: dict[tuple[int, int], int] = {}
                lines = [line_of.setdefault((row[5], row[6]), len(line_of)) for row in rows]
                kept.append((number, (width, height), words, boxes, lines))
    except (RuntimeError, ValueError):  # a broken file is left out
        return []
    chosen = np.random.default_rng(1).permutation(len(kept))[:PAGES_PER_PDF]
    return [kept[each] for each in sorted(chosen.tolist())]


def write(target: Path, found: list[tuple[str, Path, PagesRead]]) -> None:
    """Write what `load` reads: packages, their PDFs, and what `read_pdf` found in them."""
    rows = [(package, path, *page) for package, path, read in found for page in read]
    np.savez(
        target,
        paths=np.frombuffer("\n".join(str(row[1]) for row in rows).encode(), dtype=np.uint8),
        packages=np.frombuffer("\n".join(row[0] for row in rows).encode(), dtype=np.uint8),
        words=np.frombuffer("\n".join(word for row in rows for word in row[4]).encode(), dtype=np.uint8),
        numbers=np.array([row[2] for row in rows], dtype=np.int32),
        sizes=np.array([row[3] for row in rows], dtype=np.float32),
        starts=np.cumsum([0, *(len(row[4]) for row in rows)]),
        boxes=np.concatenate([row[5] for row in rows]),
        lines=np.concatenate([np.array(row[6], dtype=np.int32) for row in rows]),
    )


def concatenate(splits: list[Pages]) -> Pages:
    """The pages of several splits as one."""
    words = np.cumsum([0, *(len(each.words) for each in splits)])
    return Pages(
        paths=[path for each in splits for path in each.paths],
        packages=[package for each in splits for package in each.packages],
        numbers=np.concatenate([each.numbers for each in splits]),
        sizes=np.concatenate([each.sizes for each in splits]),
        starts=np.concatenate([[0], *(each.starts[1:] + first for each, first in zip(splits, words, strict=False))]),
        words=[word for each in splits for word in each.words],
        boxes=np.concatenate([each.boxes for each in splits]),
        lines=np.concatenate([each.lines for each in splits]),
    )


def main(root: Path, target: Path) -> None:
    """Write one file for each split."""
    target.mkdir(parents=True, exist_ok=True)
    for split, packages in SPLITS.items():
        jobs = [(package, path) for package in packages for path in pdfs(root, package)]
        with Pool(2) as pool:
            pages = pool.map(read_pdf, [path for _, path in jobs], chunksize=4)
        found = [(package, path, read) for (package, path), read in zip(jobs, pages, strict=True)]
        write(target / f"{split}.npz", found)
        rows = [package for package, _, read in found for _ in read]
        print(split, len(jobs), "PDFs", len(rows), "pages")  # noqa: T201
        for package in packages:
            print("  ", package, rows.count(package))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
