"""The numbers in square brackets that an answer points at its evidence with: `[2]`, `[1, 3]`, `[1][2]`, `[2-4]`.

A model may write a number that no evidence has. Such a number is taken out, in whole texts and while an answer streams
alike, so that every number that is shown leads somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

# two digits at most: `[2024]` is a year, and no answer rests on a hundred pieces of evidence
_NUMBERS = r"[1-9]\d?(?:\s*[,;–-]\s*[1-9]\d?)*"
# from the first of its blanks: a search from each of them would take the square of their number
_CITATION = re.compile(rf"(?<![ \t])([ \t]*)\[\s*({_NUMBERS})\s*\]")
# the beginning of what may become a citation once more text has come
_OPEN_END = re.compile(r"(?<![ \t])[ \t]*(?:\[[\d\s,;–-]{0,40})?\Z")


def cited_numbers(text: str) -> list[int]:
    """The numbers that a text cites, in the order in which they come, each once."""
    return list(dict.fromkeys(number for match in _CITATION.finditer(text) for number in _expanded(match[2])))


def replace_citations(text: str, replacement: Callable[[int], str]) -> str:
    """The text with what `replacement` gives for each number in place of the brackets."""

    def write(match: re.Match[str]) -> str:
        words = [written for number in _expanded(match[2]) if (written := replacement(number))]
        return match[1] + "".join(words) if words else ""

    return _CITATION.sub(write, text)


def keep_known(text: str, known: int) -> str:
    """The text without citations of numbers above `known`, and without the brackets that are empty then."""

    def write(match: re.Match[str]) -> str:
        numbers = _expanded(match[2])
        kept = [number for number in numbers if number <= known]
        if kept == numbers:
            return match[0]
        return match[1] + "[" + ", ".join(map(str, kept)) + "]" if kept else ""

    return _CITATION.sub(write, text)


def stream_known(pieces: Iterable[str], known: int) -> Iterator[str]:
    """`keep_known` over pieces as they come; holds back only what may be the beginning of a citation."""
    held = ""
    for piece in pieces:
        held += piece
        end = _OPEN_END.search(held)
        whole = end.start() if end else len(held)
        if ready := keep_known(held[:whole], known):
            yield ready
        held = held[whole:]
    if held:
        yield keep_known(held, known)


def _expanded(numbers: str) -> list[int]:
    """`1, 3-5` as 1, 3, 4, 5. A range that runs backwards is its two ends."""
    found: list[int] = []
    for part in re.split(r"\s*[,;]\s*", numbers):
        ends = [int(end) for end in re.split(r"\s*[–-]\s*", part)]
        first, last = ends[0], ends[-1]
        found += range(first, last + 1) if len(ends) == 2 and first <= last else ends
    return list(dict.fromkeys(found))
