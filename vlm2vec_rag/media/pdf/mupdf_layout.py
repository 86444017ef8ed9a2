"""Lines and words out of MuPDF's single characters, for the pages where MuPDF's own are wrong.

MuPDF's text is quick and right for most pages. `needs_layout` tells the others by the text itself: scripts after whose
letters it adds no space (`may_add_space` in its stext-device.c stops at U+06FF, so that Arabic, Hindi or Korean words
run into each other), numbers of Arabic digits turned round with the line, vertical writing (one character a line),
letter-spaced words ("S P A C E D"), and lines drawn several times to look bold or to cast a shadow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]

_LETTERS = "\u0600-\u06ff\ufb1d-\ufdff\ufe70-\ufeff"  # Arabic and Hebrew, as letters and as shapes of letters
# every script above U+06FF that sets words apart: Indic, Ethiopic, Vietnamese and polytonic Greek letters, Hangul
_SPACED_SCRIPTS = re.compile("[\u0700-\u1fff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
_JOINED_SCRIPTS = re.compile(f"[{_LETTERS}]")
_CJK = "\u3000-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef"
_STACKED = re.compile(f"(?m)(?:^[{_CJK}]\n){{3,}}")
_LETTER_SPACED = re.compile(r"(?<!\S)(?:[^\W\d_] ){3,}[^\W\d_](?!\S)")
_DIGITS = re.compile("[\u0660-\u0669\u06f0-\u06f9]+")

# of the font size; measured: letters of a word are up to 0.18 apart, words 0.25 and more
_LEAST_GAP = 0.2
_LEAST_GAP_JOINED = 0.12  # Arabic letters hold on to each other
_SAME_PLACE = 0.25  # of the font size: copies of a line that make it bold or cast its shadow are nearer than that
_AGAIN = re.compile(r"([^\W\d_]{2,})\1\b")  # "Boldld"
_SHORTEST_COPY = 3  # characters: shorter lines are alike by chance
_STACK_GAP = 0.3  # of the font size: what follows below in a column of vertical writing is nearer than that


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character on a page, its box in points from the top left of the unturned page."""

    char: str
    box: Box
    size: float  # of its font, in points
    is_added: bool = False  # a space that MuPDF made of a gap


@dataclass(frozen=True, slots=True)
class Line:
    glyphs: list[Glyph]
    along: tuple[float, float]  # the direction of writing
    is_vertical: bool

    @property
    def text(self) -> str:
        return "".join(glyph.char for glyph in self.glyphs)


def needs_layout(text: str) -> bool:
    """Whether a text of MuPDF shows the signs of a page that it reads wrongly."""
    if _SPACED_SCRIPTS.search(text) or _JOINED_SCRIPTS.search(text):
        return True
    if _STACKED.search(text) or _LETTER_SPACED.search(text):
        return True
    lines = [line for line in text.split("\n") if len(line) >= _SHORTEST_COPY and not line.isdigit()]
    # a copy follows its line, or all lines have one; others are alike because they say the same
    return len(set(lines)) < 0.75 * len(lines) or any(map(str.__eq__, lines, lines[1:]))


def seems_drawn_twice(text: str) -> bool:
    """Whether some of a text may stand there twice, drawn twice to look bold: a part of a line comes again."""
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    return bool(_AGAIN.search(text)) or any(
        (one.endswith(other) and not other.isdigit() and (len(other) > 1 or not other.isascii()))
        or (one[-1] == other[0] and not one[-1].isascii())
        for one, other in pairwise(lines)
    )


def lines_of(page: Any, flags: int, *, is_hidden: Callable[[Glyph], bool] | None = None) -> list[Line]:
    """The lines of a page as people read them.

    Args:
        page: Of PyMuPDF.
        flags: How PyMuPDF is to take text.
        is_hidden: Which characters to leave out.
    """
    lines = list(_raw_lines(page, flags))
    if is_hidden is not None:
        lines = [replace(line, glyphs=[glyph for glyph in line.glyphs if not is_hidden(glyph)]) for line in lines]
    lines = _stacked(_without_copies([line for line in lines if line.glyphs]))
    return [replace(line, glyphs=_spaced(_unspaced(_in_order(line)), line.along)) for line in lines]


def words_of(lines: Sequence[Line]) -> Iterator[tuple[str, Box]]:
    """The words of lines, each with the box around its letters."""
    for line in lines:
        run: list[Glyph] = []
        for glyph in [*line.glyphs, None]:
            if glyph is not None and not glyph.char.isspace():
                run.append(glyph)
            elif run:
                lefts, tops, rights, bottoms = zip(*(each.box for each in run), strict=True)
                box = min(lefts), min(tops), max(rights), max(bottoms)
                yield "".join(each.char for each in run), box
                run = []


