"""Questions whose answer is one page, taken from the page's own words: a heading, or a sentence.

Used with training pages to train and with test pages to test; the rules are the same and the draw is seeded.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from corpus import ENGLISH, Pages

WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class PageQuestion:
    """One question."""

    text: str
    page: int  # which page of the split answers it
    kind: str  # heading or sentence


def page_lines(pages: Pages, page: int) -> list[tuple[list[str], float]]:
    """The lines of a page in reading order: words and height as a share of the page."""
    training_question = slice(pages.starts[page], pages.starts[page + 1])
    numbers, boxes = pages.lines[training_question], pages.boxes[training_question]
    words, heights = pages.words[training_question], boxes[:, 3] - boxes[:, 1]
    ends = np.flatnonzero(np.diff(numbers)) + 1
    edges = [0, *ends.tolist(), len(words)]
    return [(words[start:end], float(np.median(heights[start:end]))) for start, end in itertools.pairwise(edges)]


def is_prose(words: list[str]) -> bool:
    """Whether most of the words are made of letters."""
    return sum(bool(re.fullmatch(r"[(\"“]?[A-Za-z][a-z'’-]*[.,;:!?)\"”]*", word)) for word in words) >= 0.75 * len(
        words
    )


def headings(pages: Pages, page: int) -> list[str]:
    """Lines set larger than the page's text, of 2 to 10 words, without a section's number."""
    lines = page_lines(pages, page)
    usual = float(np.median(np.repeat([height for _, height in lines], [len(words) for words, _ in lines])))
    found = []
    for words, height in lines:
        kept = [word for word in words if not re.fullmatch(r"[\dA-Z]{0,2}[\d.]*", word)]
        content = [word for word in kept if word.lower() not in ENGLISH]
        if height > 1.12 * usual and 2 <= len(kept) <= 10 and len(content) >= 2 and is_prose(kept):
            found.append(" ".join(kept))
    return found


def sentences(pages: Pages, page: int) -> list[str]:
    """Sentences of 7 to 20 words, set in one size, that begin with a capital and end with a full stop."""
    found: list[str] = []
    current: list[str] = []
    before = 0.0
    for words, height in page_lines(pages, page):
        if abs(height - before) > 0.12 * before:  # from a heading to the text, or to a footnote
            current = []
        before = height
        for word in words:
            current.append(word)
            if word.endswith((".", "?", "!")) or len(current) > 40:
                content = [each for each in current if each.lower().strip(".,") not in ENGLISH]
                if 7 <= len(current) <= 20 and current[0][0].isupper() and len(content) >= 5 and is_prose(current):
                    found.append(" ".join(current))
                current = []
    return found


def draw_questions(pages: Pages, count: int, seed: int) -> list[PageQuestion]:
    """At most one question from each of `count` pages, headings where there is one on every second page.

    A text that stands on several pages as a heading or sentence (a running title, a licence) asks for none of them.
    """
    random = np.random.default_rng(seed)
    by_kind = {
        "heading": [headings(pages, page) for page in range(len(pages))],
        "sentence": [sentences(pages, page) for page in range(len(pages))],
    }
    seen = Counter(text for found in by_kind.values() for texts in found for text in set(texts))
    drawn: list[PageQuestion] = []
    for page in random.permutation(len(pages)).tolist():
        order = ("heading", "sentence") if len(drawn) % 2 == 0 else ("sentence", "heading")
        for kind in order:
            texts = [text for text in by_kind[kind][page] if seen[text] == 1]
            if texts:
                drawn.append(PageQuestion(texts[int(random.integers(len(texts)))], page, kind))
                break
        if len(drawn) == count:
            break
    return drawn


def training_question(pages: Pages, page: int, random: np.random.Generator) -> str:
    """A question to train with: a heading, or 3 to 14 words in a row, some of them left out now and then."""
    if random.random() < 0.25:
        found = headings(pages, page)
        if found:
            return found[int(random.integers(len(found)))]
    words = pages.words[pages.starts[page] : pages.starts[page + 1]]
    for _ in range(20):
        length = int(random.integers(3, 15))
        start = int(random.integers(0, max(1, len(words) - length)))
        chosen = words[start : start + length]
        if random.random() < 0.3:
            chosen = [word for word in chosen if word.lower() not in ENGLISH]
        if len(chosen) >= 2 and is_prose(chosen):
            break
    return " ".join(chosen)
