"""Every engine a collection runs on, behind one fixture."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlm2vec_rag.collection import Collection
from vlm2vec_rag.errors import CollectionNotFound

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from fake_qdrant import FakeQdrant
from points_and_places import Place

SERVER_URL = os.environ.get("QDRANT_URL")
"""A real server to hold to the same contract, where there is one."""

LASTING = ["embedded", "rest", *(["server"] if SERVER_URL else [])]


@pytest.fixture(params=[*LASTING, "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place on each engine."""
    yield from _places(request.param, tmp_path)


@pytest.fixture(params=LASTING)
def lasting_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place on each engine that keeps a collection after it was closed."""
    yield from _places(request.param, tmp_path)


def _places(kind: str, tmp_path: Path) -> Iterator[Place]:
    if kind == "embedded":
        yield Place(kind, str(tmp_path / "my.vlm2vec"))
    elif kind == "memory":
        yield Place(kind, ":memory:")
    elif kind == "rest":
        with FakeQdrant() as fake:
            yield Place(kind, fake.url)
    else:
        place = Place(kind, str(SERVER_URL))
        yield place
        with contextlib.suppress(CollectionNotFound):
            place.open(None).drop()


@pytest.fixture
def collection(place: Place) -> Iterator[Collection]:
    """An empty collection on each engine."""
    with place.open() as collection:
        yield collection


@pytest.fixture
def fake() -> Iterator[FakeQdrant]:
    with FakeQdrant() as fake:
        yield fake
