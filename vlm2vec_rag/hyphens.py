"""Words that a line's end cuts in two are put together, and marks that nobody sees are taken out.

Typesetters cut words with a hyphen, which may as well be the word's own. What the text itself shows decides: "state-of-
the-" keeps its hyphen, "DNA-" and "e-" keep theirs, "Haupt-" before "und" stands alone, everything else is one word.
"""

from __future__ import annotations

import re

SOFT_HYPHEN = "\u00ad"
HYPHENS = ("-", "\u2010", SOFT_HYPHEN)

_CUT = re.compile(rf"[^\W\d_][{''.join(map(re.escape, HYPHENS))}]\s*$")
# of zero width, and no part of a word in any script; the joiners of Persian and Hindi (U+200C, U+200D) are
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")
# after these, a hyphen stands for a part that the next word brings: "Haupt- und Nebensatz"
_CONJUNCTIONS = frozenset("und oder bzw sowie and or to nor et ou y o e u og eller och en of i oraz".split())
_LONGEST_WORD = 100  # a list of cut syllables without end is no word, and would be copied once for each of them
_FEW_CAPITALS = 2  # as many in the first part are an abbreviation: "DNA-based"


def joined(text: str) -> str:
    """A text in lines with its cut words whole, at the end of the line on which they begin; unseen marks left out."""
    lines: list[str] = []
    kept = _inner_hyphens(text)
    for line in text.split("\n"):
        if lines and _CUT.search(lines[-1]) and (after := line.lstrip()):
            word, *rest = after.split(None, 1)
            start, _, before = lines[-1].rstrip().rpartition(" ")
            whole = join(before, word, kept)
            if whole is not None and len(whole) <= _LONGEST_WORD:
                lines[-1] = f"{start} {whole}" if start else whole
                lines += rest
                continue
        lines.append(line)
    return _UNSEEN.sub("", "\n".join(lines))


def join(before: str, after: str, with_hyphen: frozenset[str] = frozenset()) -> str | None:
    """The word whose two parts stand at the end of a line and at the beginning of the next.

    Args:
        before: The first part with its hyphen, such as "hyphen-".
        after: The second, such as "ated,".
        with_hyphen: Words in small letters that are written with a hyphen elsewhere.

    Returns:
        "hyphenated,"; None where these are two words.
    """
    first = before[:-1]
    bare = re.split(r"\W", after, maxsplit=1)[0]
    if len(before) < 2 or before[-1] not in HYPHENS or not first[-1].isalpha() or not after[:1].isalpha():
        return None
    if bare.casefold() in _CONJUNCTIONS and before[-1] != SOFT_HYPHEN:
        return None
    start = re.split(r"[^\w\-\u2010]", first)[-1]  # without an opening bracket or quotation mark
    is_heading = bare.isupper() and start.isupper() and len(bare) > 1
    keeps_hyphen = before[-1] != SOFT_HYPHEN and (
        "-" in start
        or len(start) == 1
        or f"{start}-{bare}".casefold() in with_hyphen
        or (not is_heading and (bare[0].isupper() or sum(map(str.isupper, start)) >= _FEW_CAPITALS))
    )
    return f"{first}-{after}" if keeps_hyphen else first + after


def _inner_hyphens(text: str) -> frozenset[str]:
    """The words that a text writes with one hyphen inside of a line, in small letters, where none is without it."""
    found = {word.casefold() for word in re.findall(r"(?<![\w-])[^\W\d_]+-[^\W\d_]+(?![\w-])", text)}
    if not found:
        return frozenset()
    plain = set(re.findall(r"[^\W\d_]+", text.casefold()))
    return frozenset(word for word in found if word.replace("-", "") not in plain)
