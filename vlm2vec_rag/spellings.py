"""Other spellings of a text's words, so that one finds the other: pure functions on strings.

Written into the index beside a text's own words, and asked for beside a question's:
"co-operation" and "cooperation", "12,500" and "12500", "Müller" and "Mueller", "Schlüsselübergabe" and its parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from vlm2vec_rag.hyphens import joined

# languages that write compounds in one word, by the code of their dictionary
COMPOUNDING = {"german": "de", "dutch": "nl", "swedish": "sv", "danish": "da", "norwegian": "nb"}

_SHORTEST_COMPOUND = 9  # letters
_LONGEST_COMPOUND = 80  # the longest in use has 63; taking a word apart costs the square of its length
_SHORTEST_PART = 4
_LINKS = ("", "s", "es", "n", "en", "er", "e", "ens")  # between the parts of a compound
_TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"})

# each begins where a word begins, for a search that began anew at every letter would take the square of a word's length
_WITH_HYPHEN = re.compile(r"(?<![\w\-\u2010\u2011])[^\W\d_]+(?:[-\u2010\u2011][^\W\d_]+)+(?![\w\-\u2010\u2011])")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:([.,'’\u00a0\u2009\u202f])\d{3})(?:\1\d{3})*(?!\d)")
_SPECIAL = re.compile(r"(?<![^\W\d_])[^\W\d_]*[äöüßåøæ][^\W\d_]*", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
# of zero width (the joiners of Persian and Hindi too, which many leave out), and the stroke that lengthens Arabic words
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\u0640]")


def searched(text: str) -> str:
    """A text as its words are searched: letters of one form, cut words whole, without marks that nobody types.

    NFKC makes a typesetter's ﬁ and a full-width １ the letters people type. Half of a surrogate pair, as broken PDFs
    have it, is no text.
    """
    # grouping spaces are looked for later, and NFKC would make them plain ones
    plain = unicodedata.normalize("NFKC", joined(text)).encode("utf-8", "replace").decode()
    return _UNSEEN.sub("", plain)


def other_spellings(text: str, language: str) -> Iterator[str]:
    """Words that the words of a text may as well be written as, in the order in which they stand.

    Args:
        text: As it is, not yet `searched`.
        language: Of the collection; decides whether compounds are taken apart.
    """
    for found in _WITH_HYPHEN.finditer(text):
        yield re.sub(r"[-\u2010\u2011]", "", found[0])
    for found in _GROUPED.finditer(text):
        yield re.sub(r"\D", "", found[0])
    for found in _SPECIAL.finditer(text):
        yield found[0].lower().translate(_TWO_LETTERS)
    dictionary = COMPOUNDING.get(language)
    for found in _WORD.finditer(text) if dictionary else ():
        for part in parts_of(found[0].lower(), dictionary or ""):
            yield part
            if (spelled := part.translate(_TWO_LETTERS)) != part:
                yield spelled


@lru_cache(maxsize=100_000)
def parts_of(word: str, dictionary: str) -> tuple[str, ...]:
    """The words that a compound is made of, as few as can be; nothing where it is none.

    Args:
        word: In small letters.
        dictionary: The code of a language, such as "de" (the dictionary is simplemma's).
    """
    for count in (2, 3) if _SHORTEST_COMPOUND <= len(word) <= _LONGEST_COMPOUND else ():
        if parts := _split(word, count, dictionary):
            return parts
    return ()


def _split(word: str, count: int, dictionary: str) -> tuple[str, ...]:
    if count == 1:
        return (word,) if _is_word(word, dictionary) else ()
    # the longest head first: «Kranken|haus» before what a short one leaves
    for end in range(len(word) - _SHORTEST_PART, _SHORTEST_PART - 1, -1):
        head = word[:end]
        if not _is_word(head, dictionary) or (head.endswith("s") and _is_word(head[:-1], dictionary)):
            continue  # with an s that only links, it comes again without it
        for link in _LINKS:
            rest = word[end + len(link) :]
            known = word.startswith(link, end) and len(rest) >= _SHORTEST_PART
            if known and (parts := _split(rest, count - 1, dictionary)):
                return (head, *parts)
    return ()


@lru_cache(maxsize=100_000)
def _is_word(word: str, dictionary: str) -> bool:
    import simplemma

    return len(word) >= _SHORTEST_PART and bool(simplemma.is_known(word, lang=dictionary))
