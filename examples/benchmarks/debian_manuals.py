"""A benchmark that anyone can run without a network: manuals that Debian packages, asked by their own outlines.

    python examples/benchmarks/debian_manuals.py fetch manuals                     once, on Debian or Ubuntu
    python examples/benchmarks/debian_manuals.py run manuals --model none          words only, no model needed
    python examples/benchmarks/debian_manuals.py run manuals                       VLM2Vec-V2.0, or another --model
    python examples/benchmarks/debian_manuals.py run manuals --split validation    while settings are being chosen

Every entry of a manual's outline that names one section, and no other of the split, is a question; the page the section
begins on has grade 2, the pages it goes on over grade 1. Splits are by package (debian_manuals.tsv), so what was
learned from one manual cannot be measured on another chapter of it.

Prints metrics with their intervals for each way of searching, and writes a report that shows the failures as images.
Read them knowing that a heading's words stand on its page: the word side (bm25) has an advantage by construction, and
is the bar to reach rather than a rival to beat. The manuals' licences are free; they are fetched, not shipped.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pypdfium2

import vlm2vec_rag as vr
from vlm2vec_rag.encoder import load_encoder
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.evaluation.collection_report import write_collection_report
from vlm2vec_rag.evaluation.own_collection import METRICS, CollectionResult, evaluate_collection
from vlm2vec_rag.evaluation.own_queries import OwnQuery, is_heading, read_queries, without_number, write_queries
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.media import MediaReader, MediaSettings

SPLITS = ("test", "validation", "train")
BEGINS, GOES_ON = 2.0, 1.0  # grades of the first page of a section, and of the others
FEWEST_CHARACTERS = 25
LONGEST_SECTION = 5  # pages; what comes later is about something more special than the heading


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("step", choices=("fetch", "run"))
    parser.add_argument("folder", type=Path, help="where the manuals, questions, collections and reports are kept")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--model", help="hub id or folder; none for words only")
    parser.add_argument("--adapter", help="an adapter to put on the model")
    parser.add_argument("--device", help="cuda, mps or cpu")
    parser.add_argument("--max-pixels", type=int, default=28 * 28 * 1280, help="budget of one page")
    arguments = parser.parse_args()
    if arguments.step == "fetch":
        fetch(arguments.folder)
    else:
        run(arguments)


def fetch(folder: Path) -> None:
    """Put the PDF files of every split into `folder/SPLIT/PACKAGE`, out of packages that are not installed."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not here; run this step on Debian or Ubuntu, and copy {folder} from there")
    wanted = list(manuals())
    with tempfile.TemporaryDirectory() as place:
        for package in sorted({package for _, package, _ in wanted}):
            command = ["apt-get", "download", "-q", package]
            download = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
            if download.returncode:
                sys.exit(f"{package} cannot be downloaded; run apt-get update first\n{download.stderr}")
            (archive,) = Path(place).glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, Path(place, package)], check=True)
            print(archive.name)
        for split, package, pdf in wanted:
            source = Path(place, package, pdf)
            if not source.is_file():
                print(f"{package} has no {pdf} in this release; left out", file=sys.stderr)
                continue
            data = source.read_bytes()
            target = folder / split / package / source.name.removesuffix(".gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.decompress(data) if source.suffix == ".gz" else data)


def manuals() -> Iterator[tuple[str, str, str]]:
    """Split, package, and path of the PDF inside the package."""
    with Path(__file__).with_suffix(".tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["split"], row["package"], row["pdf"]


def questions(folder: Path) -> list[OwnQuery]:
    """The outline entries below `folder` that name one section, with the pages of that section."""
    sections: dict[str, list[tuple[Path, int, int]]] = {}  # heading -> file, first and last page
    for path in sorted(folder.rglob("*.pdf")):
        for title, first, last in outline(path):
            heading = without_number(title)
            if is_heading(heading) and not re.match(r"(appendix|chapter|part|index|list of|table of)\b", heading, re.I):
                sections.setdefault(heading, []).append((path, first, last))
    blank = {path: blank_pages(path) for path in sorted(folder.rglob("*.pdf"))}
    return [
        OwnQuery(
            heading,
            {
                f"{place(path, folder)}#page={page}": grade
                for page, grade in grades(first, last)
                if page not in blank[path]
            },
        )
        for heading, found in sections.items()
        if len(found) == 1
        for path, first, last in found
        if first not in blank[path]
    ]


def outline(path: Path) -> list[tuple[str, int, int]]:
    """Each entry's title with the first and the last page (from 1) of its section."""
    with pypdfium2.PdfDocument(path) as document:
        n_pages = len(document)
        entries = [(bookmark.get_title(), bookmark.get_dest()) for bookmark in document.get_toc(max_depth=50)]
        # each once: the outline of one manual lists its later chapters again below an earlier one
        starts = dict.fromkeys(
            (title, dest.get_index() + 1) for title, dest in entries if dest and dest.get_index() is not None
        )
    ends = [start for _, start in list(starts)[1:]] + [n_pages]
    # a section goes on until the next one begins, which may be on the same page
    return [(title, first, max(first, end - 1)) for (title, first), end in zip(starts, ends, strict=True)]


def blank_pages(path: Path) -> set[int]:
    """Pages (from 1) with nothing but a page number on them: the backs of printed chapters."""
    with pypdfium2.PdfDocument(path) as document:
        return {n for n, page in enumerate(document, start=1) if page.get_textpage().count_chars() < FEWEST_CHARACTERS}


def grades(first: int, last: int) -> list[tuple[int, float]]:
    """The pages of a section with their grades."""
    pages = range(first, min(last, first + LONGEST_SECTION - 1) + 1)
    return [(page, BEGINS if page == first else GOES_ON) for page in pages]


def place(path: Path, folder: Path) -> str:
    """A manual's name in a question: enough of its path, and nothing of this machine."""
    return path.relative_to(folder.parent).as_posix()


def run(arguments: argparse.Namespace) -> None:
    """Index a split, ask its questions in every way, print and write what came of it."""
    files = arguments.folder / arguments.split
    if not files.is_dir():
        sys.exit(f"{files} is not there; run the fetch step first")
    asked = arguments.folder / f"{arguments.split}.jsonl"
    write_queries(asked, questions(files))
    encoder = None
    if arguments.model != "none":
        encoder = load_encoder(arguments.model, arguments.adapter, arguments.device, max_pixels=arguments.max_pixels)
    fingerprint = encoder.fingerprint if encoder else Fingerprint(model="words only")
    name = f"{arguments.split}-{fingerprint.digest[:8]}"
    settings = MediaSettings(max_pixels=arguments.max_pixels)
    started = time.perf_counter()
    with vr.open(arguments.folder / "collections", encoder or "none", name=name, media=settings) as library:
        report = library.index(files)
        for failure in report.failures:
            print(f"{failure.source}: {failure.reason}", file=sys.stderr)
        print(f"{fingerprint}: {library.collection.count()} pages indexed in {time.perf_counter() - started:.0f} s")
        result = evaluate_collection(library.retriever, read_queries(asked))
    show(result)
    results = result.save(arguments.folder / "results" / f"{name}.json")
    with MediaReader(settings) as reader:
        page = write_collection_report(results.with_suffix(".html"), result, reader)
    print(f"wrote {results} and {page}")


def show(result: CollectionResult) -> None:
    """Print means with their 95 % intervals, a row per metric."""
    print(f"{len(result.queries)} questions, 95 % bootstrap intervals")
    print(row("", result.modes))
    for metric in METRICS:
        print(row(metric, [str(result.interval(mode, metric)) for mode in result.modes]))


def row(name: str, cells: Sequence[str]) -> str:
    return f"{name:10}" + "".join(f"{cell:>22}" for cell in cells)


if __name__ == "__main__":
    try:
        main()
    except VlmRagError as error:
        sys.exit(f"error: {error}")
