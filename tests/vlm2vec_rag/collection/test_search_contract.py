"""Search equals its definitions, on every engine: cosine in NumPy, BM25 by its formula, RRF by its sum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from points_and_places import DIM, ENGINES, FINGERPRINT, CollectionAddress, a_place, page, unit
from qdrant_client import models

from vlm2vec_rag.collection import Collection, Filter, Found, Point
from vlm2vec_rag.collection.bm25 import Words
from vlm2vec_rag.collection.fusion import hybrid_fusion, ranks, reciprocal_rank_fusion
from vlm2vec_rag.collection.searching import Ranking, Scored, Search
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


def in_order(scores: dict[str, float], points: list[Point], digits: int = 5) -> dict[str, float]:
    """Best first; equal scores by source, then by page. float32 ties where float64 differs in the last digits."""
    payloads = {point.id: point.payload for point in points}
    return dict(
        sorted(
            scores.items(),
            key=lambda pair: (-round(pair[1], digits), payloads[pair[0]].source, payloads[pair[0]].page or 0),
        )
    )


def cosine_ranking(points: list[Point], query: Any) -> dict[str, float]:
    return in_order({p.id: float(unit(p.vector) @ unit(query)) for p in points if p.vector is not None}, points)


def bm25_ranking(points: list[Point], query: str, everything: list[Point]) -> dict[str, float]:
    """Okapi BM25 with k1 = 1.2, b = 0.75, a fixed average length, and Lucene's never negative idf."""
    # a point without a text counts: it has the words of its file's name
    texts = {point.id: point.payload.text.split() for point in everything}
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
    return in_order(scores, points)


def shared_rank(side: dict[str, float], point_id: str) -> int:
    """The rank of a point, from 1; equal scores share the best."""
    return 1 + sum(round(score, 5) > round(side[point_id], 5) for score in side.values())


def last_rank(side: dict[str, float], point_id: str) -> int:
    """The worst rank a point can get where equal scores take ranks one after the other."""
    return sum(round(score, 5) >= round(side[point_id], 5) for score in side.values())


def fused_by(rank: Any, dense: dict[str, float], words: dict[str, float], weight: float = 1.0) -> dict[str, float]:
    """Reciprocal rank fusion by its sum; what has no words comes by its dense rank, right behind one that has."""
    sides = ((dense, weight), (words, 1.0))
    fused = {
        each: sum(factor / (60 + rank(side, each)) for side, factor in sides if each in side)
        for each in {*dense, *words}
    }
    wordless = {point.id for point in POINTS if not point.payload.text and point.id in dense}
    others = sorted((score for each, score in fused.items() if each not in wordless), reverse=True)
    for each in wordless if words else ():
        at = rank(dense, each)
        below = 1e-5 * (1 + max(0, at - len(others)))
        fused[each] = max(fused[each], others[min(at, len(others)) - 1] * (1 - below))
    return fused


