"""What LlamaIndex's documentation shows with a vector store, in our own words, over this package's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.mock import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceWindowNodeParser, get_leaf_nodes
from llama_index.core.postprocessor import MetadataReplacementPostProcessor
from llama_index.core.query_engine import TransformQueryEngine
from llama_index.core.retrievers import AutoMergingRetriever, RouterRetriever, VectorIndexAutoRetriever
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores import MetadataInfo, VectorStoreInfo
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from seeing_llm import Seeing

FACTS = ["Bees dance to tell where flowers are.", "Lighthouses warn ships of rocks.", "Espresso is brewed at nine bar."]


class Scripted(CustomLLM):
    """Says one thing, whatever it is asked."""

    says: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self.says)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield CompletionResponse(text=self.says, delta=self.says)


@pytest.fixture
def store(embed_model: VLM2VecEmbedding) -> Iterator[VLM2VecVectorStore]:
    made = VLM2VecVectorStore.open(":memory:", embed_model)
    yield made
    made.close()


@pytest.fixture
def index(store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding) -> VectorStoreIndex:
    documents = [Document(text=text, metadata={"n": n}, id_=f"fact-{n}") for n, text in enumerate(FACTS)]
    storage = StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex.from_documents(documents, storage, embed_model=embed_model)


async def test_five_lines_that_answer(index: VectorStoreIndex) -> None:
    engine = index.as_query_engine(llm=Seeing(), similarity_top_k=1, vector_store_query_mode="hybrid")
    for answer in (engine.query("lighthouses and ships"), await engine.aquery("lighthouses and ships")):
        assert [each.text for each in answer.source_nodes] == [FACTS[1]]


def test_a_chat_with_memory_is_told_what_was_found(index: VectorStoreIndex) -> None:
    model = Seeing()
    retriever = index.as_retriever(similarity_top_k=1, vector_store_query_mode="sparse")
    chat = ContextChatEngine.from_defaults(retriever=retriever, llm=model, memory=ChatMemoryBuffer.from_defaults())
    chat.chat("How is espresso brewed?")
    assert FACTS[2] in model.told
    chat.chat("And what do bees do?")
    assert FACTS[0] in model.told and "How is espresso brewed?" in model.told
    assert isinstance(chat.chat_history[0], ChatMessage)


def test_a_model_chooses_between_retrievers(index: VectorStoreIndex) -> None:
    tools = [
        RetrieverTool.from_defaults(
            index.as_retriever(similarity_top_k=count), name=f"top{count}", description="Finds."
        )
        for count in (1, 3)
    ]
    selector = LLMSingleSelector.from_defaults(llm=Scripted(says='[{"choice": 2, "reason": "all of it"}]'))
    router = RouterRetriever(selector=selector, retriever_tools=tools, llm=MockLLM())
    assert len(router.retrieve("everything")) == 3


def test_a_model_writes_the_filters(index: VectorStoreIndex) -> None:
    written = '{"query": "coffee", "filters": [{"key": "n", "value": 1, "operator": ">"}], "top_k": 3}'
    info = VectorStoreInfo(
        content_info="facts", metadata_info=[MetadataInfo(name="n", type="int", description="its number")]
    )
    retriever = VectorIndexAutoRetriever(
        index, vector_store_info=info, llm=Scripted(says=f"```json\n{written}\n```"), similarity_top_k=3
    )
    assert [each.text for each in retriever.retrieve("facts after the first two")] == [FACTS[2]]


def test_a_sentence_is_found_and_its_window_is_read(store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding) -> None:
    storage = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        [Document(text=" ".join(FACTS))],
        storage,
        embed_model=embed_model,
        transformations=[SentenceWindowNodeParser.from_defaults(window_size=1)],
    )
    found = index.as_retriever(similarity_top_k=1, vector_store_query_mode="sparse").retrieve("bees dance")
    assert found[0].text.strip() == FACTS[0]
    [widened] = MetadataReplacementPostProcessor(target_metadata_key="window").postprocess_nodes(found)
    assert FACTS[0] in widened.node.get_content() and FACTS[1] in widened.node.get_content()


def test_leaves_that_are_found_together_become_their_parent(
    store: VLM2VecVectorStore, embed_model: VLM2VecEmbedding
) -> None:
    parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[256, 32], chunk_overlap=0)
    nodes = parser.get_nodes_from_documents([Document(text=" ".join(FACTS * 3))])
    docstore = SimpleDocumentStore()
    docstore.add_documents(nodes)
    storage = StorageContext.from_defaults(vector_store=store, docstore=docstore)
    leaves = get_leaf_nodes(nodes)
    index = VectorStoreIndex(leaves, storage_context=storage, embed_model=embed_model)
    merging = AutoMergingRetriever(index.as_retriever(similarity_top_k=len(leaves)), storage)  # type: ignore[arg-type]
    found = merging.retrieve("everything")
    assert len(leaves) > 1 and len(found) == 1
    assert all(fact in found[0].text for fact in FACTS)


async def test_a_made_up_answer_is_searched_for(index: VectorStoreIndex) -> None:
    hyde = HyDEQueryTransform(llm=Scripted(says="Lighthouses warn ships."), include_original=True)
    engine = TransformQueryEngine(index.as_query_engine(llm=Seeing(), similarity_top_k=2), query_transform=hyde)
    assert len(engine.query("What is at sea?").source_nodes) == len((await engine.aquery("at sea?")).source_nodes) == 2