def _raw_lines(page: Any, flags: int) -> Iterator[Line]:
    for block in page.get_text("rawdict", flags=flags)["blocks"]:
        for line in block.get("lines", ()):
            glyphs = [
                Glyph(char["c"], char["bbox"], span["size"], bool(char.get("synthetic")))
                for span in line["spans"]
                for char in span["chars"]
            ]
            yield Line(glyphs, line["dir"], bool(line["wmode"]))


def _without_copies(lines: Sequence[Line]) -> Iterator[Line]:
    """Each line once where copies of it are drawn on top of each other."""
    seen: dict[str, list[Box]] = {}
    for line in lines:
        text, box = line.text.strip(), line.glyphs[0].box
        before = seen.setdefault(text, [])
        near = _SAME_PLACE * line.glyphs[0].size
        if not any(abs(box[0] - other[0]) <= near and abs(box[1] - other[1]) <= near for other in before):
            before.append(box)
            yield line


def _stacked(lines: Iterator[Line]) -> list[Line]:
    """Single characters that follow each other downwards become one line."""
    joined: list[Line] = []
    for line in lines:
        if joined and _is_below(joined[-1], line):
            joined[-1].glyphs.extend(line.glyphs)
        else:
            joined.append(replace(line, along=(0.0, 1.0)) if line.is_vertical else line)
    return joined


def _is_below(before: Line, line: Line) -> bool:
    """Whether a line carries on a column of vertical writing."""
    one, other = before.glyphs[-1], line.glyphs[0]
    if before.is_vertical != line.is_vertical or not re.fullmatch(f"[{_CJK}]", other.char):
        return False
    if not line.is_vertical and (len(line.glyphs) > 1 or not re.fullmatch(f"[{_CJK}]", one.char)):
        return False
    beside = abs((one.box[0] + one.box[2]) - (other.box[0] + other.box[2])) / 2
    return beside <= 0.3 * one.size and -0.5 * one.size <= other.box[1] - one.box[3] <= _STACK_GAP * one.size


def _in_order(line: Line) -> list[Glyph]:
    """Numbers of Arabic digits from left to right: MuPDF turns them round with the line."""
    glyphs = list(line.glyphs)
    for found in _DIGITS.finditer(line.text):
        run = slice(found.start(), found.end())
        glyphs[run] = sorted(glyphs[run], key=lambda glyph: _extent(glyph.box, line.along))
    return glyphs


def _unspaced(glyphs: list[Glyph]) -> list[Glyph]:
    """Letter-spaced words put together: "S P A C E D" with spaces that MuPDF made of the gaps."""
    text = "".join(glyph.char for glyph in glyphs)
    for found in reversed(list(_LETTER_SPACED.finditer(text))):
        run = glyphs[found.start() : found.end()]
        letters, spaces = run[::2], run[1::2]
        if sum(space.is_added for space in spaces) <= len(spaces) / 2:
            continue  # typed with spaces: they are meant, or cannot be told from those between words
        gaps = [_distance(one.box, other.box) for one, other in pairwise(letters)]
        usual = median(gaps)
        put_together = [letters[0]]
        for gap, space, letter in zip(gaps, spaces, letters[1:], strict=True):
            put_together += [letter] if space.is_added and gap <= 1.6 * usual else [space, letter]
        glyphs[found.start() : found.end()] = put_together
    return glyphs


def _spaced(glyphs: Sequence[Glyph], along: tuple[float, float]) -> list[Glyph]:
    """A space put in where a gap is wide and MuPDF may have left it out."""
    spaced: list[Glyph] = []
    for glyph in glyphs:
        if spaced and _lacks_space(spaced[-1], glyph, along):
            spaced.append(Glyph(" ", glyph.box, glyph.size, is_added=True))
        spaced.append(glyph)
    return spaced


def _lacks_space(before: Glyph, after: Glyph, along: tuple[float, float]) -> bool:
    letters = before.char + after.char
    if before.char.isspace() or after.char.isspace():
        return False
    if _JOINED_SCRIPTS.search(letters):
        least = _LEAST_GAP_JOINED
    elif _SPACED_SCRIPTS.search(letters):
        least = _LEAST_GAP
    else:
        return False
    one, other = _extent(before.box, along), _extent(after.box, along)
    return max(other[0] - one[1], one[0] - other[1]) > least * after.size  # to the right or, in Arabic, to the left


def _extent(box: Box, along: tuple[float, float]) -> tuple[float, float]:
    """Where a box begins and ends along the direction of writing."""
    x0, y0, x1, y1 = box
    places = [x * along[0] + y * along[1] for x in (x0, x1) for y in (y0, y1)]
    return min(places), max(places)


def _distance(one: Box, other: Box) -> float:
    """How far the middles of two boxes are apart."""
    across, down = (one[0] + one[2] - other[0] - other[2]) / 2, (one[1] + one[3] - other[1] - other[3]) / 2
    return float((across * across + down * down) ** 0.5)
