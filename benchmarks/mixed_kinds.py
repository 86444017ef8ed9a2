"""Hybrid search where some items have no words: how scans and pages fare by each fusion, and what nothing answers.

    python benchmarks/mixed_kinds.py [--cache FOLDER] [--model nano]

The set: pages of Debian's manuals with their text layer; other pages of the same manuals as scans (rendered, turned by
up to a degree, soft and noisy, as JPEG in a PDF without a text layer); desktop photographs; plain texts. Questions are
drawn from the pages' own text: lines as they stand, and pairs of words that no other page has. Each ranking is asked
for once and every fusion joins the same rankings, so rows differ by the fusion alone. What was chosen was chosen on
the manuals of TRIED; the others judge it. Vectors are kept in the cache folder; the first run costs 3 to 4 CPU seconds
a page.

None of the packages was used to train or choose nano (finetune/recipes/nano/corpus.py).
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter

import vlm2vec_rag as vr
from vlm2vec_rag.collection.fusion import RRF_K, hybrid_fusion, ranks, reciprocal_rank_fusion
from vlm2vec_rag.collection.searching import FUSION_DEPTH

PACKAGES = (
    "avr-libc debian-policy graphviz-doc ngspice-doc why3-doc-pdf xfig-doc gnome-backgrounds mate-backgrounds "
    "vim-runtime wamerican"
)
MANUALS = {  # file name -> the name it has in the set
    "avr-libc-user-manual.pdf": "avr",
    "policy.pdf": "policy",
    "fhs-3.0.pdf": "fhs",
    "dotguide.pdf": "dot",
    "leftyguide.pdf": "lefty",
    "libguide.pdf": "lib",
    "manual.pdf": "ngspice",  # of ngspice-doc; why3's is named below by its package
    "xfig_ref_en.pdf": "xfig",
    "gvpr.1.pdf": "gvpr",
}
TRIED = ("avr", "fhs", "lefty", "ngspice", "gvpr")
PAGES, SCANS, PHOTOGRAPHS, TEXTS = 10, 6, 20, 10
SEED = 20261130
Ranking: TypeAlias = "list[tuple[str, float]]"
WORD = re.compile(r"[A-Za-z]{4,}")


@dataclass(frozen=True)
class Question:
    """What is asked, and the one place that answers it; None where nothing does."""

    text: str
    kind: str  # line or words of a page; unrelated or nonsense, which nothing answers
    right: str | None = None  # file name and fragment
    is_scan: bool = False
    is_tried: bool = False


@dataclass(frozen=True)
class Asked:
    """A question with its two rankings: scores by place, best first."""

    question: Question
    dense: dict[str, float]
    words: dict[str, float]


def unpack(cache: Path) -> Path:
    """The packages, fetched with apt-get and unpacked."""
    folder = cache / "unpacked"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["apt-get", "download", "-q", *PACKAGES.split()], cwd=scratch, check=True)
            for package in Path(scratch).glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", package, folder / package.name.partition("_")[0]], check=True)
    return folder


def manuals(unpacked: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    """Each manual under its name in the set."""
    for path in sorted(unpacked.rglob("*.pdf*")):
        plain = path.name.removesuffix(".gz")
        if path.is_symlink() or plain not in MANUALS:
            continue
        name = "why3" if "why3" in str(path) else MANUALS[plain]
        target = cache / "manuals" / f"{name}.pdf"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        yield name, target


def scan(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    """A page as a scanner gives it: turned a little, soft, uneven, noisy."""
    turned = image.convert("L").rotate(chance.uniform(-1, 1), fillcolor=255, resample=Image.Resampling.BICUBIC)
    grey = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float32)
    shade = np.linspace(0, chance.uniform(0, 20), grey.shape[1])[None, :]
    return Image.fromarray(np.clip(grey * 0.94 - shade + chance.normal(0, 6, grey.shape), 0, 255).astype(np.uint8))


def build(cache: Path) -> dict[str, str]:
    """Write the set into `cache/set`, and return the text of each page and scan by its place, drawn pages only."""
    known = cache / "texts.json"
    if known.is_file():
        return dict(json.loads(known.read_text(encoding="utf-8")))
    import pypdfium2 as pdfium

    unpacked, folder, texts = unpack(cache), cache / "set", {}
    folder.mkdir(exist_ok=True)
    for name, path in manuals(unpacked, cache):
        chance = np.random.default_rng([SEED, *name.encode()])
        document = pdfium.PdfDocument(path)
        said = {page: document[page].get_textpage().get_text_range() for page in range(len(document))}
        full = [page for page in said if len(WORD.findall(said[page])) >= 60]
        drawn = sorted(chance.permutation(full)[: PAGES + SCANS].tolist())
        scanned = sorted(chance.permutation(drawn)[: SCANS * len(drawn) // (PAGES + SCANS)].tolist())
        kept = [page for page in drawn if page not in scanned]
        part = pdfium.PdfDocument.new()
        part.import_pages(document, kept)
        part.save(folder / f"{name}.pdf")
        images = [scan(document[page].render(scale=150 / 72).to_pil(), chance) for page in scanned]
        number = f"{len(texts):04}"  # a name that says nothing
        images[0].save(folder / f"{number}.pdf", save_all=True, append_images=images[1:], resolution=150, quality=60)
        texts |= {f"{name}.pdf#page={at}": said[page] for at, page in enumerate(kept, start=1)}
        texts |= {f"{number}.pdf#page={at}#{name}": said[page] for at, page in enumerate(scanned, start=1)}
    chance = np.random.default_rng(SEED)
    pictures = sorted(each for each in unpacked.glob("*-backgrounds/**/*") if each.suffix in {".jpg", ".webp"})
    for at in chance.permutation(len(pictures))[:PHOTOGRAPHS]:
        with Image.open(pictures[at]) as image:
            image.convert("RGB").resize((1200, 800)).save(folder / f"IMG{at:04}.jpg", quality=85)
    notes = sorted(unpacked.glob("vim-runtime/**/doc/*.txt"))
    for at in chance.permutation(len(notes))[:TEXTS]:
        (folder / notes[at].name).write_bytes(notes[at].read_bytes()[:6000])
    known.write_text(json.dumps(texts), encoding="utf-8")
    return texts


def questions(texts: dict[str, str], cache: Path) -> list[Question]:
    """Questions that pages answer, and questions that nothing answers."""
    asked = []
    count = Counter(word for text in texts.values() for word in {each.lower() for each in WORD.findall(text)})
    for place, text in sorted(texts.items()):
        right, _, manual = place.partition("#")[2].partition("#")
        right = place.partition("#")[0] + "#" + right
        name = manual or place.partition(".pdf")[0]
        chance = np.random.default_rng([SEED, *place.encode()])
        about = {"right": right, "is_scan": bool(manual), "is_tried": name in TRIED}
        lines = [line for line in map(str.strip, text.splitlines()) if is_line(line, texts.values())]
        for at in chance.permutation(len(lines))[:2]:
            asked.append(Question(lines[at], "line", **about))
        rare = sorted({word.lower() for word in WORD.findall(text) if count[word.lower()] == 1 and len(word) > 4})
        if len(rare) > 1:
            asked.append(Question(" ".join(chance.permutation(rare)[:2]), "words", **about))
    chance = np.random.default_rng(SEED)
    listed = (cache / "unpacked/wamerican/usr/share/dict/american-english").read_text(encoding="utf-8").split()
    known = [word for word in listed if re.fullmatch("[a-z]{5,}", word) and word not in count]
    for each in range(120):
        drawn = chance.permutation(known)[: 1 + each % 6]
        asked.append(Question(" ".join(drawn), "unrelated"))
        letters = ["".join(chance.choice(list("abcdefghijklmnopqrstuvwxyz"), len(word))) for word in drawn]
        asked.append(Question(" ".join(letters), "nonsense"))
    return asked


def is_line(line: str, texts: Iterable[str]) -> bool:
    """Whether a line is prose of one page alone."""
    words = line.split()
    prose = sum(bool(re.fullmatch(r"[(\"“]?[A-Za-z][a-z'’-]*[.,;:!?)\"”]*", word)) for word in words)
    is_prose = 4 <= len(words) <= 14 and prose >= 0.75 * len(words) and not re.search(r"\. ?\.", line)
    return is_prose and sum(line in text for text in texts) == 1


def ask(library: vr.Library, asked: Sequence[Question]) -> list[Asked]:
    """Both rankings of each question, as far down as fusion looks."""
    encoder, collection = library.encoder, library.collection
    vectors = encoder.encode_queries([vr.Query(text=each.text) for each in asked])
    found = []
    for question, vector in zip(asked, vectors, strict=True):
        dense, words = (
            {Path(each.payload.place).name: each.score for each in side}
            for side in (
                collection.search(vector, mode="dense", limit=FUSION_DEPTH),
                collection.search(text=question.text, mode="bm25", limit=FUSION_DEPTH),
            )
        )
        found.append(Asked(question, dense, words))
    return found


def standing_out(dense: Mapping[str, float], deviations: float) -> set[str]:
    """The places whose scores are so many standard deviations above the mean of the question's first fifty."""
    scores = np.array(list(dense.values()))
    return {place for place, score in dense.items() if score - scores.mean() >= deviations * scores.std()}