def assert_fused(
    collection: Collection,
    found: list[Found],
    *,
    dense: dict[str, float],
    words: dict[str, float],
    limit: int,
    weight: float = 1.0,
) -> None:
    """Equal to the definition or, where a server fuses, to it for one order of the points whose scores are equal."""
    best = fused_by(shared_rank, dense, words, weight)
    is_fused_by_server = collection.info().engine == "server" and weight == 1.0 and not collection._record.has_wordless
    if not is_fused_by_server:
        assert_ranks_like(found, in_order(best, POINTS, digits=9), limit)
        return
    worst = fused_by(last_rank, dense, words, weight)
    assert len(found) == min(limit, len(best))
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert all(worst[each.id] - 1e-6 <= each.score <= best[each.id] + 1e-6 for each in found)
    left_out = [worst[each] for each in best if each not in {found_.id for found_ in found}]
    assert not left_out or max(left_out) <= max(best[each.id] for each in found[-1:]) + 1e-6
    assert all(each.dense_score is None and each.bm25_score is None for each in found)


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
    found = filled.search(QUERY_VECTOR, "bebe dodo", limit=limit, filter=chosen)
    assert_fused(filled, found, dense=dense, words=words, limit=limit)
    for each in found:
        assert each.dense_score == pytest.approx(dense.get(each.id), abs=1e-5)
        assert each.bm25_score == pytest.approx(words.get(each.id), abs=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_where_all_have_words_a_server_may_fuse(kind: str, tmp_path: Path) -> None:
    worded = [point for point in POINTS if point.payload.text]
    with a_place(kind, tmp_path) as place, place.open() as collection:
        collection.upsert(worded)
        dense, words = cosine_ranking(worded, QUERY_VECTOR), bm25_ranking(worded, "bebe dodo", worded)
        found = collection.search(QUERY_VECTOR, "bebe dodo", limit=10)
        assert_fused(collection, found, dense=dense, words=words, limit=10)


@pytest.mark.parametrize("weight", [1.0, 0.01])
@pytest.mark.parametrize("kind", ENGINES)
def test_what_has_no_words_is_found_by_sight_by_turns_with_words(kind: str, weight: float, tmp_path: Path) -> None:
    """Sixty pages have the question's word; two scans are the nearest by their pixels."""
    rng = np.random.default_rng(3)
    scans = [page(100, source="scan.pdf", vector=np.eye(DIM)[0]), page(101, source="scan.pdf", vector=[5, 1] + [0] * 6)]
    far = [np.concatenate([[-1], rng.standard_normal(DIM - 1)]) for _ in range(60)]
    pages = [page(n, "aba " * (n + 1), source="words.pdf", vector=vector) for n, vector in enumerate(far)]
    with a_place(kind, tmp_path) as place:
        with place.open(replace(FINGERPRINT, dense_weight=weight)) as collection:
            collection.upsert(pages)
            alone = [each.payload.page for each in collection.search(np.eye(DIM)[0], "aba", limit=2)]
            collection.upsert(scans)
            found = [each.payload.page for each in collection.search(np.eye(DIM)[0], "aba", limit=4)]
        assert found == [alone[0], 100, alone[1], 101]
        if kind != "memory":
            with place.open(None) as again:  # who did not write them knows it too
                assert [each.payload.page for each in again.search(np.eye(DIM)[0], "aba", limit=4)] == found


def test_names_of_files_are_words_and_never_put_an_item_lower() -> None:
    dense = {"a": 0.9, "scan": 0.8, "photo": 0.1}
    assert [each for each, _ in hybrid_fusion(dense, {"a": 9.0, "photo": 1.0}, dense_weight=1.0)][-1] == "scan"
    fused = hybrid_fusion(dense, {"photo": 9.0, "a": 1.0}, dense_weight=0.01, wordless={"scan", "photo"})
    assert [each for each, _ in fused] == ["photo", "a", "scan"]


def test_more_items_without_words_than_with_keep_their_order() -> None:
    dense = {f"scan {number}": 1 - number / 100 for number in range(60)} | {"page": 0.1}
    fused = hybrid_fusion(dense, {"page": 3.0}, dense_weight=0.01, wordless={each for each in dense if each != "page"})
    assert [each for each, _ in fused] == ["page", *(each for each in dense if each != "page")]
    assert len(ranks(dict(fused))) == len(set(ranks(dict(fused)).values()))  # none counts as equal to another
    assert hybrid_fusion(dense, {}, dense_weight=1.0, wordless={"page"}) == reciprocal_rank_fusion([dense])


@pytest.mark.parametrize("kind", ENGINES)
def test_a_model_that_matches_words_finds_nothing_by_sight_where_no_word_occurs(kind: str, tmp_path: Path) -> None:
    with (
        a_place(kind, tmp_path) as place,
        place.open(replace(FINGERPRINT, dense_weight=0.01, matches_words=True)) as collection,
    ):
        collection.upsert([page(number, "aba bebe") for number in range(5)])
        assert collection.search(QUERY_VECTOR, "xyzzy") == []
        assert len(collection.search(QUERY_VECTOR, "bebe xyzzy")) == 5
        assert len(collection.search(QUERY_VECTOR, "xyzzy", mode="dense")) == 5
        assert len(collection.search(QUERY_VECTOR)) == len(collection.search(QUERY_VECTOR, "the of")) == 5
        collection.upsert([page(9)])
        assert [each.payload.page for each in collection.search(QUERY_VECTOR, "xyzzy")] == [9]


@pytest.mark.parametrize("kind", ENGINES)
def test_the_models_own_weight_is_recorded_and_counts_in_fusion(kind: str, tmp_path: Path) -> None:
    with a_place(kind, tmp_path) as place:
        with place.open(replace(FINGERPRINT, dense_weight=0.25)) as collection:
            collection.upsert(POINTS)
            dense, words = cosine_ranking(POINTS, QUERY_VECTOR), bm25_ranking(POINTS, "bebe dodo", POINTS)
            found = collection.search(QUERY_VECTOR, "bebe dodo", limit=40)
            assert_fused(collection, found, dense=dense, words=words, limit=40, weight=0.25)
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


def test_equal_scores_are_ordered_by_source_and_place(collection: Collection) -> None:
    same = np.ones(DIM)
    places = [(source, number) for source in ("b.pdf", "a.pdf") for number in (10, 2, 9, 1)]
    collection.upsert([replace_content(page(number, "aba", source=source, vector=same)) for source, number in places])
    for found in (
        collection.search(same, mode="dense", limit=20),
        collection.search(text="aba", mode="bm25", limit=20),
        collection.search(same, "aba", limit=20),
    ):
        assert [(each.payload.source, each.payload.page) for each in found] == sorted(places)
        assert len({each.score for each in found}) == 1


def replace_content(point: Point) -> Point:
    """The point as one of many with the same content, such as a page that stands in several files."""
    payload = replace(point.payload, content_hash="the same")
    return Point(id=payload.id, payload=payload, vector=point.vector)


def test_equal_scores_share_a_rank_whatever_order_an_engine_lists_them_in() -> None:
    dense = [("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.1)]
    words = [("c", 7.0), ("b", 7.0), ("a", 7.0)]
    expected = {"a": 1 / 61 + 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62 + 1 / 61, "d": 1 / 64}
    for sides in ([dict(dense), dict(words)], [dict(reversed(dense)), dict(reversed(words))]):
        assert dict(reciprocal_rank_fusion(sides)) == pytest.approx(expected)
    assert ranks({"a": 2.0, "b": 2.0 - 1e-7, "c": 1.0}) == {"a": 1, "b": 1, "c": 3}
    assert ranks(["a", "b"]) == {"a": 1, "b": 2}


def test_the_points_that_share_the_last_score_are_all_looked_at() -> None:
    """Which of them is returned is decided by their place, not by the order in which the engine gave them."""
    search = Search(sides={"bm25": Words([1], [1.0])}, mode="hybrid", limit=2, dense_weight=1.0)
    points = [page(number, source="x.pdf") for number in (3, 2, 1)]
    ranking = Ranking.of(search, {"bm25": [Scored(point.id, 5.0) for point in points]})
    assert set(ranking.without_payload) == {point.id for point in points}
    found = ranking.found({point.id: point.payload.to_dict() for point in points})
    assert [each.payload.page for each in found] == [1, 2]


def test_stemming_and_stopwords_follow_the_language(place: CollectionAddress) -> None:
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
    ranking = Ranking(limit=10, scored=list(scores.items()), by_side={"dense": scores})
    assert ranking.without_payload == [gone.id, kept.id]
    assert [(each.id, each.dense_score) for each in ranking.found({kept.id: kept.payload.to_dict()})] == [
        (kept.id, 0.5)
    ]
