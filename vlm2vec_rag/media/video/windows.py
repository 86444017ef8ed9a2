"""When the clips of a video begin and end, and which of its frames stand for a clip. Pure arithmetic."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

LONGEST_WINDOW = 1.25  # times window_s: a last window that would add less than a quarter is folded in


def count_windows(duration_s: float, window_s: float, overlap_s: float) -> int:
    return max(1, 1 + math.ceil((duration_s - LONGEST_WINDOW * window_s) / (window_s - overlap_s)))


def window(index: int, duration_s: float, window_s: float, overlap_s: float) -> tuple[float, float]:
    """(start_s, end_s) of a clip: one every `window_s - overlap_s` seconds from 0; the last ends with the video.

    A last window that would add less than a quarter of `window_s` is folded into the one before it. So a video of up
    to 1.25 times `window_s` is one clip, and no clip is a tiny tail.
    """
    step_s = window_s - overlap_s
    start_s = index * step_s
    if index == count_windows(duration_s, window_s, overlap_s) - 1:
        return start_s, duration_s
    return start_s, max(start_s + window_s, (index + 1) * step_s)  # rounding must not open a gap to the next one


def planned_windows(
    events_s: Sequence[float], duration_s: float, window_s: float, overlap_s: float
) -> list[tuple[float, float]]:
    """The windows in which something happens: a frame begins, or words appear. At most two for each such event.

    What a container says of its length alone plans nothing, so a forged one cannot plan thousands of clips.

    Args:
        events_s: When something happens, ascending, at least one.
        duration_s: Of the video.
        window_s: Of a clip.
        overlap_s: Of two clips that follow each other.
    """
    windows = (
        window(index, duration_s, window_s, overlap_s)
        for index in range(count_windows(duration_s, window_s, overlap_s))
    )
    return [
        (start_s, end_s) for start_s, end_s in windows if bisect_left(events_s, start_s) < bisect_left(events_s, end_s)
    ]


def choose_frames(
    ticks: Sequence[int], times_s: Sequence[float], start_s: float, end_s: float, count: int
) -> list[int]:
    """Which frames stand for `start_s <= time < end_s`: spread evenly by time, the first and the last among them.

    At a constant frame rate these are `np.linspace(first, last, count, dtype=int)`, as in the public code (exactly for
    8 frames; for other counts NumPy's rounding may take a frame earlier). At a varying rate each is the frame on screen
    at an even spacing in time, and none is taken twice. Where fewer than `count` frames exist all are taken. Where none
    begins in the stretch it is the one on screen when the stretch starts.

    Args:
        ticks: Time stamps of all frames, ascending, at least one.
        times_s: The same in seconds.
        start_s: Where the stretch starts.
        end_s: Where it ends.
        count: How many frames are wanted.

    Returns:
        Indices into `ticks`, ascending.
    """
    first, last = bisect_left(times_s, start_s), bisect_left(times_s, end_s) - 1
    if last < first:
        return [max(first - 1, 0)] if first == len(times_s) or times_s[first] > start_s else [first]
    if last - first < count:
        return list(range(first, last + 1))
    span = ticks[last] - ticks[first]  # whole ticks: no rounding can miss a frame that falls on a target
    targets = [ticks[first] + index * span // max(count - 1, 1) for index in range(count)]
    return sorted({bisect_right(ticks, target) - 1 for target in targets})
