"""Every engine a collection runs on, behind one fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_qdrant import FakeQdrant
from points_and_places import ENGINES, LASTING_ENGINES, CollectionAddress, a_place

from vlm2vec_rag.collection import Collection, Filter


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CollectionAddress]:
    """An empty place on each engine."""
    with a_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture(params=LASTING_ENGINES)
def lasting_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CollectionAddress]:
    """An empty place on each engine that keeps a collection after it was closed."""
    with a_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture(scope="session")
def embedded_collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """One for many tests, since it takes a third of a second to make one."""
    with CollectionAddress("embedded", str(tmp_path_factory.mktemp("embedded"))).open() as collection:
        yield collection


@pytest.fixture(params=ENGINES)
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    """An empty collection on each engine."""
    if request.param == "embedded":
        collection = request.getfixturevalue("embedded_collection")
        collection.delete(Filter())
        yield collection
        return
    with a_place(request.param, tmp_path) as place, place.open() as collection:
        yield collection


@pytest.fixture
def fake() -> Iterator[FakeQdrant]:
    with FakeQdrant() as fake:
        yield fake
