"""Stretches of a video with scores: join neighbours, keep the best of those that overlap, find edges.

Pure functions: no video, model or collection is touched here. Scores only need an order and a scale that holds within
one video; whether they are cosines or sums of word weights makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from vlm2vec_rag.errors import EmptyInput, InvalidInput


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one video: `start_s <= time < end_s`."""

    start_s: float
    end_s: float
    score: float


def temporal_iou(one: Span, other: Span) -> float:
    """Seconds that two stretches share over seconds that either covers: 1 for the same, 0 for apart."""
    shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    covered = max(one.end_s, other.end_s) - min(one.start_s, other.start_s)
    return max(shared, 0.0) / covered if covered > 0 else float(one == other)


def merge(windows: Sequence[Span], *, ordinary: float | None = None, keep: float = 0.5) -> list[Span]:
    """Join neighbouring windows around each peak.

    The best window that is left is a peak. Windows next to it join it while their score is at least `keep` of the way
    from the ordinary score up to the peak. Then the next best window that is left is a peak, as long as it stands out
    from the ordinary.

    Args:
        windows: All windows of one video, in any order; neighbours touch or overlap.
        ordinary: What a window scores that has nothing to do with it; None takes these windows' median.
        keep: 1 joins only windows as good as the peak, 0 all that are above the ordinary.

    Returns:
        The joined stretches with their peaks' scores, best first. They share no window.
    """
    if not 0 <= keep <= 1:
        raise InvalidInput(f"keep is {keep}; expected 0 to 1")
    if not windows:
        return []
    in_time = sorted(windows, key=lambda each: (each.start_s, each.end_s))
    if ordinary is None:
        ordinary = median(each.score for each in in_time)
    is_left = [True] * len(in_time)
    found: list[Span] = []
    for peak in sorted(range(len(in_time)), key=lambda index: (-in_time[index].score, index)):
        score = in_time[peak].score
        if not is_left[peak] or (found and score <= ordinary):
            continue
        least = ordinary + keep * (score - ordinary)
        first = last = peak
        while first > 0 and _joins(in_time, is_left, first, first - 1, least):
            first -= 1
        while last < len(in_time) - 1 and _joins(in_time, is_left, last, last + 1, least):
            last += 1
        is_left[first : last + 1] = [False] * (last + 1 - first)
        end_s = max(each.end_s for each in in_time[first : last + 1])
        found.append(Span(in_time[first].start_s, end_s, score))
    return found


def suppress(spans: Sequence[Span], *, max_iou: float = 0.3) -> list[Span]:
    """Non-maximum suppression: best first, without those that overlap a better one by more than `max_iou`."""
    kept: list[Span] = []
    for each in sorted(spans, key=lambda span: (-span.score, span.start_s, span.end_s)):
        if all(temporal_iou(each, better) <= max_iou for better in kept):
            kept.append(each)
    return kept


def sharpen(cells: Sequence[Span], enough: float = math.inf) -> Span:
    """The stretch of consecutive cells that stands out most: its edges are where the score crosses its middle.

    It is the run of cells whose scores exceed the middle between the lowest and the highest by the most in all, so a
    single weak cell inside a strong stretch does not cut it in two.

    Args:
        cells: Consecutive cells in order of time.
        enough: A score that is inside in any case; where the middle lies above it, it takes the middle's place. Without
            it a stretch that is the same all along would be cut where it varies by chance.

    Returns:
        The stretch with the score of its best cell; all cells where none stands out.

    Raises:
        EmptyInput: There are no cells.
    """
    if not cells:
        raise EmptyInput("no cells to find edges in; expected at least one")
    scores = [each.score for each in cells]
    middle = min((min(scores) + max(scores)) / 2, enough)
    best_total, best_first, best_last = 0.0, 0, len(cells) - 1
    total, first = 0.0, 0
    for index, score in enumerate(scores):
        if total <= 0:
            total, first = 0.0, index
        total += score - middle
        if total > best_total:
            best_total, best_first, best_last = total, first, index
    run = cells[best_first : best_last + 1]
    return Span(run[0].start_s, run[-1].end_s, max(each.score for each in run))


def cut(start_s: float, end_s: float, count: int) -> list[Span]:
    """`count` equal cells that fill a stretch, without scores."""
    step = (end_s - start_s) / count
    edges = [start_s + index * step for index in range(count)] + [end_s]
    return [Span(first, last, 0.0) for first, last in pairwise(edges)]


def rescaled(spans: Sequence[Span]) -> list[Span]:
    """The same spans with scores from 0, the lowest, to 1, the highest; all 1 where they are equal."""
    if not spans:
        return []
    low, high = min(each.score for each in spans), max(each.score for each in spans)
    if low == high:
        return [replace(each, score=1.0) for each in spans]
    return [replace(each, score=(each.score - low) / (high - low)) for each in spans]


def _joins(in_time: Sequence[Span], is_left: Sequence[bool], at: int, next_to: int, least: float) -> bool:
    one, other = sorted((in_time[at], in_time[next_to]), key=lambda each: each.start_s)
    touches = other.start_s <= one.end_s
    return touches and is_left[next_to] and in_time[next_to].score >= least
