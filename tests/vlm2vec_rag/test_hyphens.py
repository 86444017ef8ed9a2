"""Words cut at a line's end come whole; a hyphen of the word's own stays."""

from __future__ import annotations

import pytest

from vlm2vec_rag.hyphens import join, joined


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a hyphen-\nated word", "a hyphenated\nword"),
        ("in Immo\u00ad\nbilien investieren", "in Immobilien\ninvestieren"),
        ("souve\u2010\nrän", "souverän"),
        ("supercali-\nfragilis-\ntic end", "supercalifragilistic\nend"),
        ("(hyphen-\nated)", "(hyphenated)"),
        ("INTRO-\nDUCTION", "INTRODUCTION"),
        ("state-of-the-\nart work", "state-of-the-art\nwork"),
        ("DNA-\nbased", "DNA-based"),
        ("e-\nmail", "e-mail"),
        ("Franco-\nPrussian", "Franco-Prussian"),
        ("to co-operate is a co-\noperation", "to co-operate is a cooperation"),
        ("a co-operation is a co-\noperation", "a co-operation is a co-operation"),
        ("Haupt-\nund Nebensatz", "Haupt-\nund Nebensatz"),
        ("2019-\n2020", "2019-\n2020"),
        ("a list -\nof things", "a list -\nof things"),
        ("the end-\n", "the end-\n"),
        ("Wert\u00adpapier\u00adindex", "Wertpapierindex"),
        ("zero\u200bwidth\u2060s\ufeff", "zerowidths"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # the joiner that Persian is written with
        ("", ""),
    ],
)
def test_a_text_has_its_words_whole(text: str, whole: str) -> None:
    assert joined(text) == whole
    assert joined(whole) == whole


def test_a_soft_hyphen_is_never_the_word_s_own() -> None:
    assert join("DNA\u00ad", "based") == "DNAbased"
    assert join("Haupt\u00ad", "und") == "Hauptund"


@pytest.mark.parametrize(("before", "after"), [("-", "a"), ("a", "b"), ("a-", ""), ("7-", "b"), ("a-", "7")])
def test_what_is_not_cut_is_not_joined(before: str, after: str) -> None:
    assert join(before, after) is None
