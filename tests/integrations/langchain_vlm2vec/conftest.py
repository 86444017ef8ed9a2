"""The tiny model as LangChain embeddings, a folder of every kind of file, and an empty store on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade_media import write_media
from langchain_vlm2vec import VLM2VecEmbeddings, VLM2VecVectorStore
from points_and_places import ENGINES, CollectionAddress, a_place


@pytest.fixture(scope="session")
def tiny(tiny_base: Path, tiny_adapter: Path) -> dict[str, Any]:
    """Settings of the tiny model, as a user gives them; small images, so that it is quick."""
    return {
        "model": str(tiny_base),
        "adapter": str(tiny_adapter),
        "device": "cpu",
        "dtype": "float32",
        "max_pixels": 64 * 28 * 28,
        "frames": 4,
    }


@pytest.fixture(scope="session")
def embeddings(tiny: dict[str, Any]) -> VLM2VecEmbeddings:
    return VLM2VecEmbeddings(**tiny)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Files of one's own: two pages, two images, a film of three seconds and a note."""
    folder = (tmp_path / "media").resolve()
    folder.mkdir()
    return write_media(folder)


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CollectionAddress]:
    """An empty place on each engine."""
    with a_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture
async def store(place: CollectionAddress, embeddings: VLM2VecEmbeddings) -> Any:
    """An empty store on each engine."""
    store = VLM2VecVectorStore.open(place.location, embeddings, name=place.name)
    yield store
    store.close()


@pytest.fixture
def memory_store(embeddings: VLM2VecEmbeddings) -> Iterator[VLM2VecVectorStore]:
    """An empty store in memory, where the engine makes no difference."""
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    yield store
    store.close()
