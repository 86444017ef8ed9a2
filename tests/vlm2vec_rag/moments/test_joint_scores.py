"""Frames and words as one score: each keeps its own scale, and words that were said are never outvoted by looks."""

from hypothesis import given
from hypothesis import strategies as st

from vlm2vec_rag.moments.scoring import joint
from vlm2vec_rag.moments.spans import Span


def spans(scores):
    return [Span(index, index + 1, score) for index, score in enumerate(scores)]


def scores(joined):
    return [each.score for each in joined]


def test_one_side_alone_keeps_its_scale():
    assert scores(joint(spans([-0.5, 0.5, 0.0]), spans([0, 0, 0]))) == [0, 1, 0.5]
    assert scores(joint([], spans([0, 2, 4]))) == [0, 0.5, 1]
    assert scores(joint(spans([0.3]), spans([0]))) == [1]
    assert joint([], []) == []


def test_words_that_stand_everywhere_tell_nothing_apart():
    looks, both = joint(spans([0.1, 0.3]), spans([0, 0])), joint(spans([0.1, 0.3]), spans([2, 2]))
    gaps = [joined[1].score - joined[0].score for joined in (looks, both)]
    assert gaps[0] > gaps[1] > 0


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 9, allow_subnormal=False)), min_size=2, max_size=8).filter(
        lambda pairs: max(words for _, words in pairs) > 0.01
    )
)
def test_where_the_words_are_said_best_is_before_where_they_are_not(pairs):
    joined = joint(spans([dense for dense, _ in pairs]), spans([words for _, words in pairs]))
    said_best = max(range(len(pairs)), key=lambda index: pairs[index][1])
    unsaid = [each.score for each, (_, words) in zip(joined, pairs, strict=True) if words == 0]
    assert all(joined[said_best].score > score for score in unsaid)
    assert all(-1e-9 <= each.score <= 1 + 1e-9 for each in joined)
