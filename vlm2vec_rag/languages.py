"""The language that texts are written in, found from a sample: whose word endings and stopwords a search follows.

A collection keeps to one language. Where it is not given, most of the first texts' letters decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

NO_LANGUAGE = "none"
"""The language that leaves words as they are: no stopwords, no stemming."""

ASSUMED = "english"
"""The language where there is too little text to tell."""

LEAST_CONFIDENCE = 0.7
"""Below it a text tells nothing. At it, 1 in 100 texts of 20 letters is taken for another language, of 60 1 in 400
(1,600 paragraphs in 16 languages)."""

_LEAST_LETTERS = 20
_TOLD_FROM = 2_000  # characters of a text; more tells nothing new

# what the engine has stopwords for, and for most a stemmer, by ISO 639-1
LANGUAGES = {
    "ar": "arabic",
    "az": "azerbaijani",
    "bn": "bengali",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "he": "hebrew",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "kk": "kazakh",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sl": "slovene",
    "sv": "swedish",
    "tg": "tajik",
    "tr": "turkish",
    "zh": "chinese",
}
# told apart as well, so that they are not taken for one of the above
_OTHERS = "bg bn bs cs et fa hi hr hy is ka ko lt lv mk ms nn pl sk sq sr ta th uk ur vi"
_SAME = {"nn": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedLanguage:
    """What a sample of texts is written in."""

    language: str  # as a collection records it: `german`, or `none` for one without stopwords and stemmer here
    code: str = ""  # ISO 639-1; empty where it is assumed
    texts: int = 0  # of the sample that are written in it
    sample: int = 0  # texts that could be told

    @property
    def is_assumed(self) -> bool:
        """Whether there was too little text to tell."""
        return not self.code

    def __str__(self) -> str:
        if self.is_assumed:
            return f"{self.language}, assumed: there was too little text to tell"
        named = self.language
        if named == NO_LANGUAGE:
            named = f"{NO_LANGUAGE} (for {self.code!r} there is no stemmer)"
        texts = "text" if self.sample == 1 else "texts"
        of = f"{self.texts} of " if self.texts < self.sample else ""
        return f"{named}, detected from {of}{self.sample} {texts}"


def detect_language(texts: Iterable[str]) -> DetectedLanguage:
    """Find the language that most letters of a sample are written in.

    Each text is told by itself, so that a few in another language do not turn the sample; those too short to be told
    are taken together. Of each the beginning is enough.
    """
    letters: Counter[str] = Counter()
    told: Counter[str] = Counter()
    short: list[str] = []
    for text in texts:
        beginning = " ".join(text[:_TOLD_FROM].split())
        if code := _code(beginning):
            letters[code] += _letters(beginning)
            told[code] += 1
        elif beginning:
            short.append(beginning)
    if not told and (code := _code(" ".join(short)[:_TOLD_FROM])):
        letters[code] = 1
        told[code] = len(short)
    if not told:
        return DetectedLanguage(language=ASSUMED)
    [(code, _)] = letters.most_common(1)
    language = LANGUAGES.get(code, NO_LANGUAGE)
    return DetectedLanguage(language=language, code=code, texts=told[code], sample=told.total())


def code_of(language: str) -> str | None:
    """The ISO 639-1 code of a language as a collection names it; None for one that is not known."""
    return next((code for code, name in LANGUAGES.items() if name == language), None)


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _code(text: str) -> str:
    """The ISO 639-1 code of a text's language; empty where it is too short, or no language, to be told."""
    text = text.encode(errors="replace").decode()  # half a surrogate pair, as broken files hold, has no code in UTF-8
    # a Chinese or Japanese character says as much as a syllable
    if len(text.encode()) < _LEAST_LETTERS or not _letters(text):
        return ""
    code, confidence = _identifier().classify(text)
    return _SAME.get(code, code) if confidence >= LEAST_CONFIDENCE else ""


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # one of our own: what `py3langid.set_languages` sets is the whole process's
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES, *_OTHERS.split()])
    return identifier
