"""Questions come from one page each, and the measures agree with their definitions."""

import math

import numpy as np
import pytest
from corpus import SPLITS, Pages
from metrics import bm25, chance_metrics, fuse, rank_of_right, ranking_metrics
from questions import draw_questions, headings, sentences


def page(lines: list[tuple[str, float]]) -> tuple[list[str], list[int], list[list[float]]]:
    """Words, line numbers and boxes of lines given as text and height."""
    words, numbers, boxes = [], [], []
    for number, (text, height) in enumerate(lines):
        for word in text.split():
            words.append(word)
            numbers.append(number)
            boxes.append([0.1, 0.05 * number, 0.2, 0.05 * number + height])
    return words, numbers, boxes


def pages_of(*given: list[tuple[str, float]]) -> Pages:
    parts = [page(lines) for lines in given]
    return Pages(
        paths=["a.pdf"] * len(parts), packages=["a"] * len(parts), numbers=np.arange(len(parts), dtype=np.int32),
        sizes=np.full((len(parts), 2), 600, dtype=np.float32), starts=np.cumsum([0, *(len(part[0]) for part in parts)]),
        words=[word for part in parts for word in part[0]], boxes=np.array([box for part in parts for box in part[2]]),
        lines=np.array([line for part in parts for line in part[1]], dtype=np.int32),
    )  # fmt: skip


BODY = [("We describe how surveillance systems detect outbreaks in weekly counts early.", 0.012)] * 3
FOOT = [("Printed with the same small footer on every page of it.", 0.012)]


def test_no_package_is_in_two_splits():
    names = [name for packages in SPLITS.values() for name in packages]
    assert len(names) == len(set(names))


def test_a_heading_is_a_line_set_larger_without_its_number():
    pages = pages_of([("3.2 Modelling Outbreak Detection", 0.02), *BODY])
    assert headings(pages, 0) == ["Modelling Outbreak Detection"]


def test_a_sentence_ends_with_its_full_stop():
    pages = pages_of([*BODY[:1], ("and no capital begins this one at all here.", 0.012)])
    assert sentences(pages, 0) == [BODY[0][0]]


def test_a_text_on_two_pages_asks_for_neither():
    pages = pages_of([("Modelling Outbreak Detection", 0.02), *FOOT], [("Fitting Zoo Series", 0.02), *FOOT])
    assert {each.text for each in draw_questions(pages, 10, 0)} == {
        "Modelling Outbreak Detection",
        "Fitting Zoo Series",
    }


def test_measures_agree_with_their_definitions():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.3, 0.4], [0.1, 0.1, 0.1]])
    places = rank_of_right(scores, np.array([0, 0, 1]))
    assert places.tolist() == [0, 2, 2]  # the third: ties count against it
    assert ranking_metrics(places)["ndcg@5"] == pytest.approx((1 + 2 / math.log2(4)) / 3)
    assert ranking_metrics(places)["hit@1"] == pytest.approx(1 / 3)


def test_chance_is_the_mean_over_all_orders():
    every_place = ranking_metrics(np.arange(40))
    assert chance_metrics(40) == pytest.approx(every_place)


def test_bm25_agrees_with_one_worked_out_by_hand():
    scores = bm25(["Rare words"], ["rare words here", "words here", "here here"])
    average, expected = 7 / 3, 0.0
    for holding in (1, 2):
        idf = math.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        expected += idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / average))
    assert scores[0, 0] == pytest.approx(expected)
    assert scores[0, 2] == 0


def test_fusion_adds_reciprocal_places():
    fused = fuse(np.array([[3.0, 2.0]]), np.array([[1.0, 5.0]]), weights=(1.0, 0.5))
    np.testing.assert_allclose(fused, [[1 / 61 + 0.5 / 62, 1 / 62 + 0.5 / 61]])
