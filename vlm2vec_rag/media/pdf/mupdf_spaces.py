"""Spaces that MuPDF leaves out.

Many PDF files have no space characters: words are simply set apart. MuPDF then adds a space after letters up to U+06FF
only (`may_add_space` in its stext-device.c), so that Korean, Hindi or Vietnamese words run into each other. Here they
are found by the gaps between letters. Chinese and Japanese need none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]

# every script above U+06FF that sets words apart: Indic, Ethiopic, Vietnamese and polytonic Greek letters, Hangul
_SPACED_SCRIPTS = re.compile("[\u0700-\u1fff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
_LEAST_GAP = 0.2  # of the font size; measured: letters of a word are up to 0.18 apart, words 0.25 and more


def loses_spaces(text: str) -> bool:
    """Whether a text has letters after which MuPDF adds no space."""
    return _SPACED_SCRIPTS.search(text) is not None


def spaced_text(page: Any) -> str:
    """The text of a page, one line per line."""
    return "\n".join("".join(char for char, _ in line).rstrip() for line in _lines(page))


def spaced_words(page: Any) -> list[tuple[str, Box]]:
    """The words of a page, each with the box around its letters."""
    words: list[tuple[str, Box]] = []
    for line in _lines(page):
        run: list[tuple[str, Box]] = []
        for char, box in [*line, (" ", (0.0, 0.0, 0.0, 0.0))]:
            if not char.isspace():
                run.append((char, box))
            elif run:
                lefts, tops, rights, bottoms = zip(*(each for _, each in run), strict=True)
                words.append(("".join(each for each, _ in run), (min(lefts), min(tops), max(rights), max(bottoms))))
                run = []
    return words


def _lines(page: Any) -> Iterator[list[tuple[str, Box]]]:
    """The characters of each line with their boxes, a space put in where a gap is wide."""
    for block in page.get_text("rawdict")["blocks"]:
        for line in block.get("lines", ()):
            along = line["dir"]
            chars: list[tuple[str, Box]] = []
            for span in line["spans"]:
                for char in span["chars"]:
                    after = char["c"], char["bbox"]
                    if chars and _gap(chars[-1], after, along) > _LEAST_GAP * span["size"]:
                        chars.append((" ", char["bbox"]))
                    chars.append(after)
            yield chars


def _gap(before: tuple[str, Box], after: tuple[str, Box], along: tuple[float, float]) -> float:
    """How far two letters are apart, where MuPDF may have left out a space; else 0."""
    letters = before[0] + after[0]
    if any(letter.isspace() for letter in letters) or not loses_spaces(letters):
        return 0.0
    return _extent(after[1], along)[0] - _extent(before[1], along)[1]


def _extent(box: Box, along: tuple[float, float]) -> tuple[float, float]:
    """Where a box begins and ends along the direction of writing."""
    x0, y0, x1, y1 = box
    places = [x * along[0] + y * along[1] for x in (x0, x1) for y in (y0, y1)]
    return min(places), max(places)