def figures(asked: Sequence[Asked], fuse: Callable[[Asked], Ranking]) -> str:
    """Hit@1, Hit@5 and mean reciprocal rank."""
    ranks = [
        next((at for at, (place, _) in enumerate(fuse(each), start=1) if place == each.question.right), 10**9)
        for each in asked
    ]
    return (
        f"{mean(at == 1 for at in ranks):6.2f}{mean(at <= 5 for at in ranks):6.2f}{mean(1 / at for at in ranks):7.3f}"
    )


def print_fusions(asked: Sequence[Asked], wordless: set[str], weight: float) -> None:
    """A row for each fusion, on the manuals that it was chosen on and on the others."""

    def plain(each: Asked) -> Ranking:
        return reciprocal_rank_fusion([each.dense, each.words], weights=[weight, 1.0])

    def by_turns(each: Asked, deviations: float | None = None) -> Ranking:
        seen = wordless if deviations is None else wordless & standing_out(each.dense, deviations)
        return hybrid_fusion(each.dense, each.words, dense_weight=weight, wordless=seen)

    def by_share(each: Asked, share: float) -> Ranking:
        scores = dict(plain(each))
        for place, rank in ranks(each.dense).items() if each.words else ():
            if place in wordless:
                scores[place] = max(scores[place], share * (weight + 1) / (RRF_K + rank))
        return sorted(scores.items(), key=lambda scored: -scored[1])

    rows: dict[str, Callable[[Asked], Ranking]] = {"one sum": plain, "by turns (the library's)": by_turns}
    rows |= {f"by turns if {z:g} sd out": partial(by_turns, deviations=z) for z in (1.5, 2.5, 3.5)}
    rows |= {f"{share:g} of both weights": partial(by_share, share=share) for share in (0.5, 0.8, 0.9, 0.98, 1.0, 1.2)}
    groups = {
        f"{'scans' if is_scan else 'pages'}, {kind}": (is_scan, kind)
        for is_scan in (True, False)
        for kind in ("line", "words")
    }
    for is_tried in (True, False):
        chosen = {
            name: [a for a in asked if (a.question.is_tried, a.question.is_scan, a.question.kind) == (is_tried, *key)]
            for name, key in groups.items()
        }
        print(f"\ndense weight {weight:g}, {'manuals it was tried on' if is_tried else 'the other manuals'}")
        print(f"{'Hit@1, Hit@5, MRR':26}" + "".join(f"{f'{name} ({len(of)})':>22}" for name, of in chosen.items()))
        for name, fuse in rows.items():
            print(f"{name:26}" + "".join(f"   {figures(of, fuse)}" for of in chosen.values()))


