"""Where the words of a question, or of a quotation, stand: in a text, and on the image of a page.

The image itself stays as it is: marks are drawn over it by the browser, so one image serves every question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from vlm2vec_rag.excerpts import stems, stems_of_word
from vlm2vec_rag.media import Word

LEAST_RUN = 3  # words of a quotation that must follow each other on the page
MARGIN = 0.002  # of the page, around a word


def marked(text: str, question: str) -> list[tuple[str, bool]]:
    """A text in pieces, each with whether it is a word of the question, in any of its forms.

    Joined, the pieces are the text again: whoever shows them escapes them as they are.
    """
    wanted = stems(question)
    if not wanted:
        return [(text, False)] if text else []
    pieces: list[tuple[str, bool]] = []
    for piece in re.split(r"(\w+)", text):
        is_mark = not wanted.isdisjoint(stems_of_word(piece))
        if pieces and pieces[-1][1] == is_mark:
            pieces[-1] = (pieces[-1][0] + piece, is_mark)
        elif piece:
            pieces.append((piece, is_mark))
    return pieces


def matching(words: Sequence[Word], question: str) -> list[Word]:
    """The words of a page that the question has as well, in any of their forms."""
    wanted = stems(question)
    return [word for word in words if wanted & stems_of_word(word.whole or word.text)]


def quoted(words: Sequence[Word], quotation: str) -> list[Word]:
    """The words of a page that stand in a quotation, where some of them follow each other as they do there.

    A quotation was cut and its spaces were folded, and a text layer breaks words at lines, so runs are looked for and
    not the whole. Where no run is found, the words that both share.
    """
    page, wanted = [_letters(word.text) for word in words], [_letters(each) for each in quotation.split()]
    wanted = [each for each in wanted if each]
    blocks = SequenceMatcher(None, page, wanted, autojunk=False).get_matching_blocks()
    runs = [block for block in blocks if block.size >= min(LEAST_RUN, max(1, len(wanted)))]
    found = [word for block in runs for word in words[block.a : block.a + block.size]]
    return found or matching(words, quotation)


def box(word: Word) -> tuple[float, float, float, float]:
    """Left, top, width and height of a mark around a word, in fractions of the page."""
    left, top = max(0.0, word.x0 - MARGIN), max(0.0, word.y0 - MARGIN)
    return (
        round(left, 4),
        round(top, 4),
        round(min(1.0, word.x1 + MARGIN) - left, 4),
        round(min(1.0, word.y1 + MARGIN) - top, 4),
    )


def _letters(word: str) -> str:
    return "".join(re.findall(r"\w+", word.lower()))
