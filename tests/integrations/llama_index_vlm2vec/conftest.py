"""A small folder of every kind of file, the tiny model as a LlamaIndex embedding, and a vector store on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade_media import write_media
from llama_index.core import Document
from llama_index.core.schema import BaseNode
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.node_parser.vlm2vec import MediaNodeParser
from llama_index.readers.vlm2vec import VLM2VecReader
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from points_and_places import ENGINES, CollectionAddress, a_place

# small images: what is tested here does not depend on their size
SETTINGS: dict[str, Any] = {"device": "cpu", "dtype": "float32", "max_pixels": 64 * 28 * 28, "frames": 4}


@pytest.fixture(scope="session")
def embed_model(tiny_base: Path, tiny_adapter: Path) -> VLM2VecEmbedding:
    return VLM2VecEmbedding(tiny_base, adapter=tiny_adapter, **SETTINGS)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PDF of two pages, two images, a film of three seconds and a note."""
    return write_media(tmp_path_factory.mktemp("media").resolve())


@pytest.fixture(scope="session")
def documents(media: Path, embed_model: VLM2VecEmbedding) -> list[Document]:
    """The folder's six items, and a text of another origin."""
    loaded = VLM2VecReader(media, settings=embed_model.media_settings).load_data()
    return [*loaded, Document(text="An apple a day", metadata={"author": "Ada"}, id_="apple")]


@pytest.fixture(scope="session")
def nodes(documents: list[Document], embed_model: VLM2VecEmbedding) -> list[BaseNode]:
    """The same, embedded."""
    return embed_model(MediaNodeParser()(documents))


@pytest.fixture(scope="module", params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectionAddress]:
    """A place for a collection on each engine."""
    with a_place(request.param, tmp_path_factory.mktemp("place")) as place:
        yield place


@pytest.fixture(scope="module")
def store(place: CollectionAddress, embed_model: VLM2VecEmbedding) -> Iterator[VLM2VecVectorStore]:
    """A store on each engine, shared by the tests of a module."""
    made = VLM2VecVectorStore.open(place.location, embed_model, name=place.name)
    yield made
    made.close()
