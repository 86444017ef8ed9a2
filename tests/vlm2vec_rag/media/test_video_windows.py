"""When clips begin and end, and which frames stand for them, against np.linspace and a slow definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm2vec_rag.media.video.windows import choose_frames, count_windows, window


def windows(duration_s, window_s=30.0, overlap_s=5.0):
    count = count_windows(duration_s, window_s, overlap_s)
    return [window(index, duration_s, window_s, overlap_s) for index in range(count)]


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.04, [(0, 0.04)]),
        (12.5, [(0, 12.5)]),
        (30, [(0, 30)]),
        (37.5, [(0, 37.5)]),  # a tail of a quarter is folded in
        (37.6, [(0, 30), (25, 37.6)]),
        (55, [(0, 30), (25, 55)]),
        (62, [(0, 30), (25, 62)]),
        (80, [(0, 30), (25, 55), (50, 80)]),
    ],
)
def test_windows_of_30_s_that_overlap_by_5(duration_s, expected):
    assert windows(duration_s) == expected


@given(st.floats(0.01, 20_000), st.floats(10, 600), st.floats(0, 0.8))
@settings(max_examples=300, deadline=None)
def test_windows_cover_the_video_without_tiny_tails(duration_s, window_s, overlap):
    found = windows(duration_s, window_s, overlap * window_s)
    assert found[0][0] == 0 and found[-1][1] == duration_s
    for (_, end_s), (start_s, _) in itertools.pairwise(found):
        assert start_s <= end_s  # no gap
    if len(found) > 1:
        lengths = [end_s - start_s for start_s, end_s in found]
        assert lengths[:-1] == pytest.approx([window_s] * (len(found) - 1), abs=1e-6)
        assert (0.25 + overlap) * window_s - 1e-6 <= lengths[-1] <= 1.25 * window_s + 1e-6


def chosen_slowly(times_s, start_s, end_s, count):
    """The definition: even spacing in time, the frame on screen at each, doubles dropped."""
    inside = [index for index, time_s in enumerate(times_s) if start_s <= time_s < end_s]
    if not inside:
        return [max([0, *(index for index, time_s in enumerate(times_s) if time_s <= start_s)])]
    if len(inside) <= count:
        return inside
    first, last = times_s[inside[0]], times_s[inside[-1]]
    targets = [first + (last - first) * index / max(count - 1, 1) for index in range(count)]
    return sorted({max(index for index in inside if times_s[index] <= target + 1e-9) for target in targets})


@given(st.integers(1, 4000), st.sampled_from([1, 512, 1001, 3003]))
@settings(max_examples=500, deadline=None)
def test_at_a_constant_rate_eight_frames_are_those_of_linspace(frames, tick):
    ticks = [tick * index for index in range(frames)]
    times_s = [value / 30_000 for value in ticks]
    expected = np.linspace(0, frames - 1, min(8, frames), dtype=int).tolist()
    assert choose_frames(ticks, times_s, 0.0, frames * tick, 8) == expected


@given(
    st.lists(st.integers(1, 4000), min_size=1, max_size=60),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 12),
)
@settings(max_examples=500, deadline=None)
def test_at_a_varying_rate_frames_are_even_in_time(gaps, start, length, count):
    ticks = np.cumsum([0, *gaps]).tolist()
    times_s = [tick / 1000 for tick in ticks]
    start_s = round(start * times_s[-1], 3)
    end_s = round(start_s + length * (times_s[-1] - start_s), 3) + 0.0005
    assert choose_frames(ticks, times_s, start_s, end_s, count) == chosen_slowly(times_s, start_s, end_s, count)


def test_a_stretch_in_which_no_frame_begins_shows_the_one_on_screen():
    assert choose_frames([0, 1000, 9000], [0.0, 1.0, 9.0], 3.0, 5.0, 8) == [1]


def test_the_time_of_a_frame_finds_that_frame():
    ticks = list(range(0, 3003 * 1000, 3003))
    times_s = [tick / 90_000 for tick in ticks]
    for index in range(1000):
        assert choose_frames(ticks, times_s, times_s[index], times_s[index], 1) == [index]
