"""The sparse vector of a text: Qdrant's own where Qdrant cuts words well, and better words where it does not."""

from __future__ import annotations

import pytest
import qdrant_edge

from vlm2vec_rag.collection.bm25 import AVERAGE_LENGTH, NAME_WEIGHT, B, Bm25, K
from vlm2vec_rag.errors import InvalidInput

ENGLISH = "The quick brown foxes were jumping over 13 lazy dogs, while invoices INV-2024 remained unpaid"


def shared(text: str, query: str, language: str = "english") -> int:
    """How many words of the query the text has."""
    bm25 = Bm25(language)
    return len(set(bm25.encode_text(text).indices) & set(bm25.encode_query(query).indices))


@pytest.mark.parametrize("times", [1, 7, 2_000])
@pytest.mark.parametrize("language", ["english", "german", "russian"])
def test_a_plain_text_gets_the_vector_qdrant_would_give_it(language: str, times: int) -> None:
    """So that points written by Qdrant's own inference and by this library can stand in one collection."""
    text = " ".join([ENGLISH] * times)
    ours = Bm25(language).encode_text(text)
    theirs = qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=language)).embed_document(text)
    expected = dict(zip(theirs.indices, theirs.values, strict=True))
    assert dict(zip(ours.indices, ours.values, strict=True)) == pytest.approx(expected, rel=1e-5)


def test_the_weight_is_bm25s() -> None:
    words = Bm25("none").encode_text("aba bebe aba cucuc aba")
    norm = K * (1 - B + B * 5 / AVERAGE_LENGTH)
    weights = sorted(words.values)
    assert weights == pytest.approx([2.2 / (1 + norm), 2.2 / (1 + norm), 3 * 2.2 / (3 + norm)])


def test_a_query_counts_each_word_once() -> None:
    words = Bm25().encode_query("cat cat dog")
    assert words.values == [1.0, 1.0]
    assert len(set(words.indices)) == 2


@pytest.mark.parametrize("text", ["", "   \n\t", "the of and", "!?…—", "\x00", "\ud800"])
def test_a_text_without_words_is_empty(text: str) -> None:
    assert not Bm25().encode_query(text)
    assert Bm25().encode_text(text).values == []


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("running shoes", "run", 1),
        ("café crème", "CAFE creme", 2),
        ("corporate ﬁnance", "finance", 1),  # a ligature, as typesetters set it
        ("cafe\u0301", "café", 1),  # an accent apart from its letter, as some PDFs have it
        ("price １２３", "123", 1),
        ("INV-2024-001", "INV-2024-001", 3),
        ("foo_bar(x)", "bar", 1),
        ("東京の天気は晴れ", "天気", 1),  # the same word inside a sentence and standing alone
        ("吾輩は猫である", "猫", 1),
        ("机器学习模型", "学习", 1),
        ("请看发票 INV-7 的总额", "发票 7", 2),
        ("ผมชอบแมวมาก", "แมว", 1),
        ("broken \ud83d half", "broken half", 2),
    ],
)
def test_words_are_found_whatever_the_script(text: str, query: str, words: int) -> None:
    assert shared(text, query) == words


@pytest.mark.parametrize(("text", "query"), [("東京の天気", "気東"), ("car", "carpet"), ("机器学习", "学机")])
def test_words_that_are_not_there_are_not_found(text: str, query: str) -> None:
    assert shared(text, query) == 0


def test_the_language_none_keeps_every_word() -> None:
    assert shared("to be or not to be", "to be or not", "none") == 4
    assert shared("running", "run", "none") == 0


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InvalidInput, match="language 'English'; expected an English name in small letters such as"):
        Bm25("English")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("photos/portrait.jpg", "portrait"),
        ("photos/portrait.jpg", "photo"),
        ("screenshot-2.png", "screenshot"),
        ("C:/My Pictures/summerHoliday_IMG0012.JPG", "summer holiday pictures img"),
        ("https://example.org/annual_report.pdf", "annual report"),
    ],
)
def test_the_names_of_a_file_and_its_folders_are_words_of_low_weight(name: str, query: str) -> None:
    bm25 = Bm25()
    vector = bm25.encode_text("", name=name)
    assert set(bm25.encode_query(query).indices) <= set(vector.indices)
    assert set(vector.values) == {NAME_WEIGHT}


def test_a_word_of_the_text_weighs_more_than_one_of_the_name() -> None:
    bm25 = Bm25()
    plain = bm25.encode_text("a portrait")
    named = bm25.encode_text("a portrait", name="portrait.jpg")
    assert dict(zip(plain.indices, plain.values, strict=True)) == dict(zip(named.indices, named.values, strict=True))
    long = bm25.encode_text("portrait " + "of somebody else " * 500)
    assert min(long.values) > NAME_WEIGHT


def test_a_suffix_is_no_word() -> None:
    assert set(Bm25().encode_text("", name="cat.png").indices) == set(Bm25().encode_query("cat").indices)
