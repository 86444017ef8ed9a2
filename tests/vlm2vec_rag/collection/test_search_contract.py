"""Search equals its definitions, on every engine: cosine in NumPy, BM25 by its formula, RRF by its sum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from points_and_places import DIM, ENGINES, FINGERPRINT, Place, a_place, page, unit
from qdrant_client import models

from vlm2vec_rag.collection import Collection, Filter, Found, Point
from vlm2vec_rag.collection.searching import Answer
from vlm2vec_rag.errors import EmptyInput, InvalidInput

WORDS = ["aba", "bebe", "cucuc", "dodo", "epep", "fifif"]  # no stopwords, nothing for a stemmer to cut
QUERY_VECTOR = np.random.default_rng(1000).standard_normal(DIM)


def _points() -> list[Point]:
    """Forty pages; some repeat words, some share a text, some lack words, and two lack a vector."""
    rng = np.random.default_rng(7)
    points = []
    for number in range(1, 41):
        text = " ".join(rng.choice(WORDS[: number % 6 + 1], size=number % 9))
        vector = None if number in (5, 17) else "random"
        points.append(page(number, text, source=f"{number % 4}.pdf", vector=vector))
    return points


POINTS = _points()


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection of these points and no others, not even deleted ones: those count in the engines' idf."""
    with a_place(request.param, tmp_path_factory.mktemp("filled")) as place, place.open() as collection:
        collection.upsert(POINTS)
        yield collection


def cosine_ranking(points: list[Point], query: Any) -> dict[str, float]:
    scores = {p.id: float(unit(p.vector) @ unit(query)) for p in points if p.vector is not None}
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def bm25_ranking(points: list[Point], query: str, everything: list[Point]) -> dict[str, float]:
    """Okapi BM25 with k1 = 1.2, b = 0.75, a fixed average length, and Lucene's never negative idf."""
    texts = {point.id: point.payload.text.split() for point in everything if point.payload.text}
    scores = {}
    for point in points:
        words = texts.get(point.id, [])
        score = 0.0
        for word in set(query.split()):
            holding = sum(word in text for text in texts.values())
            idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            count = words.count(word)
            score += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / 256)) if count else 0.0
        if score:
            scores[point.id] = score
    # float32 scores tie where float64 ones differ in the last digits
    return dict(sorted(scores.items(), key=lambda pair: (-round(pair[1], 5), pair[0])))


def assert_ranks_like(found: list[Found], definition: dict[str, float], limit: int) -> None:
    expected = list(definition.items())[:limit]
    assert [each.score for each in found] == pytest.approx([score for _, score in expected], abs=2e-5)
    assert [each.id for each in found] == [each for each, _ in expected]


@pytest.mark.parametrize("limit", [1, 7, 38, 100])
def test_dense_search_is_cosine_similarity(filled: Collection, limit: int) -> None:
    found = filled.search(QUERY_VECTOR, mode="dense", limit=limit)
    assert_ranks_like(found, cosine_ranking(POINTS, QUERY_VECTOR), limit)
    assert all(each.score == each.dense_score and each.bm25_score is None for each in found)


@pytest.mark.parametrize("query", ["aba", "dodo fifif", "aba aba bebe", "cucuc nowhere"])
def test_bm25_search_is_its_formula(filled: Collection, query: str) -> None:
    found = filled.search(text=query, mode="bm25", limit=100)
    assert_ranks_like(found, bm25_ranking(POINTS, query, POINTS), 100)
    assert all(each.score == each.bm25_score and each.dense_score is None for each in found)


