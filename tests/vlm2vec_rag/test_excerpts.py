"""An excerpt fits its length, is cut at words, and shows what was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.excerpts import excerpt, stems, stems_of_word
from vlm2vec_rag.hyphens import joined

TEXT = (
    "The first part speaks of whales. " * 20
    + "In the end, charts of revenue are drawn in blue. "
    + "Filler here. " * 20
)


def test_the_words_of_the_question_are_shown():
    assert "charts of revenue are drawn" in excerpt(TEXT, "Where is the revenue chart?", 80)


def test_without_a_match_the_beginning_is_shown():
    assert excerpt(TEXT, "zebra", 40) == "The first part speaks of whales. The…"


@given(st.text(max_size=400), st.text(max_size=40), st.integers(20, 200))
def test_it_fits_and_only_folds_and_cuts(text, question, length):
    shown = excerpt(text, question, length)
    line = " ".join(joined(text).split())
    assert len(shown) <= length
    assert shown.removeprefix("…").removesuffix("…").strip() in line


@given(st.lists(st.sampled_from(["chart", "revenue", "whale", "blue", "of"]), min_size=1, max_size=200))
def test_no_word_is_cut(words):
    shown = excerpt(" ".join(words), "revenue", 60).strip("…").split()
    assert set(shown) <= set(words)


@given(st.text(st.characters(max_codepoint=0x17F), max_size=12).filter(lambda word: not any(map(str.isspace, word))))
def test_the_short_way_for_plain_words_is_no_other(word):
    assert stems_of_word(word) == stems(word)


def test_plain_words_among_marks():
    for word in ("(the", "Charts,", "_foo_", "foo-", "-foo", "don't", "[chart]", "a_b", "^x^", "{abc}", "~abc|", "of"):
        assert stems_of_word(word) == stems(word), word
