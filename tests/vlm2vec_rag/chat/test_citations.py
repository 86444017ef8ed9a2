"""Every number that is shown leads to evidence, however the text was cut into pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.chat.citations import cited_numbers, keep_known, replace_citations, stream_known

TEXTS = st.lists(
    st.sampled_from(
        [
            "boat",
            " ",
            "  ",
            "[",
            "]",
            "[1]",
            "[2, 3]",
            "[7]",
            "[1-3]",
            "[9;1]",
            "1",
            "12",
            ",",
            "-",
            ".",
            "\n",
            "[2024]",
            "[x]",
        ]
    ),
    max_size=20,
).map("".join)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("It grew [2]. Then it fell [1][3].", [2, 1, 3]),
        ("both say so [1, 3; 2]", [1, 3, 2]),
        ("all of them [2-4] and again [3]", [2, 3, 4]),
        ("backwards [4-2]", [4, 2]),
        ("in [2024], by a[0] and [x], see [ 5 ]", [5]),
        ("nothing", []),
    ],
)
def test_numbers_are_read_as_models_write_them(text, numbers):
    assert cited_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It grew [2]. It fell [9].", "It grew [2]. It fell."),
        ("both [1, 9]", "both [1]"),
        ("range [2-5]", "range [2, 3]"),
        ("known [3][1] stay as they are", "known [3][1] stay as they are"),
        ("the year [2024]", "the year [2024]"),
    ],
)
def test_numbers_without_evidence_are_taken_out(text, kept):
    assert keep_known(text, 3) == kept


@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=8), known=st.integers(0, 9))
def test_pieces_give_the_text_that_the_whole_gives(text, cuts, known):
    ends = sorted({min(cut, len(text)) for cut in cuts})
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert "".join(stream_known(pieces, known)) == keep_known(text, known)


@given(text=TEXTS, known=st.integers(0, 9))
def test_no_number_above_the_known_is_left(text, known):
    assert all(number <= known for number in cited_numbers(keep_known(text, known)))


def test_only_what_may_become_a_citation_is_held_back():
    pieces = iter(["It grew", " a lot [", "1", "] indeed", " [x"])
    stream = stream_known(pieces, 1)
    assert next(stream) == "It grew"
    assert next(stream) == " a lot"
    assert "".join(stream) == " [1] indeed [x"


def test_numbers_become_places():
    places = {1: "(a.pdf#page=2)"}
    assert (
        replace_citations("so it is [1, 2]. And [2].", lambda n: places.get(n, "")) == "so it is (a.pdf#page=2). And."
    )
    assert not re.search(r"\[", replace_citations("x [1]", lambda n: ""))
