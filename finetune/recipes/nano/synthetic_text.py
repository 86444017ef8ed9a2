"""Words that no training page has, for `synthetic_pages.py`: running text, single words and invented ones.

A tower that saw the training pages' own words alone read 79 % of the subwords it had met often and 40 % of those
in new words, the letters of both alike: it had learnt words by heart. One in seven words of another manual is new, and
those tell its pages apart.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

# package to its files of text; none is of a package whose PDFs validate or test
SOURCES = {
    "wordnet-base": "usr/share/wordnet/data.*",
    "perl-doc": "usr/share/perl/*/pod/*.pod",
    "linux-doc-6.1": "usr/share/doc/linux-doc-6.1/Documentation/**/*.rst.gz",
}
WORD = re.compile(r"[(\"']?[A-Za-z0-9][A-Za-z0-9'_./:+-]{0,22}[)\"'.,;:!?]{0,2}")
PLAIN = re.compile(r"[a-z]{3,18}")
PASSAGE = 60  # words of running text that stay together
KINDS = {"passages": 0.45, "words": 0.35, "invented": 0.2}  # shares of what is set
ENDS = 2  # letters that decide the next one of an invented word


@dataclass(frozen=True)
class TextSources:
    """Running text by source, all of its words, and which letters follow which."""

    running: list[list[str]]
    words: list[str]  # each once
    following: dict[str, tuple[list[str], npt.NDArray[np.float64]]]  # two letters to the next, with their shares


def read_texts(root: Path) -> TextSources:
    """Read the unpacked packages."""
    running = [
        [word for path in sorted((root / package).glob(pattern)) for word in _words(path)]
        for package, pattern in SOURCES.items()
    ]
    if not all(running):
        missing = [package for package, words in zip(SOURCES, running, strict=True) if not words]
        raise SystemExit(f"no text of {', '.join(missing)} under {root}; unpack the packages there")
    words = sorted({word for text in running for each in text for word in PLAIN.findall(each.lower())})
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        spelt = f"{'^' * ENDS}{word}$"
        for at in range(ENDS, len(spelt)):
            counts[spelt[at - ENDS : at]][spelt[at]] += 1
    following = {
        before: (list(after), np.array(list(after.values())) / after.total()) for before, after in counts.items()
    }
    return TextSources(running, words, following)


def _words(path: Path) -> list[str]:
    """What can be set of a file, markup left out."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    if path.stem == "data":  # WordNet: numbers and names | what they mean
        text = " ".join(line.partition("|")[2] for line in text.splitlines())
    text = re.sub(r"[A-Z]<+ ?([^<>]*?) ?>+", r"\1", text)  # Perl's C<code>
    return [word for word in text.replace("`", " ").replace("*", " ").split() if WORD.fullmatch(word)]


def invented_word(texts: TextSources, random: np.random.Generator) -> str:
    """A word that looks like one: each letter follows the two before it as often as in real words."""
    word = "^" * ENDS
    while len(word) < 16:
        letters, shares = texts.following[word[-ENDS:]]
        word += letters[int(random.choice(len(letters), p=shares))]
        if word.endswith("$"):
            break
    return word.strip("^$")


def endless_words(texts: TextSources, random: np.random.Generator) -> Iterator[str]:
    """Words to fill pages with, a few dozen of one kind in a row."""
    while True:
        kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
        if kind == "passages":
            text = texts.running[int(random.integers(len(texts.running)))]
            start = int(random.integers(max(1, len(text) - PASSAGE)))
            yield from text[start : start + PASSAGE]
            continue
        for _ in range(int(random.integers(10, 40))):
            word = (
                texts.words[int(random.integers(len(texts.words)))] if kind == "words" else invented_word(texts, random)
            )
            yield _dressed(word, random)


def _dressed(word: str, random: np.random.Generator) -> str:
    """A word as it may stand in a text: with a capital, in capitals, after a number, before a comma."""
    chance = random.random()
    if chance < 0.25:
        word = word.capitalize()
    elif chance < 0.29:
        word = word.upper()
    elif chance < 0.33:
        word = f"{word}{int(random.integers(1000))}"
    elif chance < 0.36:
        word = str(int(10 ** random.uniform(0, 5)))
    return word + str(random.choice(["", ",", ".", ";", ":"], p=[0.8, 0.1, 0.07, 0.01, 0.02]))
