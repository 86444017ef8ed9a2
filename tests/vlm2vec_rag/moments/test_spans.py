"""Joining, suppressing and sharpening agree with their slow definitions."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.moments.spans import Span, cut, merge, rescaled, sharpen, suppress, temporal_iou

SCORES = st.integers(0, 6).map(float)  # whole numbers: sums are exact, and ties occur
SPANS = st.lists(
    st.builds(
        lambda start, length, score: Span(start, start + length, score), st.integers(0, 20), st.integers(1, 8), SCORES
    ),
    max_size=8,
)


def windows_of(scores, length=30.0, stride=25.0):
    return [Span(index * stride, index * stride + length, score) for index, score in enumerate(scores)]


def test_iou_counts_seconds():
    def covers(span, second):
        return span.start_s <= second < span.end_s

    def slowly(one, other):
        both = sum(covers(one, second) and covers(other, second) for second in range(40))
        hull = max(one.end_s, other.end_s) - min(one.start_s, other.start_s)
        return both / hull

    for one in (Span(0, 4, 0), Span(3, 9, 0), Span(20, 30, 0)):
        for other in (Span(2, 6, 0), Span(0, 4, 0), Span(25, 40, 0)):
            assert temporal_iou(one, other) == slowly(one, other) == temporal_iou(other, one)


def merge_slowly(windows, keep):
    """By definition: of all stretches around the best free window, the longest whose every window may join."""
    windows = sorted(windows, key=lambda each: each.start_s)
    ordinary, free, found = median(each.score for each in windows), set(range(len(windows))), []
    while free:
        peak = min(free, key=lambda index: (-windows[index].score, index))
        score = windows[peak].score
        if found and score <= ordinary:
            break
        least = ordinary + keep * (score - ordinary)
        stretches = [
            (first, last)
            for first in range(peak + 1)
            for last in range(peak, len(windows))
            if all(
                index in free and (index == peak or windows[index].score >= least) for index in range(first, last + 1)
            )
        ]
        first, last = max(stretches, key=lambda ends: ends[1] - ends[0])
        free -= set(range(first, last + 1))
        found.append(Span(windows[first].start_s, windows[last].end_s, score))
    return found


@given(scores=st.lists(SCORES, min_size=1, max_size=9), keep=st.sampled_from([0.0, 0.25, 0.5, 1.0]), seed=st.randoms())
def test_merging_is_its_definition_whatever_the_order(scores, keep, seed):
    windows = windows_of(scores)
    shuffled = seed.sample(windows, len(windows))
    assert merge(shuffled, keep=keep) == merge_slowly(windows, keep)


def test_windows_apart_are_no_neighbours():
    apart = [Span(0, 30, 5.0), Span(100, 130, 5.0), Span(200, 230, 0.0), Span(300, 330, 0.0)]
    assert [(each.start_s, each.end_s) for each in merge(apart)] == [(0, 30), (100, 130)]


@given(spans=SPANS, most=st.sampled_from([0.0, 0.3, 0.7]))
def test_suppression_keeps_a_span_unless_a_better_kept_one_covers_it(spans, most):
    kept = suppress(spans, max_iou=most)
    assert kept == sorted(kept, key=lambda each: (-each.score, each.start_s, each.end_s))
    rest = list(spans)
    for each in kept:
        rest.remove(each)
        better = kept[: kept.index(each)]
        assert all(temporal_iou(each, other) <= most for other in better)
    for each in rest:
        assert any(temporal_iou(each, other) > most and other.score >= each.score for other in kept)


@given(scores=st.lists(SCORES, min_size=1, max_size=12))
def test_sharpening_is_the_best_run_of_all(scores):
    cells = [Span(index, index + 1, score) for index, score in enumerate(scores)]
    middle = (min(scores) + max(scores)) / 2
    runs = [(first, last) for first in range(len(scores)) for last in range(first, len(scores))]
    totals = {run: sum(score - middle for score in scores[run[0] : run[1] + 1]) for run in runs}
    found = sharpen(cells)
    if len(set(scores)) == 1:
        assert (found.start_s, found.end_s) == (0, len(scores))
    else:
        assert totals[int(found.start_s), int(found.end_s) - 1] == max(totals.values())
    assert found.score == max(scores[int(found.start_s) : int(found.end_s)])


def test_a_weak_cell_inside_a_strong_stretch_does_not_cut_it():
    cells = [Span(index, index + 1, score) for index, score in enumerate([0, 1, 8, 9, 4, 9, 8, 0, 5, 0])]
    assert (sharpen(cells).start_s, sharpen(cells).end_s) == (2, 7)


def test_cells_fill_a_stretch_without_a_gap():
    cells = cut(3.0, 10.0, 7)
    assert [each.start_s for each in cells] == [3, 4, 5, 6, 7, 8, 9] and cells[-1].end_s == 10


def test_rescaling_keeps_order_and_ends():
    assert [each.score for each in rescaled(windows_of([3, 7, 5]))] == [0, 1, 0.5]
    assert [each.score for each in rescaled(windows_of([4, 4]))] == [1, 1] and rescaled([]) == []


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InvalidInput, match="keep is 2"):
        merge(windows_of([1]), keep=2)
    with pytest.raises(EmptyInput, match="no cells"):
        sharpen([])
    assert merge([]) == []
