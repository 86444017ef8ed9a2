"""Text layers that say nothing: fonts without a map to Unicode, whose codes come out as `& 7 5 @!3 % &`.

Both engines give the code itself where a font does not tell its letter. What comes out has marks by which it is told
from text in any script: control characters (the space is often code 3), letters of several scripts within a word,
words of nothing but accented letters (a Cyrillic or Greek code page read as Western), punctuation without letters, or
letters moved by a fixed step along the alphabet. Found with 1,667 pages of public PDF files, of which 45 are told
broken; tables of numbers, listings of programs, formulas and charts of fonts are not among them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd\ufffe\uffff\ud800-\udfff]")
_PUNCTUATION = frozenset("!\"#$&';?@[\\]^`{|}~")  # those of which no number or formula is made
# scripts that do stand side by side in a word: TeXの, ΔT, 10㎡
_TOGETHER = frozenset(
    "LATIN GREEK CJK HIRAGANA KATAKANA HANGUL MODIFIER BOPOMOFO MATHEMATICAL FULLWIDTH HALFWIDTH IDEOGRAPHIC MICRO "
    "KATAKANA-HIRAGANA SUPERSCRIPT SUBSCRIPT FEMININE MASCULINE DOUBLE-STRUCK SCRIPT BLACK-LETTER ANGSTROM OHM".split()
)
# shares of letters in running English; other languages in Latin letters are near enough for what is asked here
_ENGLISH = dict(
    zip(
        "etaoinshrdlcumwfgypbvkjxqz",
        [
            *(0.127, 0.091, 0.082, 0.075, 0.070, 0.067, 0.063, 0.061, 0.060, 0.043, 0.040, 0.028, 0.028),
            *(0.024, 0.024, 0.022, 0.020, 0.020, 0.019, 0.015, 0.010, 0.008, 0.002, 0.002, 0.001, 0.001),
        ],
        strict=True,
    )
)
# TrueType fonts number their glyphs from the space on in the order of ASCII, from 3: "Hello" becomes "+HOOR"
_GLYPH_STEP = 29
_LETTERS = re.compile(r"[^\W\d_]+")


def is_broken(text: str) -> bool:
    """Whether the text of a page, as an engine gives it, does not say what the page shows."""
    counts = Counter(text)  # distinct characters are few: looked at once each, a page costs little
    chars = Counter({char: count for char, count in counts.items() if not char.isspace()})
    count = chars.total()
    if count < 2:
        return False
    controls = len(_CONTROLS.findall(text))
    if controls >= 0.25 * count or (controls >= 3 and controls >= 0.05 * count):
        return True
    others = sum(count for char, count in chars.items() if char.isalpha() and not char.isascii())
    return (
        _mixes_scripts(text, others)
        or _is_all_accents(text, others)
        or _is_punctuation(chars)
        or _is_shifted(chars, others)
    )


def _mixes_scripts(text: str, others: int) -> bool:
    """Whether neighbouring letters belong to scripts that never share a word; `others` are not ASCII."""
    runs = [run for run in _LETTERS.findall(text) if len(run) > 1]
    pairs = sum(map(len, runs)) - len(runs)
    if 2 * others < max(3, 0.25 * pairs):  # each is in two pairs at most
        return False
    mixed = 0
    for run in runs:
        if run.isascii():
            continue
        for one, other in pairwise(run):
            if one.isascii() and other.isascii():
                continue
            first, second = _script(one), _script(other)
            mixed += first != second and not (first in _TOGETHER and second in _TOGETHER)
    return mixed >= 3 and mixed >= 0.25 * pairs


def _is_all_accents(text: str, others: int) -> bool:
    """Whether the words are of accented Latin letters for the most part; no language has more than some 40%."""
    if others <= 0.6 * 20:
        return False
    words = [word for word in re.findall(r"[^\W\d_]{3,}", text) if all(char < "\u02b0" for char in word)]
    letters = "".join(words)
    return len(letters) >= 20 and sum(not char.isascii() for char in letters) > 0.6 * len(letters)


def _is_punctuation(chars: Counter[str]) -> bool:
    """Whether punctuation of several kinds stands where letters should."""
    count = chars.total()
    marks = Counter({char: chars[char] for char in chars if char in _PUNCTUATION})
    letters = sum(count for char, count in chars.items() if char.isalpha())
    # rows of one mark are rulers and comments
    return count >= 8 and len(marks) >= 3 and marks.total() >= 0.25 * count and letters <= 0.3 * count


def _is_shifted(chars: Counter[str], others: int) -> bool:
    """Whether the characters are letters moved by a fixed step."""
    printed = Counter({char: count for char, count in chars.items() if "!" <= char <= "~"})
    total, letters = printed.total(), sum(count for char, count in printed.items() if char.isalpha())
    if total < 8 or others > total / 2 or others > letters > 0:
        return False
    # digits, points and brackets become letters too, so signs that numbers have not must be among them
    signs = [char for char in printed if char in _PUNCTUATION]
    moved = sum(count for char, count in printed.items() if chr(ord(char) + _GLYPH_STEP).isalpha())
    if len(signs) >= 2 and letters < 0.45 * total and moved > 0.95 * total:
        return True
    counts: Counter[str] = Counter()
    for char, count in chars.items():
        if "a" <= char.lower() <= "z":
            counts[char.lower()] += count
    total = counts.total()
    if total < 100 or len(counts) < 18:
        return False
    shares = [counts[chr(ord("a") + index)] / total for index in range(26)]
    fits = [
        sum(shares[index] * _ENGLISH[chr(ord("a") + (index - step) % 26)] for index in range(26)) for step in range(26)
    ]
    return fits[0] < 0.042 and max(fits) > max(0.058, 1.62 * fits[0])


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "?").split(" ")[0]
