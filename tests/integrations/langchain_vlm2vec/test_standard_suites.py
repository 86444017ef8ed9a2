"""LangChain's own standard tests, all of them, none skipped or overridden."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests
from langchain_vlm2vec import VLM2VecEmbeddings, VLM2VecRetriever, VLM2VecVectorStore


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @pytest.fixture(autouse=True)
    def _tiny(self, tiny_base, tiny_adapter):
        type(self).tiny = {"model": str(tiny_base), "adapter": str(tiny_adapter), "device": "cpu"}

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return VLM2VecEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.tiny


class TestEmbeddings(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _tiny(self, tiny_base, tiny_adapter):
        type(self).tiny = {"model": str(tiny_base), "adapter": str(tiny_adapter), "device": "cpu"}

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return VLM2VecEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.tiny


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, encoder):
        store = VLM2VecVectorStore.from_texts(
            ["a red car", "a blue boat", "a green tree", "a yellow house", "snow"], VLM2VecEmbeddings(encoder=encoder)
        )
        type(self).store = store
        yield
        store.close()

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return VLM2VecRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "a car"


class TestVectorStoreInMemory(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:
        store = VLM2VecVectorStore.open(":memory:", self.get_embeddings())
        yield store
        store.close()


class TestVectorStoreEmbedded(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path) -> Iterator[VectorStore]:
        store = VLM2VecVectorStore.open(tmp_path / "my.vlm2vec", self.get_embeddings())
        yield store
        store.close()


class TestVectorStoreWithVlm2Vec(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, encoder) -> Iterator[VectorStore]:
        store = VLM2VecVectorStore.open(":memory:", VLM2VecEmbeddings(encoder=encoder))
        yield store
        store.close()
