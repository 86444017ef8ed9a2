"""Every comparison of metadata against its plain-Python definition, on every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_qdrant import FakeQdrant
from qdrant_client import models

from vlm2vec_rag.collection import Collection, Payload, Point, open_collection
from vlm2vec_rag.document_filters import OPERATORS, DocumentFilters
from vlm2vec_rag.documents import point_id_of, text_payload
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
HELD: dict[str, Any] = {
    "one": 1,
    "one point": 1.0,
    "half": 2.5,
    "big": 2**60 + 1,
    "bigger": 2**60 + 2,
    "one as text": "1",
    "word": "Apple pie",
    "lower": "apple",
    "umlaut": "ÄPFEL",
    "day": "2026-01-31",
    "date": date(2026, 2, 1),
    "noon": NOON,
    "noon in Berlin": "2026-01-31T13:00:00+01:00",
    "noon without a zone": "2026-01-31 12:00:00",
    "no date": "2026-13-45",
    "true": True,
    "list": ["Apple pie", "b", 1],
    "nested list": [NOON],
    "empty list": [],
    "nothing": None,
    "blank": "",
    "mapping": {"inner": 1},
}
ABSENT = "absent"
VALUES: list[Any] = [
    1, 1.0, 2.5, 2**60 + 1, "1", "Apple pie", "apple", "äpfel", "b", "", "2026-01-31", NOON, "2026-01-31T12:00:00Z",
    "2026-13-45", True, False,
]  # fmt: skip
LISTS: list[list[Any]] = [[], [1], [1, "b"], ["Apple pie", "b"], ["Apple pie", "nowhere"], [2.5, NOON], [None, "b"]]


def plain(value: Any) -> Any:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def values_of(held: Any) -> list[Any]:
    listed = held if isinstance(held, list) else [held]
    return [str(each) if type(each) is date else plain(each) for each in listed if each is not None]


def moment(value: Any, *, of_day: bool = False) -> datetime | None:
    """The moment that a text names; a day alone is one only where times are put in order."""
    if not isinstance(value, str) or len(value) < (10 if of_day else 16):
        return None
    try:
        made = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=timezone.utc)


def same(held: Any, value: Any) -> bool:
    if isinstance(held, bool) or isinstance(value, bool):
        return held is value
    return held == value or (moment(held) is not None and moment(held) == moment(value))


def is_empty(held: Any) -> bool:
    return held is None or held in ("", [])


def ordered(held: Any, operator: str, value: Any) -> bool:
    if isinstance(value, str):
        held, value = moment(held, of_day=True), moment(value, of_day=True)
        if held is None:
            return False
    elif isinstance(held, bool) or not isinstance(held, int | float):
        return False
    return {">": held > value, ">=": held >= value, "<": held < value, "<=": held <= value}[operator]


def passes(held: Any, operator: str, value: Any) -> bool:
    """The definition, in the words of the module."""
    holds, texts = values_of(held), [each for each in values_of(held) if isinstance(each, str)]

    def equal(to: Any) -> bool:
        return is_empty(held) if to is None else any(same(each, plain(to)) for each in holds)

    definitions: dict[str, Callable[[], bool]] = {
        "==": lambda: equal(value),
        "!=": lambda: not equal(value),
        "in": lambda: any(equal(each) for each in value),
        "nin": lambda: not any(equal(each) for each in value),
        "all": lambda: bool(value) and all(equal(each) for each in value),
        "contains text": lambda: any(plain(value) in each for each in texts),
        "contains text of any case": lambda: any(plain(value).casefold() in each.casefold() for each in texts),
        "is empty": lambda: is_empty(held),
    }
    in_order = lambda: any(ordered(each, operator, plain(value)) for each in holds)  # noqa: E731
    return definitions.get(operator, in_order)()


@pytest.fixture(scope="module", params=["memory", "embedded", "rest"])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Texts that hold each of the values, one that holds none, and a page, an image and a clip of files."""
    texts = {name: text_payload("words", {"x": held, "deep": {"x": held}}, name) for name, held in HELD.items()}
    texts[ABSENT] = text_payload("words", {}, ABSENT)
    files = {
        "page": Payload(source="/a/Report.pdf", kind="page", content_hash="1", fragment="page=2", page=2, title="Sums"),
        "image": Payload(source="/b/red.png", kind="image", content_hash="2", metadata={"kind": "of blue", "a.b": 1}),
        "clip": Payload(source="/b/talk.mp4", kind="clip", content_hash="3", fragment="t=0,3", start_s=0.0, end_s=3.0),
    }
    with FakeQdrant() as fake:
        places = {"memory": ":memory:", "rest": fake.url, "embedded": str(tmp_path_factory.mktemp("at") / "x")}
        with open_collection(places[request.param], fingerprint=Fingerprint(model="words only")) as opened:
            opened.upsert(Point(id=point_id_of(name), payload=each) for name, each in (texts | files).items())
            yield opened


NAMES = {point_id_of(name): name for name in [*HELD, ABSENT, "page", "image", "clip"]}


