"""Stage 0: pages like those of the training packages in other fonts and with other words: of either the corpus has few.

Lines stay where they were, in another font family, with other words (`synthetic_text.py`), and with size and spaces
fitted to the line's width; some words and lines are bold, italic or monospaced. `corpus.read_pdf` then reads words and
boxes from the new PDFs as from any other.

    python synthetic_pages.py /tmp/nano/f /tmp/nano/t runs/nano/corpus

The first two folders hold the packages of FONTS and of `synthetic_text.SOURCES`, unpacked with `dpkg -x`.
Cost: 12 minutes, 150 MB of downloads. Result: LOG.md.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pymupdf
from corpus import Pages, load, read_pdf, write
from synthetic_text import TextSources, endless_words, read_texts

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
DOCUMENTS, PAGES_EACH = 280, 50
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


def typeset_page(target: pymupdf.Page, pages: Pages, page: int, faces: Family, random: np.random.Generator) -> None:
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


def replace_words(pages: Pages, page: int, words: Iterator[str]) -> Pages:
    """One page with the same lines and other words, as many in a line as have room."""
    span = slice(pages.starts[page], pages.starts[page + 1])
    boxes, lines = pages.boxes[span], pages.lines[span]
    lengths = np.array([len(word) for word in pages.words[span]])
    found: list[tuple[str, int, tuple[float, ...]]] = []
    for line in np.unique(lines):
        members = np.flatnonzero(lines == line)
        left, top = boxes[members, :2].min(0).tolist()
        right, bottom = boxes[members, 2:].max(0).tolist()
        letters = int(lengths[members].sum()) + len(members) - 1  # spaces among them
        at = 0
        for word in words:
            if at + len(word) > letters:
                break
            first, last = (left + (right - left) * place / letters for place in (at, at + len(word)))
            found.append((word, int(line), (first, top, last, bottom)))
            at += len(word) + 1
    return Pages(
        paths=[pages.paths[page]],
        packages=[pages.packages[page]],
        numbers=pages.numbers[page : page + 1],
        sizes=pages.sizes[page : page + 1],
        starts=np.array([0, len(found)]),
        words=[word for word, _, _ in found],
        boxes=np.array([box for _, _, box in found], dtype=np.float32).reshape(-1, 4),
        lines=np.array([line for _, line, _ in found], dtype=np.int32),
    )


@cache
def sources(corpus: Path, texts: Path) -> tuple[Pages, TextSources]:
    """The training pages and the texts, read once in each process: that takes seconds."""
    return load(corpus, "train"), read_texts(texts)


def typeset_document(
    number: int, *, corpus: Path, texts: Path, target: Path, proportional: list[Family], monos: list[Family]
) -> Path:
    """One PDF in fonts of its own, of pages like those all over the training packages."""
    random = np.random.default_rng([5, number])
    pages, told = sources(corpus, texts)
    words = endless_words(told, random)
    family, mono = proportional[number % len(proportional)], monos[int(random.integers(len(monos)))]
    regular = family["regular"]
    faces = {"bold": regular, "italic": regular} | family | {"mono": mono["regular"]}
    with pymupdf.open() as document:
        for page in random.permutation(len(pages))[:PAGES_EACH].tolist():
            width, height = pages.sizes[page].tolist()
            filled = replace_words(pages, page, words)
            if filled.words:
                typeset_page(document.new_page(width=width, height=height), filled, 0, faces, random)
        path = target / f"{number:03}-{regular.stem}.pdf"
        document.save(path, garbage=3, deflate=True)
    return path


def main(root: Path, texts: Path, corpus: Path) -> None:
    """Set the documents, then read them as `corpus.py` does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    target = corpus / "typeset"
    target.mkdir(parents=True, exist_ok=True)
    found = families(root)
    random = np.random.default_rng(4)
    monos = [each for each in found if MONO.search(each["regular"].stem)]
    order = [found[place] for place in random.permutation(len(found))]
    log.info("%d families, %d of them monospaced: %s", len(found), len(monos), [each["regular"].stem for each in found])
    set_one = partial(typeset_document, corpus=corpus, texts=texts, target=target, proportional=order, monos=monos)
    with Pool(2) as pool:
        paths = pool.map(set_one, range(DOCUMENTS), chunksize=4)
        pages = pool.map(partial(read_pdf, min_english=0.0), paths, chunksize=4)
    write(corpus / "typeset.npz", [("typeset", path, read) for path, read in zip(paths, pages, strict=True)])
    log.info("%d pages", sum(map(len, pages)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
