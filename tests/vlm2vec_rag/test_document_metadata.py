"""Metadata comes back from a collection as it came, or its field is named in a refusal."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from vlm2vec_rag.collection import Payload, Point, open_collection
from vlm2vec_rag.documents import description, metadata_of, text_payload, with_description, without_description
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

METADATA: dict[str, Any] = {
    "text": "ä",
    "number": 1,
    "float": 1.5,
    "bool": True,
    "none": None,
    "aware": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "naive": datetime(2026, 1, 2, 3, 4),
    "date": date(2026, 1, 2),
    "tuple": (1, ("a", date(2026, 1, 2))),
    "set": {"b", "a"},
    "frozenset": frozenset({(1, 2), (3, 4)}),
    "path": Path("a/b.txt"),
    "uuid": UUID(int=7),
    "decimal": Decimal("1.10"),
    "deep": {"list": [{"when": date(2026, 1, 2)}, []], "dots.in.it": {1.5}},
    "numpy": np.float32(0.5),
}


@pytest.mark.parametrize("place", [":memory:", "folder"])
def test_metadata_comes_back_as_it_came_on_every_engine(place: str, tmp_path: Path) -> None:
    where = place if place == ":memory:" else tmp_path / "c"
    with open_collection(where, fingerprint=Fingerprint(model="words only")) as collection:
        payload = text_payload("words", METADATA, "00000000-0000-0000-0000-000000000001")
        collection.upsert([Point(id=payload.document_id, payload=payload)])
        [point] = collection.scroll()
        back = metadata_of(point.payload)
    assert back == METADATA
    for name, value in METADATA.items():
        if name != "numpy":  # a number like any other
            assert type(back[name]) is type(value)
    assert back["aware"].utcoffset() == METADATA["aware"].utcoffset() and back["naive"].tzinfo is None


def test_what_is_kept_is_plain_json_that_others_can_read_and_filter() -> None:
    kept = text_payload("words", METADATA, "1").to_dict()["metadata"]
    assert json.loads(json.dumps(kept)) == kept
    assert (kept["date"], kept["set"], kept["path"]) == ("2026-01-02", ["a", "b"], "a/b.txt")
    assert kept["aware"] == "2026-01-01T21:34:05.000006Z"


def test_a_field_that_someone_changed_since_is_given_as_it_is() -> None:
    stored = text_payload("words", {"date": date(2026, 1, 2), "deep": {"set": {1}}}, "1").to_dict()
    stored["metadata"] |= {"date": "tomorrow", "deep": 3}
    assert metadata_of(Payload.from_dict(stored)) == {"date": "tomorrow", "deep": 3}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": {"b": [1, math.nan]}}, "'a.b.1' is nan"),
        ({"a": np.float64("inf")}, "'a' is inf"),
        ({"a": np.zeros(3)}, "'a' holds a ndarray"),
        ({"a": [b"bytes"]}, "'a.0' holds a bytes"),
        ({"a": object()}, "'a' holds a object"),
        ({"a": timedelta(1)}, "'a' holds a timedelta"),
        ({"a": 2**64}, "'a' is 18446744073709551616"),
        ({"a": {1: "b"}}, "'a.1' has a name that is a int"),
        ({"a": "half \ud83d"}, r"'a' holds the lone surrogate '\\ud83d' at 5"),
        ({"a\udc00": 1}, "the name of metadata field"),
        ({"_framework": "mine"}, "'_framework' is this package's own"),
    ],
)
def test_what_cannot_be_given_back_is_refused_by_the_name_of_its_field(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        text_payload("words", metadata, "1")


def test_a_text_that_no_encoding_can_write_is_named() -> None:
    with pytest.raises(InvalidInput, match="text of document 'd' holds the lone surrogate"):
        text_payload("half \ud83d", {}, "d")


def test_an_image_without_words_has_a_description_and_no_text_is_lost() -> None:
    image = {"kind": "image", "source": "/m/red.png", "place": "/m/red.png", "content_hash": "1"}
    page = image | {"kind": "page", "place": "/m/a.pdf#page=3", "title": "Sums"}
    assert (description(image), description(page)) == ("image: /m/red.png", "page: Sums, /m/a.pdf#page=3")
    assert without_description(with_description("", page), page) == ""
    for text in ("words", "image: of a boat"):
        assert without_description(with_description(text, image), image) == text
    assert with_description("", {"kind": "image"}) == ""  # no document of a file
