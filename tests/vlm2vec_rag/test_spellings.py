"""Spellings that people take for one word meet: a graded set in four languages, by the vectors of the index."""

from __future__ import annotations

import pytest

from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.excerpts import excerpt, stems
from vlm2vec_rag.spellings import other_spellings, parts_of

# language, what is written, what is asked, how many of the question's words should be found (0: none may be)
GRADED = [
    ("english", "The co-operation of the well-known firms", "cooperation", 1),
    ("english", "Their cooperation was praised", "co-operation", 1),
    ("english", "an e-mail about re-entry", "email reentry", 2),
    ("english", "It cost 12,500 dollars", "12500", 1),
    ("english", "It cost 12500 dollars", "12,500", 1),
    ("english", "population 1,234,567.8", "1234567", 1),
    ("english", "the running foxes", "run fox", 2),
    ("english", "Mr Müller spoke", "Mueller", 1),
    ("english", "Mr Mueller spoke", "Müller", 1),
    ("english", "the zero\u200bwidth spaces", "zerowidth", 1),
    ("english", "hyphen-\nated words", "hyphenated", 1),
    ("english", "hyphen\u00ad\nated words", "hyphenated", 1),
    ("english", "a car", "carpet", 0),
    ("english", "chapter 12, 500 words", "12500", 0),
    ("english", "12,50 Euro", "1250", 0),
    ("german", "Frau Müller kommt", "Mueller", 1),
    ("german", "Frau Mueller kommt", "Müller", 1),
    ("german", "die Straße ist gesperrt", "Strasse", 1),
    ("german", "Die Schlüsselübergabe ist um neun", "Schlüssel", 1),
    ("german", "Die Schlüsselübergabe ist um neun", "Schluessel Übergabe", 2),
    ("german", "Die Übergabe der Schlüssel", "Schlüsselübergabe", 1),
    ("german", "Kosten der Krankenversicherung", "Versicherung", 1),
    ("german", "Das Wartungsintervall beträgt ein Jahr", "Wartung Intervall", 2),
    ("german", "Die Rechnung beträgt 12.500 Euro", "12500", 1),
    ("german", "die Häuser am See", "Haus", 1),
    ("german", "Wert\u00adpapier\u00adindex", "Wertpapierindex", 1),
    ("german", "Die Verhandlung beginnt", "Hand", 0),
    ("german", "Schluss damit", "Schlüssel", 0),
    ("french", "la coopération des élèves", "cooperation eleve", 2),
    ("french", "le porte-monnaie perdu", "portemonnaie", 1),
    ("french", "un total de 12\u202f500 euros", "12500", 1),
    ("french", "l'œuvre et le cœur", "oeuvre coeur", 2),
    ("french", "des chevaux", "voiture", 0),
    ("spanish", "la canción del niño", "cancion nino", 2),
    ("spanish", "las inversiones ex-tranjeras", "extranjeras", 1),
    ("spanish", "costó 12.500 pesos", "12500", 1),
    ("spanish", "la casa", "casamiento", 0),
]


def found(language: str, written: str, asked: str) -> int:
    """How many distinct words of the question, other spellings of one counted once at most, the text has."""
    bm25 = Bm25(language)
    text = set(bm25.encode_text(written).indices)
    return sum(bool(text & set(bm25.encode_query(word).indices)) for word in asked.split())


@pytest.mark.parametrize(("language", "written", "asked", "words"), GRADED)
def test_what_people_take_for_one_word_meets(language: str, written: str, asked: str, words: int) -> None:
    assert found(language, written, asked) == words


def test_other_spellings_make_no_text_longer() -> None:
    plain, hyphened = (Bm25("none").encode_text(text) for text in ("co operation", "co-operation"))
    weights = dict(zip(plain.indices, plain.values, strict=True))
    also = dict(zip(hyphened.indices, hyphened.values, strict=True))
    assert weights.items() < also.items() and len(also) == 3


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("schlüsselübergabe", ("schlüssel", "übergabe")),
        ("wartungsintervall", ("wartung", "intervall")),
        ("krankenversicherung", ("kranken", "versicherung")),
        ("übergabe", ()),
        ("xqzxqzxqzxqz", ()),
    ],
)
def test_german_compounds_are_taken_apart(word: str, parts: tuple[str, ...]) -> None:
    assert parts_of(word, "de") == parts


def test_compounds_are_left_whole_in_languages_that_write_none() -> None:
    assert list(other_spellings("Schlusselubergabe understanding", "english")) == []


def test_snippets_and_marks_find_cut_and_other_spellings() -> None:
    text = "Zero width. " * 30 + "The hyphen-\nated word of Frau Müller"
    assert "hyphenated word" in excerpt(text, "hyphenated", 60)
    assert stems("Mueller") & stems("Müller") and stems("cafe") & stems("Café")
    assert stems("zero\u200bwidth") == stems("zerowidth")
    assert not stems("Haus") & stems("Maus")
