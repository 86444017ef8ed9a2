"""The part of a text that a person wants to see beside a question."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from vlm2vec_rag.hyphens import joined
from vlm2vec_rag.spellings import other_spellings, searched

SHORTEST = 3  # letters: shorter words are in every sentence
COMMON = frozenset(
    "the and for are was how who what where when which does did with from that this into you your".split()
)
# an ASCII word with nothing but marks around it, which has no other spelling
_PLAIN = re.compile(r"[!-/:-@\[-^`{-~]*([A-Za-z]+)[!-/:-@\[-^`{-~]*")
STEM = 5  # letters that decide whether two words are forms of one: chart, charts, charting


def excerpt(text: str, question: str = "", length: int = 160) -> str:
    """The stretch of a text that shares most with a question, on one line, cut at words.

    Args:
        text: Of any length; white space is folded.
        question: Without one, or where nothing of it is found, the beginning is shown.
        length: Characters at most, the marks of a cut (…) included.
    """
    line = " ".join(joined(text).split())
    if len(line) <= length:
        return line
    words = [match.span() for match in re.finditer(r"\S+", line)]
    wanted = stems(question)
    found = [wanted & stems_of_word(line[start:end]) for start, end in words] if wanted else [set()] * len(words)
    counts = Counter(stem for each in found for stem in each)
    # a word that stands everywhere says little about where to look
    weights = [sum(1 / counts[stem] for stem in each) if each else 0.0 for each in found]
    best, best_weight, last, weight = 0, 0.0, 0, 0.0
    for first in range(len(words)):
        while last < len(words) and words[last][1] - words[first][0] <= length - 2:
            weight += weights[last]
            last += 1
        if found[first] and weight > best_weight + 1e-9:  # sums that differ by rounding alone are equal
            best, best_weight = first, weight
        weight -= weights[first]
    # a few words before the first match, so that it can be read
    start = words[max(0, best - 3)][0] if best_weight else 0
    opening = "…" if start else ""
    rest = line[start:]
    if len(opening + rest) <= length:
        return opening + rest
    return opening + rest[: length - 1 - len(opening)].rsplit(" ", 1)[0] + "…"


def stems(text: str) -> set[str]:
    """The telling words of a text in small letters without accents, cut to what forms of one word share."""
    spelled = searched(text)
    words = re.findall(r"\w+", f"{_without_accents(spelled)} {' '.join(other_spellings(spelled, ''))}".lower())
    return {word[:STEM] for word in words if len(word) >= SHORTEST and word not in COMMON}


@lru_cache(maxsize=1 << 16)
def stems_of_word(word: str) -> frozenset[str]:
    """`stems` of a single word; the words of a language are few, so each is looked at once."""
    if plain := _PLAIN.fullmatch(word):
        small = plain[1].lower()
        return frozenset((small[:STEM],) if len(small) >= SHORTEST and small not in COMMON else ())
    return frozenset(stems(word))


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFD", text) if not "\u0300" <= char <= "\u036f")
