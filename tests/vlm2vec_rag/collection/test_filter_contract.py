"""A filter lets through what its definition in plain Python does, on every engine, for filters made at random."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from points_and_places import DIM, ENGINES, a_place

from vlm2vec_rag.collection import Collection, Filter, Payload, Point

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SOURCES = ["a.pdf", "docs/a.pdf", "docs/old/b.pdf", "docs2/c.pdf", "films/x.mp4", "what?.pdf", "[1].pdf", "ünï/ß.pdf"]
METADATA: list[dict[str, Any]] = [
    {},
    {"author": "Ada", "year": 1843, "ok": True},
    {"author": "Grace", "year": 1952, "ok": False, "score": 0.5},
    {"author": ["Ada", "Grace"], "score": 2.0},
    {"deep": {"a.b": {"c": 1}}, "spaced key": "x", "ünï": "ß"},
    {"author": None, "year": 0, "score": -1.5},
    {"author": [], "deep": {"a.b": {"c": 2}}},
]


def _points() -> list[Point]:
    rng = np.random.default_rng(3)
    points = []
    for number in range(60):
        source = SOURCES[number % len(SOURCES)]
        is_clip = source.endswith("mp4")
        payload = Payload(
            source=source,
            kind="clip" if is_clip else ("page" if number % 3 else "text"),
            content_hash=f"c{number % 20}",
            fragment=str(number),
            page=None if is_clip or number % 3 == 0 else number % 11 + 1,
            start_s=number * 1.5 if is_clip else None,
            end_s=number * 1.5 + 10 if is_clip else None,
            file_hash=f"f{number % 4}",
            modified_at=None if number % 5 == 0 else START + timedelta(hours=number, microseconds=number),
            text="word",
            metadata=METADATA[number % len(METADATA)],
        )
        points.append(Point(id=payload.id, payload=payload, vector=rng.standard_normal(DIM).astype(np.float32)))
    return points


POINTS = _points()


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with a_place(request.param, tmp_path_factory.mktemp("filtered")) as place, place.open() as collection:
        collection.upsert(POINTS)
        yield collection


def passes(payload: Payload, chosen: Filter) -> bool:
    """The definition."""
    return (
        (not chosen.kinds or payload.kind in chosen.kinds)
        and (not chosen.sources or payload.source in chosen.sources)
        and (not chosen.paths or any(_on_path(payload.source, path) for path in chosen.paths))
        and (not chosen.content_hashes or payload.content_hash in chosen.content_hashes)
        and (not chosen.file_hashes or payload.file_hash in chosen.file_hashes)
        and payload.file_hash not in chosen.not_file_hashes
        and _within(payload.page, chosen.pages)
        and _overlaps(payload, chosen.times_s)
        and (chosen.modified_after is None or _is_timed(payload) >= chosen.modified_after)
        and (chosen.modified_before is None or _is_timed(payload, datetime.max) < chosen.modified_before)
        and _holds(payload.metadata, chosen.metadata)
    )


def _matches(names: list[str], pattern: list[str]) -> bool:
    """A path's names against a pattern's, one by one; `**` stands for any number of them."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[at:], pattern[1:]) for at in range(len(names) + 1))
    # brackets stand for themselves, in fnmatch they do not
    plain = [each.replace("[", "(") for each in (*names[:1], pattern[0])]
    return bool(names) and fnmatch.fnmatchcase(*plain) and _matches(names[1:], pattern[1:])


def _on_path(source: str, path: str) -> bool:
    if "*" in path or "?" in path:
        anywhere = [] if path.startswith("/") else ["**"]
        return _matches(source.split("/"), [*anywhere, *path.removeprefix("/").split("/")])
    return source.startswith(path) if path.endswith("/") else source == path


def _within(page: int | None, ends: tuple[int | None, int | None] | None) -> bool:
    if ends is None:
        return True
    first, last = ends
    return page is not None and (first is None or page >= first) and (last is None or page <= last)


def _overlaps(payload: Payload, ends: tuple[float | None, float | None] | None) -> bool:
    if ends is None:
        return True
    start_s, end_s = ends
    if payload.start_s is None or payload.end_s is None:
        return False
    return (start_s is None or payload.end_s > start_s) and (end_s is None or payload.start_s < end_s)


def _is_timed(payload: Payload, otherwise: datetime = datetime.min) -> datetime:
    return payload.modified_at or otherwise.replace(tzinfo=timezone.utc)


def _holds(there: Any, wanted: Mapping[str, object]) -> bool:
    for name, value in wanted.items():
        found = there.get(name) if isinstance(there, Mapping) else None
        if isinstance(value, Mapping):
            if not _holds(found, value):
                return False
        elif not any(_is_value(found, each) for each in (value if isinstance(value, list) else [value])):
            return False
    return True


