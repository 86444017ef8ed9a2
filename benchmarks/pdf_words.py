"""The words that each PDF engine finds, of those that poppler's pdftotext finds in the same pages of PDF files.

    python benchmarks/pdf_words.py [FOLDER ...] [--pages 8] [--worst 5] [--json results.json]

Needs pdftotext (Debian: poppler-utils). Without a folder, packages of Debian with
PDF files are fetched with apt-get and unpacked.
Recall is of distinct words of three letters and more (pairs of characters in Chinese and Japanese), the mean over the
files; CPU time is that of a page as it is indexed, rendered and read.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.pdf.broken import is_broken
from vlm2vec_rag.media.pdf.pages import PdfFile
from vlm2vec_rag.media.settings import has_pymupdf

PACKAGES = (
    "debian-refcard installation-guide-amd64 texlive-humanities-doc texlive-lang-cyrillic texlive-lang-japanese "
    "texlive-lang-arabic texlive-lang-korean r-cran-surveillance r-cran-zoo r-cran-vcd python-reportlab-doc"
)
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"(?:(?![{CJK}])[^\W\d_]){{3,}}|[{CJK}]{{2,}}")
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def words(text: str) -> set[str]:
    """The distinct words of a text, as search would compare them."""
    found: set[str] = set()
    for word in WORD.findall(unicodedata.normalize("NFKC", text).translate(UNSEEN).casefold()):
        if re.match(f"[{CJK}]", word):
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found.add(word)
    return found


def poppler(path: Path, pages: int) -> list[str]:
    """What pdftotext says of each page; nothing where it cannot open the file."""
    command = ["pdftotext", "-q", "-l", str(pages), "-enc", "UTF-8", str(path), "-"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return []
    return [] if done.returncode else done.stdout.decode(errors="replace").split("\f")[:pages]


def ours(path: Path, engine: str, pages: int) -> tuple[list[str], float]:
    """What an engine says of each page, and the CPU seconds it took."""
    started, texts = time.process_time(), []
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    try:
        for page in range(1, min(pages, file.info().items) + 1):
            try:
                texts.append(file.page(page).text)
            except MediaError:
                texts.append("")
    finally:
        file.close()
    return texts, time.process_time() - started


def debian(packages: Sequence[str], folder: Path) -> list[Path]:
    """Fetch packages and unpack their PDF files."""
    subprocess.run(["apt-get", "download", "-q", *packages], cwd=folder, check=True, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / package.stem], check=True)
    for packed in folder.rglob("*.pdf.gz"):
        subprocess.run(["gunzip", "-f", packed], check=True)
    return [folder]


def files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*.pdf") if path.is_file() and not path.is_symlink())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--pages", type=int, default=8, help="read at most so many pages of a file")
    parser.add_argument("--worst", type=int, default=5, help="name so many files of lowest recall")
    parser.add_argument("--json", type=Path, help="write each file's figures there")
    options = parser.parse_args()
    engines = ["pypdfium2", *(["pymupdf"] if has_pymupdf() else [])]
    recall: dict[str, dict[str, float]] = {engine: {} for engine in engines}
    missing: dict[str, dict[str, list[str]]] = {engine: {} for engine in engines}
    seconds, pages, failed = dict.fromkeys(engines, 0.0), dict.fromkeys(engines, 0), dict.fromkeys(engines, 0)
    broken = 0
    with tempfile.TemporaryDirectory() as scratch:
        for path in files(options.folders or debian(PACKAGES.split(), Path(scratch))):
            said = poppler(path, options.pages)
            telling = [index for index, text in enumerate(said) if words(text) and not is_broken(text)]
            broken += sum(map(is_broken, said))
            for engine in engines if telling else ():
                try:
                    texts, spent = ours(path, engine, options.pages)
                except MediaError:
                    failed[engine] += 1
                    continue
                seconds[engine] += spent
                pages[engine] += len(texts)
                expected, found = (
                    {word for index in telling if index < len(each) for word in words(each[index])}
                    for each in (said, texts)
                )
                if expected:
                    recall[engine][str(path)] = len(expected & found) / len(expected)
                    missing[engine][str(path)] = sorted(expected - found)[:8]
    print(f"{broken} pages whose text layer says nothing, by poppler's account of it as well, are not counted")
    print(f"{'engine':12}{'files':>7}{'pages':>7}{'recall':>9}{'below 0.9':>11}{'not opened':>12}{'CPU ms/page':>13}")
    for engine in engines:
        each = recall[engine]
        print(
            f"{engine:12}{len(each):7}{pages[engine]:7}{mean(each.values()):9.4f}"
            f"{sum(value < 0.9 for value in each.values()):11}{failed[engine]:12}"
            f"{seconds[engine] / pages[engine] * 1000:13.1f}"
        )
        for path in sorted(each, key=lambda path: each[path])[: options.worst]:
            print(f"    {each[path]:.3f} {Path(path).name}: {' '.join(missing[engine][path])}")
    if options.json:
        options.json.write_text(json.dumps({"recall": recall, "missing": missing}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
