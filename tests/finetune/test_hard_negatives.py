"""Mining: the highest-scoring wrong answers that stay below the right one by the margin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from vlm2vec_finetune import Content, Pair
from vlm2vec_finetune.mining import mine

from vlm2vec_rag.encoder.base import Vectors
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.errors import InvalidInput

# cosine with the question, which is (1, 0)
COSINES = {"right": 0.9, "another right": 0.6, "unnoticed answer": 0.95, "too near": 0.87, "hard": 0.8, "easy": 0.1}


def encode(sides: Sequence[tuple[str, Content]]) -> Vectors:
    cosines = np.asarray(
        [1.0 if c.text == "question" else COSINES.get(c.text, 0.0) for _, c in sides], dtype=np.float32
    )
    return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)


def pair(query: str, target: str) -> Pair:
    return Pair(query=Content(text=query), target=Content(text=target))


PAIRS = [pair("question", "right"), pair("question", "another right")]
PAIRS += [pair(f"of {text}", text) for text in ("unnoticed answer", "too near", "hard", "easy")]


def texts(mined: Pair) -> list[str]:
    return [each.text for each in mined.negatives]


def test_what_is_near_the_answer_is_left_alone() -> None:
    mined = mine(PAIRS, encode, PROMPTS, per_pair=2, margin=0.05)
    assert texts(mined.pairs[0]) == ["hard", "easy"]
    assert texts(mine(PAIRS, encode, PROMPTS, per_pair=2, margin=0.0).pairs[0]) == ["too near", "hard"]


def test_other_answers_of_the_same_question_are_no_negatives() -> None:
    mined = mine(PAIRS, encode, PROMPTS, per_pair=5, margin=0.0)
    assert "another right" not in texts(mined.pairs[0])
    assert "right" not in texts(mined.pairs[1])


def test_the_guard_is_counted() -> None:
    mined = mine(PAIRS[:1] + PAIRS[2:], encode, PROMPTS, per_pair=2)
    first = mined.pairs[0]
    assert texts(first) == ["hard", "easy"]
    assert mined.guarded >= 2  # the unnoticed answer and the near one
    assert mined.found == sum(len(each.negatives) for each in mined.pairs)
    assert mined.without == sum(not each.negatives for each in mined.pairs)


def test_a_collection_is_looked_in_when_given() -> None:
    found = [(Content(pdf="b.pdf", page=2), 0.5), (Content(pdf="c.pdf", page=1), 0.99)]
    mined = mine(PAIRS[:1], encode, PROMPTS, search=lambda vector, limit: found[:limit])
    assert mined.pairs[0].negatives == (Content(pdf="b.pdf", page=2),)


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="margin 1"):
        mine(PAIRS, encode, PROMPTS, margin=1.0)
