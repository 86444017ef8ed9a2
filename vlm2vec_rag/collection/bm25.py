"""Text to the sparse `bm25` vector: the word side of a search, without a model or a download.

Qdrant's own tokenizer, stopwords and stemmer (they come with the embedded engine) give the words; the weights are
BM25's, and Qdrant multiplies the inverse document frequency in when it searches. Three ways to find words:

- text written with spaces goes to the plain tokenizer; the multilingual one drops numbers, and people do search for
  `INV-2024-001`;
- Chinese and Japanese are taken as overlapping pairs of characters, as Lucene's CJKAnalyzer does: dictionaries cut a
  word standing alone otherwise than the same word inside a sentence, and 天気 would not find 東京の天気;
- Thai goes to the multilingual tokenizer, which has a dictionary for it.

Beside its own words a text has their other spellings (`spellings`), and the names of its file and folders with a low
weight, so that "portrait" finds portrait.jpg.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import qdrant_edge

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.hyphens import joined
from vlm2vec_rag.languages import NO_LANGUAGE
from vlm2vec_rag.spellings import other_spellings, searched

# the usual constants, and the ones Qdrant's server uses when it makes such a vector itself
K = 1.2
B = 0.75
AVERAGE_LENGTH = 256  # words of an average text; fixed, so that a vector never depends on the other points

NAME_WEIGHT = 0.25
"""Of a word in the name of a file; a word that a short text says once has 1.8, a long one's 0.6."""
_LONGEST_SUFFIX = 5

_UNSPACED = re.compile(
    "(?P<paired>[\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)"
    "|(?P<thai>[\u0e00-\u0e7f]+)"
)
# with so large a `k` the engine's weights are the counts themselves, up to a factor that rounding removes
_COUNTING_K = 1e6


@dataclass(frozen=True, slots=True)
class Words:
    """A sparse vector: distinct `indices` of words, and a weight for each."""

    indices: list[int]
    values: list[float]

    def __bool__(self) -> bool:
        return bool(self.indices)


class Bm25:
    """Makes sparse vectors of texts and of queries in one language.

    Args:
        language: Whose stopwords and stemmer apply, such as `english` or `german`; `none` for neither. A collection
            keeps to one, since a query only finds words that were cut the same way.

    Raises:
        InvalidInput: The engine has no such language.
    """

    def __init__(self, language: str = "english") -> None:
        self.language = language
        self._spaced = _tokenizer(language, qdrant_edge.TokenizerType.Word)
        self._thai = _tokenizer(language, qdrant_edge.TokenizerType.Multilingual)

    def encode_text(self, text: str, *, name: str = "") -> Words:
        """The vector of a point's text.

        weight = count * (K + 1) / (count + K * (1 - B + B * words in the text / AVERAGE_LENGTH))

        Other spellings count like words of the text, and do not make it longer.

        Args:
            text: What is said.
            name: The path or address where it stands. Its words that the text has not weigh NAME_WEIGHT.
        """
        counts = self._counts(text, lone_characters=True)
        norm = K * (1 - B + B * sum(counts.values()) / AVERAGE_LENGTH)
        counts += self._other_spellings(text)
        weights = dict.fromkeys(self._counts(name_words(name), lone_characters=True), NAME_WEIGHT) if name else {}
        weights |= {index: count * (K + 1) / (count + norm) for index, count in counts.items()}
        return Words(list(weights), list(weights.values()))

    def encode_query(self, text: str) -> Words:
        """The vector of a question: one for each distinct word and other spelling of one."""
        counts = self._counts(text, lone_characters=False) | self._other_spellings(text)
        return Words(list(counts), [1.0] * len(counts))

    def _other_spellings(self, text: str) -> Counter[int]:
        """How often each other spelling occurs."""
        spelled = " ".join(other_spellings(joined(text), self.language))
        return self._counts(spelled, lone_characters=False) if spelled else Counter()

    def _counts(self, text: str, *, lone_characters: bool) -> Counter[int]:
        """How often each word occurs, by the number the engine gives it."""
        counts: Counter[int] = Counter()
        for tokenizer, run in self._runs(searched(text), lone_characters=lone_characters):
            counted = tokenizer.embed_document(run)
            for index, value in zip(counted.indices, counted.values, strict=True):
                counts[index] += round(value * _COUNTING_K / (_COUNTING_K + 1 - value))
        return counts

    def _runs(self, text: str, *, lone_characters: bool) -> Iterator[tuple[Any, str]]:
        """The stretches of a text, each with the tokenizer that knows its script."""
        end = 0
        for found in _UNSPACED.finditer(text):
            yield self._spaced, text[end : found.start()]
            end = found.end()
            if found["thai"]:
                yield self._thai, found["thai"]
                continue
            run = found["paired"]
            pairs = [run[at : at + 2] for at in range(len(run) - 1)]
            # a question of one character has no pair, so texts hold their characters as well
            yield self._spaced, " ".join([*pairs, *(run if lone_characters or not pairs else "")])
        yield self._spaced, text[end:]


def name_words(source: str) -> str:
    """The words in the name of a file and of its folders: "holiday-2.jpg" in "My Pictures" has five."""
    path = re.sub(r"^[a-z]+://", "", source, flags=re.IGNORECASE)
    stem, dot, suffix = path.rpartition(".")
    named = stem if dot and "/" not in suffix and len(suffix) <= _LONGEST_SUFFIX else path
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\W]+", " ", named)  # camelCase too
    return re.sub(r"(?<=[^\W\d])(?=\d)", " ", apart)  # IMG0012


@lru_cache(maxsize=8)
def _tokenizer(language: str, tokenizer: Any) -> Any:
    neutral = {"stopwords": qdrant_edge.StopwordsSet(), "stemmer": qdrant_edge.DisabledStemmer()}
    try:
        config = qdrant_edge.Bm25Config(
            k=_COUNTING_K,
            b=0.0,  # no length in the weights, so the counts of two runs add up
            tokenizer=tokenizer,
            ascii_folding=True,  # «cafe» finds «café»
            **(neutral if language == NO_LANGUAGE else {"language": language}),
        )
        return qdrant_edge.Bm25(config)
    except ValueError as error:
        raise InvalidInput(
            f"there are no stopwords and stemmer for language {language!r}; expected an English name in small letters "
            f"such as 'english', 'german' or 'russian', or {NO_LANGUAGE!r} to leave words as they are"
        ) from error