def passing(collection: Collection, wanted: models.Filter | None) -> set[str]:
    return {NAMES[point.id] for point in collection.scroll(wanted)}


@pytest.mark.parametrize("name", ["x", "deep.x"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_comparison_passes_what_its_definition_says(collection: Collection, operator: Any, name: str) -> None:
    compared = DocumentFilters(collection)
    values = LISTS if operator in ("in", "nin", "all") else [*VALUES, None] if operator in ("==", "!=") else VALUES
    if operator in (">", ">=", "<", "<="):
        values = [each for each in values if each != 2**60 + 1]  # engines put whole numbers in order as floats, or not
    refused = 0
    for value in values:
        try:
            wanted = compared.compare(name, operator, value)
        except InvalidInput as error:
            assert f"{name!r} is compared ({operator}) with {value!r}" in str(error)
            refused += 1
            continue
        found = passing(collection, wanted) & (HELD.keys() | {ABSENT})
        expected = {each for each, held in {**HELD, ABSENT: None}.items() if passes(held, operator, value)}
        assert found == expected, (operator, value)
    texts, times = sum(isinstance(each, str) for each in VALUES) + 1, 3  # a datetime is a text as well
    numbers = sum(isinstance(each, int | float) and not isinstance(each, bool) for each in VALUES)
    unfit = {"contains text": len(VALUES) - texts, "contains text of any case": len(VALUES) - texts}
    unfit |= dict.fromkeys((">", ">=", "<", "<="), len(values) - (numbers - 1) - times)
    assert refused == unfit.get(operator, 0)


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("kind", "==", "page", {"page"}),
        ("kind", "in", ["page", "of blue"], {"page", "image"}),
        ("page", ">=", 2, {"page"}),
        ("page", "==", 2.0, {"page"}),
        ("start_s", "==", 0, {"clip"}),
        ("end_s", "<", 3.5, {"clip"}),
        ("source", "==", "/b/red.png", {"image"}),
        ("source", "contains text", "/b/", {"image", "clip"}),
        ("file_name", "==", "red.png", {"image"}),
        ("file_name", "in", ["red.png", "talk.mp4", "gone.png"], {"image", "clip"}),
        ("file_name", "contains text of any case", "report", {"page"}),
        ("file_name", "contains text", "report", set()),
        ("place", "==", "/a/Report.pdf#page=2", {"page"}),
        ("place", "==", "/a/Report.pdf", set()),
        ("place", "==", "/b/red.png", {"image"}),
        ("place", "in", ["/b/talk.mp4#t=0,3", "/b/red.png"], {"clip", "image"}),
        ("title", "contains text of any case", "SUM", {"page"}),
        ("a.b", "==", 1, {"image"}),
    ],
)
def test_fields_of_files_are_compared_by_their_names(
    collection: Collection, name: str, operator: Any, value: Any, expected: set[str]
) -> None:
    compared = DocumentFilters(collection)
    assert passing(collection, compared.compare(name, operator, value)) == expected
    if operator in ("==", "in"):
        opposite = compared.compare(name, {"==": "!=", "in": "nin"}[operator], value)
        assert passing(collection, opposite) == set(NAMES.values()) - expected


def test_what_has_no_file_has_no_name_or_place_of_one(collection: Collection) -> None:
    compared = DocumentFilters(collection)
    for name in ("page", "title", "start_s"):
        assert {"page", "clip"} - passing(collection, compared.compare(name, "is empty", None))
    assert "image" not in passing(collection, compared.compare("file_name", "is empty", None))


@pytest.mark.parametrize(
    ("name", "operator", "value", "message"),
    [
        ("x", ">", "apple", "expected a number, or a date such as"),
        ("x", ">", None, "expected a number, or a date"),
        ("x", "<", True, "expected a number, or a date"),
        ("x", "==", math.nan, "expected text, a number"),
        ("x", "==", {"inner": 1}, "expected text, a number"),
        ("x", "contains text", 1, "expected text"),
        ("x", "in", None, "expected a list of values"),
        ("place", "contains text", "page", "filter by 'source'"),
        ("file_name", "==", 1, "cannot be compared with 1"),
        ("file_name", ">", 1, "is a text and cannot be compared"),
        ('a"b', "==", 1, "no quote"),
    ],
)
def test_what_cannot_be_compared_is_named(
    collection: Collection, name: str, operator: Any, value: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        DocumentFilters(collection).compare(name, operator, value)
    assert name.partition(".")[0] in str(raised.value)


def test_a_date_may_be_given_as_any_type_that_is_stored_as_its_text(collection: Collection) -> None:
    compared = DocumentFilters(collection)
    assert passing(collection, compared.compare("x", "==", date(2026, 1, 31))) == {"day"}
    after = NOON + timedelta(hours=12)
    assert passing(collection, compared.compare("x", ">=", after)) == {"date"}
    assert passing(collection, compared.compare("x", "==", Path("b"))) == {"list"}
