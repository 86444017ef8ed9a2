"""Accents that a PDF file draws as characters of their own, as LaTeX's older fonts do: "f¨ur" is für.

Letters and accents are two glyphs there, the accent first. A search would know neither the word nor half of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]  # left, bottom, right, top
Numbered: TypeAlias = tuple[int, str]  # a character and its number on the page

COMBINING = {
    "\u00a8": "\u0308",  # diaeresis
    "\u00b4": "\u0301",  # acute
    "`": "\u0300",  # grave
    "\u02c6": "\u0302",  # circumflex
    "\u02dc": "\u0303",  # tilde
    "\u02c7": "\u030c",  # caron
    "\u02d8": "\u0306",  # breve
    "\u02d9": "\u0307",  # dot above
    "\u02da": "\u030a",  # ring
    "\u02dd": "\u030b",  # double acute
}
_NEAR = 3  # characters between an accent and its letter
_FAR = 250  # the same for one between spaces: PDFium puts some at the end of their line, or of the next
_MOST_ALONE = 60  # of a page; a table of signs has more
# people type an acute as an apostrophe (l´amour, it´s), and a grave as a quotation mark
_UNTYPED = "".join(COMBINING.keys() - {"`", "\u00b4"})
_BEFORE = re.compile(f"[{_UNTYPED}][^\\W\\d_]|(?<=[^\\W\\d_]{{2}})\u00b4[aeiouyAEIOUY\u0131]")


def composed(text: str) -> str:
    """A text whose accents stand before their letters, with accented letters."""
    if not any(accent in text for accent in COMBINING):
        return text
    return _BEFORE.sub(_joined, text)


def compose(characters: Sequence[Numbered], box_of: Callable[[int], Box]) -> list[Numbered]:
    """Characters of a page with each accent on the letter below it, wherever it stands in their order.

    Args:
        characters: In the order of the page's text; those of number -1 have no place.
        box_of: Where the character of a number stands.
    """
    box_of = lru_cache(maxsize=None)(box_of)
    found: list[Numbered | None] = list(characters)
    far = 0
    for at, (number, char) in enumerate(characters):
        if char not in COMBINING or number < 0:
            continue
        is_alone = not any(each.isalpha() for _, each in characters[max(0, at - 1) : at + 2])
        far += is_alone
        for other in _around(at, _FAR if is_alone and far <= _MOST_ALONE else _NEAR, len(found)):
            letter = found[other]
            if letter is None or letter[0] < 0 or not letter[1].isalpha():
                continue
            whole = _whole(letter[1], char)
            if whole and _stands_on(box_of(number), box_of(letter[0])):
                found[other], found[at] = (letter[0], whole), None
                _close(found, at, box_of)
                break
    return [each for each in found if each is not None]


def _around(at: int, most: int, count: int) -> Iterator[int]:
    """Places beside one, the nearest first."""
    for step in range(1, most + 1):
        if at + step < count:
            yield at + step
        if at >= step:
            yield at - step


def _joined(match: re.Match[str]) -> str:
    return _whole(match[0][1], match[0][0]) or match[0]


@lru_cache(maxsize=1024)
def _whole(letter: str, accent: str) -> str:
    """A letter with its accent; empty where there is no such letter."""
    whole = unicodedata.normalize("NFC", ("i" if letter == "\u0131" else letter) + COMBINING[accent])
    return whole if len(whole) == 1 else ""


def _stands_on(accent: Box, letter: Box) -> bool:
    """Whether an accent is drawn above a letter, or over its upper end."""
    left, bottom, right, top = letter
    height = top - bottom
    middle = (accent[0] + accent[2]) / 2
    return left <= middle <= right and bottom + 0.4 * height < (accent[1] + accent[3]) / 2 < top + 0.6 * height


def _close(found: list[Numbered | None], at: int, box_of: Callable[[int], Box]) -> None:
    """Take the spaces away that an accent alone had around itself, where the letters beside them touch."""

    def beside(step: int) -> int:
        place = at + step
        while 0 <= place < len(found) and ((each := found[place]) is None or each[1] == " "):
            place += step
        return place

    before, after = beside(-1), beside(1)
    if before < 0 or after >= len(found):
        return
    (one, _), (other, char) = found[before] or (-1, ""), found[after] or (-1, "")
    if one < 0 or other < 0 or char.isspace():
        return
    left, right = box_of(one), box_of(other)
    if -0.2 < (right[0] - left[2]) / max(left[3] - left[1], 1e-6) < 0.2:
        found[before + 1 : after] = [None] * (after - before - 1)