@pytest.mark.parametrize("chosen", [None, Filter(sources=["1.pdf", "2.pdf"])], ids=["all", "filtered"])
@pytest.mark.parametrize("limit", [1, 10, 100])
def test_fused_search_is_reciprocal_rank_fusion(filled: Collection, limit: int, chosen: Filter | None) -> None:
    passing = [p for p in POINTS if chosen is None or p.payload.source in chosen.sources]
    dense = cosine_ranking(passing, QUERY_VECTOR)
    words = bm25_ranking(passing, "bebe dodo", POINTS)  # the idf is that of the whole collection
    fused = {
        each: sum(1 / (60 + list(side).index(each) + 1) for side in (dense, words) if each in side)
        for each in {*dense, *words}
    }
    definition = dict(sorted(fused.items(), key=lambda pair: (-pair[1], pair[0])))
    found = filled.search(QUERY_VECTOR, "bebe dodo", limit=limit, filter=chosen)
    assert_ranks_like(found, definition, limit)
    for each in found:
        assert each.dense_score == pytest.approx(dense.get(each.id), abs=1e-5)
        assert each.bm25_score == pytest.approx(words.get(each.id), abs=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_the_models_own_weight_is_recorded_and_counts_in_fusion(kind: str, tmp_path: Path) -> None:
    with a_place(kind, tmp_path) as place:
        with place.open(replace(FINGERPRINT, dense_weight=0.25)) as collection:
            collection.upsert(POINTS)
            dense = list(cosine_ranking(POINTS, QUERY_VECTOR))
            words = list(bm25_ranking(POINTS, "bebe dodo", POINTS))
            fused = {
                each: sum(
                    weight / (61 + side.index(each)) for side, weight in ((dense, 0.25), (words, 1)) if each in side
                )
                for each in {*dense, *words}
            }
            definition = dict(sorted(fused.items(), key=lambda pair: (-pair[1], pair[0])))
            assert_ranks_like(collection.search(QUERY_VECTOR, "bebe dodo", limit=40), definition, 40)
        if kind != "memory":
            with place.open(None) as again:
                assert again.fingerprint.dense_weight == 0.25


def test_a_text_of_stopwords_does_not_take_the_dense_answer_away(filled: Collection) -> None:
    dense = filled.search(QUERY_VECTOR, mode="dense", limit=5)
    fused = filled.search(QUERY_VECTOR, "the of and !?", limit=5)
    assert [each.id for each in fused] == [each.id for each in dense]
    assert filled.search(text="the of and", mode="bm25") == []


def test_words_that_occur_nowhere_do_not_take_the_dense_answer_away(filled: Collection) -> None:
    fused = filled.search(QUERY_VECTOR, "xyzzy", limit=5)
    assert [each.id for each in fused] == [each.id for each in filled.search(QUERY_VECTOR, mode="dense", limit=5)]
    assert filled.search(text="xyzzy") == []


def test_fused_search_with_one_side_asks_that_side(filled: Collection) -> None:
    assert filled.search(text="aba")[0].dense_score is None
    assert filled.search(QUERY_VECTOR)[0].bm25_score is None
    assert filled.search(QUERY_VECTOR, "   ")[0].bm25_score is None


def test_an_empty_collection_answers_with_nothing(collection: Collection) -> None:
    for mode in ("hybrid", "dense", "bm25"):
        assert collection.search(QUERY_VECTOR, "aba", mode=mode) == []  # type: ignore[arg-type]


def test_a_filter_nothing_passes_answers_with_nothing(filled: Collection) -> None:
    assert filled.search(QUERY_VECTOR, "aba", filter=Filter(sources=["nowhere.pdf"])) == []


def test_a_filter_of_qdrants_own_is_taken_as_it_is(filled: Collection) -> None:
    own = models.Filter(must_not=[models.FieldCondition(key="page", range=models.Range(gt=3))])
    found = filled.search(QUERY_VECTOR, "aba", filter=own, limit=100)
    assert {each.payload.page for each in found} == {1, 2, 3}


def test_equal_scores_are_ordered_by_id(collection: Collection) -> None:
    same = np.ones(DIM)
    points = [page(number, "aba", vector=same) for number in range(1, 21)]
    collection.upsert(points)
    for found in (
        collection.search(same, mode="dense", limit=20),
        collection.search(text="aba", mode="bm25", limit=20),
        collection.search(same, "aba", limit=20),
    ):
        assert [each.id for each in found] == sorted(point.id for point in points)


def test_stemming_and_stopwords_follow_the_language(place: Place) -> None:
    with place.open(language="german") as collection:
        collection.upsert([page(1, "Die Häuser der Städte"), page(2, "the running cats")])
        assert [each.payload.page for each in collection.search(text="Haus in der Stadt", mode="bm25")] == [1]
        assert collection.search(text="run", mode="bm25") == []


@pytest.mark.parametrize("query", ["発票番号", "天気", "猫", "INV-2024-001", "แมว", "кошки", "ﬁnance", "CAFE"])
def test_every_script_finds_its_own_page(collection: Collection, query: str) -> None:
    texts = [
        "発票番号を確認してください",
        "明日の東京の天気は晴れ",
        "吾輩は猫である",
        "Invoice INV-2024-001, total 9.99",
        "ผมชอบแมวมาก",
        "кошки и собаки",
        "corporate finance",
        "un café noir",
    ]
    queries = ["発票番号", "天気", "猫", "INV-2024-001", "แมว", "кошки", "ﬁnance", "CAFE"]
    collection.upsert([page(number, text, vector=None) for number, text in enumerate(texts)])
    assert [each.payload.page for each in collection.search(text=query, mode="bm25")] == [queries.index(query)]


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({}, EmptyInput, "mode 'hybrid' needs a vector, a text, or both"),
        ({"text": " \n"}, EmptyInput, "nothing to search for"),
        ({"text": "aba", "mode": "dense"}, EmptyInput, "mode 'dense' needs a vector"),
        ({"vector": QUERY_VECTOR, "mode": "bm25"}, EmptyInput, "mode 'bm25' needs a text"),
        ({"text": "aba", "mode": "fuzzy"}, InvalidInput, "'fuzzy'; expected one of hybrid, dense, bm25"),
        ({"text": "aba", "limit": 0}, InvalidInput, "limit is 0"),
        ({"vector": np.ones(3)}, InvalidInput, r"the vector of the query has shape \(3,\)"),
        ({"vector": np.full(DIM, np.nan)}, InvalidInput, "the query holds a NaN"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    collection: Collection, arguments: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        collection.search(**arguments)


def test_a_point_deleted_between_ranking_and_reading_is_left_out() -> None:
    kept, gone = POINTS[0], POINTS[1]
    scores = {gone.id: 0.9, kept.id: 0.5}
    answer = Answer(ranking=list(scores.items()), scores={"dense": scores}, payloads={})
    assert answer.without_payload == [gone.id, kept.id]
    record = models.Record(id=kept.id, payload=kept.payload.to_dict())
    assert [(each.id, each.dense_score) for each in answer.found([record])] == [(kept.id, 0.5)]
