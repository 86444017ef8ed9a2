"""Pages of the training packages set again in other fonts: most manuals of the corpus are in one of a handful.

Every line stays where it was, in another family and with its size and spaces fitted to the line's width; some words and
lines are bold, italic or monospaced. `corpus.read_pdf` then reads words and boxes from the new PDFs as from any other.

    python typeset.py /tmp/nano/f runs/nano/corpus   # FONTS, unpacked with `dpkg -x NAME.deb /tmp/nano/f/NAME`

Cost: 12 minutes beside a training, 93 MB of downloads. Result: 7,954 pages in 143 families.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import defaultdict
from functools import cache
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pymupdf
from corpus import Pages, load, read_pdf, write

log = logging.getLogger("nano")

# families for text in Latin letters that Debian carries, without display faces; all of them free, see the model card
FONTS = tuple(
    f"fonts-{name}"
    for name in (
        "adf-accanthis adf-baskervald adf-berenis adf-gillius adf-libris adf-romande adf-switzera adf-universalis "
        "anonymous-pro averia-serif-gwf b612 cabin cantarell century-catalogue clear-sans comic-neue courier-prime "
        "crosextra-caladea crosextra-carlito dejavu-core dejavu-extra ebgaramond fanwood firacode freefont-ttf "
        "gfs-didot go goudybookletter hack-ttf inconsolata inter jetbrains-mono junicode karla lato liberation "
        "linuxlibertine manrope noto-core noto-mono oldstandard open-sans oxygen paratype prociono quattrocento "
        "roboto-slab roboto-unhinted sil-andika sil-charis sil-doulos sil-gentiumplus stix texgyre tuffy urw-base35 "
        "vollkorn yrsa-rasa"
    ).split()
)
DOCUMENTS, PAGES_EACH = 160, 50
STYLES = {
    "regular": r"|regular|roman|book|r",
    "bold": r"bold|b|demi",
    "italic": r"italic|i|it|oblique|slanted",
}
OTHERS = ["mono", "italic", "bold"]  # what some words and lines are set in
MONO = re.compile(r"mono|code|courier|typewriter|cursor|hack|inconsolata|anonymous", re.IGNORECASE)
LEFT_OUT = re.compile(
    r"^Noto(Sans|Serif)(?!Mono|Display)\w|^Noto(Kufi|Naskh|Nastaliq|Rashi|Traditional|Music)|STIX(Size|Var|Int|Non)|caps"
    r"|dunh|Symbol|Emoji|Math|Dingbats|Z003|D050|Style|Init|Unifont",
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-"
Family = dict[str, Path]


def families(root: Path) -> list[Family]:
    """Font files by style, of each family that has a regular one."""
    found: dict[str, Family] = defaultdict(dict)
    for path in sorted(root.rglob("*.[ot]tf")):
        stem = re.sub(r"(?<=[a-z0-9])(Bold|Italic|Oblique|Regular)", r"-\1", path.stem, count=1)
        name, _, style = stem.partition("-")
        if LEFT_OUT.search(path.stem):
            continue
        for key, pattern in STYLES.items():
            if re.fullmatch(pattern, style.replace("-", "").lower()):
                found[name].setdefault(key, path)
    return [found[name] for name in sorted(found) if "regular" in found[name] and is_latin(found[name]["regular"])]


@cache
def font(path: Path) -> pymupdf.Font:
    """An open font."""
    return pymupdf.Font(fontfile=str(path))


def is_latin(path: Path) -> bool:
    """Whether a font has what English text needs."""
    return all(font(path).has_glyph(ord(letter)) for letter in LETTERS)


def set_page(target: pymupdf.Page, pages: Pages, page: int, faces: Family, random: np.random.Generator) -> None:
    """Write the words of a page in other fonts.

    Args:
        target: An empty page of the same size.
        pages: The split that has the page.
        page: Which of its pages.
        faces: The fonts by style; "mono" among them.
        random: Decides where the style changes.
    """
    words = slice(pages.starts[page], pages.starts[page + 1])
    boxes = pages.boxes[words] * np.tile(pages.sizes[page], 2)
    lines, text = pages.lines[words], pages.words[words]
    heights = boxes[:, 3] - boxes[:, 1]
    usual = float(np.median(heights))
    body = font(faces["regular"])
    natural = np.array([body.text_length(word, 1.0) for word in text])
    # so that most words are as wide as they were
    share = float(np.median((boxes[:, 2] - boxes[:, 0])[natural > 0] / natural[natural > 0])) / usual
    writer = pymupdf.TextWriter(target.rect)
    run, style = 0, "regular"  # for how many more words the style stays
    for line in np.unique(lines):
        members = np.flatnonzero(lines == line)
        height = float(np.median(heights[members]))
        heading = height > 1.12 * usual and len(members) < 12
        if random.random() < 0.03:
            run, style = int(random.integers(8, 40)), str(random.choice(OTHERS))
        chosen = []
        for _ in members:
            if not run and random.random() < 0.04:
                run, style = int(random.integers(1, 4)), str(random.choice(OTHERS))
            chosen.append(font(faces["bold" if heading else style if run else "regular"]))
            run = max(0, run - 1)
        size = height * share
        widths = [each.text_length(text[member], size) for member, each in zip(members, chosen, strict=True)]
        left, right = float(boxes[members, 0].min()), float(boxes[members, 2].max())
        space = body.text_length(" ", size)
        if len(members) > 1:  # justified as far as that looks natural
            space = float(np.clip((right - left - sum(widths)) / (len(members) - 1), 0.7 * space, 1.8 * space))
        x, y = left, float(np.median(boxes[members, 3])) - 0.25 * height
        for member, each, width in zip(members, chosen, widths, strict=True):
            if boxes[member, 0] > x + 6 * space:  # words far apart are in columns
                x = float(boxes[member, 0])
            if x + width > target.rect.width:
                break
            if all(each.has_glyph(ord(letter)) for letter in text[member]):
                writer.append((x, y), text[member], font=each, fontsize=size)
            x += width + space
    writer.write_text(target)


@cache
def training_pages(corpus: Path) -> Pages:
    """Read once in each process: that takes seconds."""
    return load(corpus, "train")


def set_document(job: tuple[int, Path, Path, list[Family], list[Family]]) -> Path:
    """One PDF in fonts of its own, of pages from all over the training packages."""
    number, corpus, target, texts, monos = job
    random = np.random.default_rng([5, number])
    pages = training_pages(corpus)
    family, mono = texts[number % len(texts)], monos[int(random.integers(len(monos)))]
    regular = family["regular"]
    faces = {"bold": regular, "italic": regular} | family | {"mono": mono["regular"]}
    with pymupdf.open() as document:
        for page in random.permutation(len(pages))[:PAGES_EACH].tolist():
            width, height = pages.sizes[page].tolist()
            set_page(document.new_page(width=width, height=height), pages, page, faces, random)
        path = target / f"{number:03}-{regular.stem}.pdf"
        document.save(path, garbage=3, deflate=True)
    return path


def main(root: Path, corpus: Path) -> None:
    """Set the documents, then read them as `corpus.py` does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    target = corpus / "typeset"
    target.mkdir(parents=True, exist_ok=True)
    found = families(root)
    random = np.random.default_rng(4)
    monos = [each for each in found if MONO.search(each["regular"].stem)]
    texts = [found[place] for place in random.permutation(len(found))]
    log.info("%d families, %d of them monospaced: %s", len(found), len(monos), [each["regular"].stem for each in found])
    with Pool(2) as pool:
        paths = pool.map(
            set_document, [(number, corpus, target, texts, monos) for number in range(DOCUMENTS)], chunksize=4
        )
        pages = pool.map(read_pdf, paths, chunksize=4)
    write(corpus / "typeset.npz", [("typeset", path, read) for path, read in zip(paths, pages, strict=True)])
    log.info("%d pages", sum(map(len, pages)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
