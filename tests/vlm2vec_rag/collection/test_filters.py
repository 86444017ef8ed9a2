"""What a filter refuses, and how it is spelled for Qdrant."""

from __future__ import annotations

from typing import Any

import pytest

from vlm2vec_rag.collection import Filter
from vlm2vec_rag.collection.filters import field_path, matching
from vlm2vec_rag.errors import InvalidInput


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        ({"kinds": ["pdf"]}, "kinds holds 'pdf'; expected some of text, image, page, clip"),
        ({"kinds": "page"}, "kinds is the string 'page'; expected a list of strings"),
        ({"sources": "a.pdf"}, "sources is the string 'a.pdf'"),
        ({"paths": "a/"}, "paths is the string 'a/'"),
        ({"pages": (None, None)}, "give one end at least"),
        ({"pages": (9, 3)}, r"pages is \(9, 3\); expected the smaller end first"),
        ({"times_s": (9.5, 3.0)}, "expected the smaller end first"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(conditions: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Filter(**conditions)


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"tags": []}, "metadata field 'tags' may hold none of no values; leave the field out"),
        ({"": 1}, "metadata field '' cannot be filtered"),
        ({'a"b': 1}, "cannot be filtered"),
    ],
)
def test_metadata_that_cannot_be_compared_is_refused(metadata: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Filter(metadata=metadata).to_qdrant()


def test_an_empty_filter_lets_everything_through() -> None:
    assert Filter().to_qdrant() is None


def test_unusual_field_names_are_quoted() -> None:
    assert field_path("metadata", "author") == "metadata.author"
    assert field_path("metadata", "dc.title", "my key", "ünï") == 'metadata."dc.title"."my key"."ünï"'


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.pdf", ["a.pdf", "x/a.pdf", "x/[1].pdf"]),
        ("x/*", ["x/a.pdf", "x/[1].pdf"]),
        ("?.pdf", ["a.pdf", "x/a.pdf"]),
        ("/?.pdf", []),
        ("x*", []),
        ("x**", ["x/a.pdf", "x/[1].pdf"]),
        ("**/a.pdf", ["a.pdf", "x/a.pdf"]),
        ("x/[1].*", ["x/[1].pdf"]),
        ("*A.pdf", []),
    ],
)
def test_patterns_match_whole_sources(pattern: str, matched: list[str]) -> None:
    assert matching([pattern], ["a.pdf", "x/a.pdf", "x/[1].pdf", "b.txt"]) == matched