def print_nothing(asked: Sequence[Asked], wordless: set[str]) -> None:
    """Where no word of a question occurs: does sight's best tell questions with an answer from those without?"""
    silent = [each for each in asked if not each.words]
    found = {
        kind: [each for each in silent if each.question.is_scan and rank_of(each, each.question.right) in ranks]
        for kind, ranks in {"a scan, in the first 5": range(1, 6), "a scan, further down": range(6, 10**6)}.items()
    }
    pages = [each for each in silent if each.question.right and not each.question.is_scan]
    nothing = [each for each in silent if each.question.right is None]
    print(
        f"\n{len(nothing)} of {sum(a.question.right is None for a in asked)} questions without an answer have no word"
    )
    print("that occurs; of those with one " + ", ".join(f"{len(of)} ({name})" for name, of in found.items()))
    near = sum(rank_of(each, each.question.right) <= 5 for each in pages)
    print(f"pages with words that sight alone had in its first 5: {near} of {len(pages)}")
    statistics: dict[str, Callable[[np.ndarray], float]] = {
        "cosine of the best": lambda s: s[0],
        "deviations of the best": lambda s: (s[0] - s.mean()) / s.std(),
        "best less the tenth": lambda s: s[0] - s[9],
    }
    for name, of in statistics.items():
        right, wrong = (
            np.array([of(np.array(list(each.dense.values()))) for each in group])
            for group in (found["a scan, in the first 5"], nothing)
        )
        auc = (right[:, None] > wrong[None, :]).mean()
        cut = np.quantile(right, 0.05)
        print(
            f"{name:24} AUC {auc:.2f}; a cut that loses 5 % of the found keeps {(wrong >= cut).mean():.0%} of the rest"
        )


def rank_of(asked: Asked, place: str | None) -> int:
    return next((at for at, each in enumerate(asked.dense, start=1) if each == place), 10**6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "vlm2vec-mixed-kinds")
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    texts = build(options.cache)
    place = options.cache / f"{options.model.replace('/', '-')}.vlm2vec"
    with vr.open(place, options.model, thumbnails=False, media=vr.MediaSettings(ocr="off")) as library:
        library.index(options.cache / "set", progress=True)
        points = [point.payload for point in library.collection.scroll()]
        asked = ask(library, questions(texts, options.cache))
    wordless = {Path(each.place).name for each in points if not each.text}
    kinds = Counter(
        "text" if p.kind == "text" else "photograph" if p.kind == "image" else "scan" if not p.text else "page"
        for p in points
    )
    print(", ".join(f"{count} {kind}s" for kind, count in kinds.items()))
    for weight in sorted({library.fingerprint.dense_weight, 1.0}):
        print_fusions(asked, wordless, weight)
    print_nothing(asked, wordless)


if __name__ == "__main__":
    main()