def _is_value(found: Any, wanted: Any) -> bool:
    if wanted is None:
        return found is None or found == []
    values = found if isinstance(found, list) else [found]
    return any(each == wanted and isinstance(each, bool) == isinstance(wanted, bool) for each in values)


def _some(values: list[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.one_of(st.just([]), st.lists(st.sampled_from(values), max_size=most, unique_by=repr))


def _ends(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(st.none() | values, st.none() | values)
    known = pairs.filter(lambda pair: pair != (None, None))
    return st.none() | known.map(lambda pair: pair if None in pair else tuple(sorted(pair)))


PATHS = [
    *SOURCES,
    "docs/",
    "docs/old/",
    "nowhere/",
    "*.pdf",
    "docs*",
    "docs/**",
    "**/old/*",
    "*/?.pdf",
    "films/*.mp4",
    "[1]*",
    "*ß*",
    "x?",
]
WANTED: dict[str, list[Any]] = {
    "author": ["Ada", "Grace", "Linus", None, ["Ada", "Linus"], ["Grace", None]],
    "year": [1843, 0, 7, [0, 1952], None],
    "ok": [True, False, None],
    "score": [0.5, -1.5, 2.0, [0.5, 2.0]],
    "deep": [{"a.b": {"c": 1}}, {"a.b": {"c": [1, 2]}}, {"a.b": {"d": None}}],
    "spaced key": ["x", "y"],
    "ünï": ["ß"],
}
FILTERS = st.builds(
    Filter,
    kinds=_some(["page", "clip", "text", "image"]),
    sources=_some([*SOURCES, "nowhere.pdf"]),
    paths=_some(PATHS),
    pages=_ends(st.integers(0, 12)),
    times_s=_ends(st.floats(-1, 120, allow_nan=False) | st.sampled_from([0.0, 10.0, 16.0, 46.0])),
    modified_after=st.none() | st.integers(-2, 70).map(lambda hours: START + timedelta(hours=hours)),
    modified_before=st.none() | st.integers(-2, 70).map(lambda hours: START + timedelta(hours=hours, microseconds=7)),
    metadata=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in WANTED.items()}).map(
        lambda wanted: dict(list(wanted.items())[:2])
    ),
    content_hashes=_some(["c0", "c7", "c19", "c99"]),
    file_hashes=_some(["f0", "f1", "f9"]),
    not_file_hashes=_some(["f0", "f2", "f9"]),
)


def _mostly_empty(draw: st.DrawFn) -> Filter:
    """A filter with two or three conditions at most: one with all of them lets nothing through and shows nothing."""
    full = draw(FILTERS)
    kept = draw(st.sets(st.sampled_from(sorted(full.__dataclass_fields__)), max_size=3))
    return Filter(**{name: getattr(full, name) for name in kept})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.composite(_mostly_empty)())
def test_a_filter_lets_through_what_its_definition_does(filled: Collection, chosen: Filter) -> None:
    expected = {point.id for point in POINTS if passes(point.payload, chosen)}
    assert {point.id for point in filled.scroll(chosen)} == expected
    assert filled.count(chosen) == len(expected)
    found = filled.search(np.ones(DIM), "word", filter=chosen, limit=100)
    assert {each.id for each in found} == expected


CLIP = next(point.payload for point in POINTS if point.payload.kind == "clip" and point.payload.modified_at)
EDGES = [
    Filter(times_s=(CLIP.end_s, None)),
    Filter(times_s=(None, CLIP.start_s)),
    Filter(times_s=(CLIP.start_s, CLIP.start_s)),
    Filter(modified_after=CLIP.modified_at),
    Filter(modified_before=CLIP.modified_at),
    Filter(pages=(3, 3)),
]


@pytest.mark.parametrize("chosen", EDGES, ids=["start", "end", "moment", "after", "before", "page"])
def test_the_ends_of_a_stretch_belong_where_the_definition_says(filled: Collection, chosen: Filter) -> None:
    expected = {point.id for point in POINTS if passes(point.payload, chosen)}
    assert {point.id for point in filled.scroll(chosen)} == expected


@pytest.mark.parametrize("path", PATHS)
def test_every_path_selects_what_it_says(filled: Collection, path: str) -> None:
    expected = {point.payload.source for point in POINTS if _on_path(point.payload.source, path)}
    assert set(filled.sources(Filter(paths=[path]))) == expected


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WANTED.items() for value in values])
def test_every_metadata_value_selects_what_it_says(filled: Collection, name: str, value: Any) -> None:
    expected = {point.id for point in POINTS if _holds(point.payload.metadata, {name: value})}
    assert {point.id for point in filled.scroll(Filter(metadata={name: value}))} == expected
