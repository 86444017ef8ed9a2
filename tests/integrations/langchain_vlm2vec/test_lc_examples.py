"""What LangChain's documentation shows with a vector store, in our own words, over this package's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.chains import create_history_aware_retriever, create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import MultiVectorRetriever, TimeWeightedVectorStoreRetriever
from langchain_core.documents import Document
from langchain_core.example_selectors import SemanticSimilarityExampleSelector
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnablePassthrough
from langchain_core.stores import InMemoryStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from langchain_vlm2vec import VLM2VecEmbeddings, VLM2VecVectorStore
from PIL import Image

FACTS = ["Bees dance to tell where flowers are.", "Lighthouses warn ships of rocks.", "Espresso is brewed at nine bar."]


@pytest.fixture
def store(embeddings: VLM2VecEmbeddings) -> Iterator[VLM2VecVectorStore]:
    made = VLM2VecVectorStore.from_texts(FACTS, embeddings, [{"n": n} for n in range(3)], ids=["bee", "sea", "bar"])
    yield made
    made.close()


async def test_a_semantic_search_engine(embeddings: VLM2VecEmbeddings) -> None:
    long = Document(page_content="\n\n".join(FACTS), metadata={"source": "facts.txt"})
    pieces = RecursiveCharacterTextSplitter(chunk_size=45, chunk_overlap=0, add_start_index=True).split_documents(
        [long]
    )
    store = VLM2VecVectorStore.from_documents(pieces, embeddings)
    [(best, score)] = store.similarity_search_with_score("ships and rocks", k=1)
    assert (best.page_content, best.metadata) == (FACTS[1], {"source": "facts.txt", "start_index": 39}) and score > 0
    assert (await store.asimilarity_search("ships and rocks", k=1))[0].id == best.id
    vector = embeddings.embed_query("ships and rocks")
    assert len(store.similarity_search_by_vector(vector, k=2)) == 2
    batches = store.as_retriever(search_kwargs={"k": 1}).batch(["bees dance", "espresso at nine bar"])
    assert [each.page_content for [each] in batches] == [FACTS[0], FACTS[2]]


async def test_a_chain_of_retriever_prompt_and_model(store: VLM2VecVectorStore) -> None:
    seen: list[Any] = []
    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    context = store.as_retriever(search_kwargs={"k": 1}) | (
        lambda found: "\n".join(each.page_content for each in found)
    )
    model = FakeListChatModel(responses=["Of rocks."])
    chain = (
        {"context": context, "question": RunnablePassthrough()}
        | prompt
        | (lambda value: seen.append(value.to_string()) or value)
        | model
        | StrOutputParser()
    )
    assert (
        chain.invoke("What do lighthouses warn of?")
        == "Of rocks."
        == await chain.ainvoke("What do lighthouses warn of?")
    )
    assert all(FACTS[1] in each and FACTS[0] not in each for each in seen)


def test_a_conversation_whose_question_is_rewritten_first(store: VLM2VecVectorStore) -> None:
    history = MessagesPlaceholder("chat_history")
    rewrite = ChatPromptTemplate.from_messages([history, ("human", "{input}")])
    answer = ChatPromptTemplate.from_messages([("system", "{context}"), history, ("human", "{input}")])
    aware = create_history_aware_retriever(
        FakeListChatModel(responses=["How is espresso brewed?"]), store.as_retriever(search_kwargs={"k": 1}), rewrite
    )
    chain = create_retrieval_chain(
        aware, create_stuff_documents_chain(FakeListChatModel(responses=["At nine bar."]), answer)
    )
    said = chain.invoke({"input": "And how?", "chat_history": [HumanMessage("I like espresso"), AIMessage("Me too")]})
    assert said["answer"] == "At nine bar." and [each.id for each in said["context"]] == ["bar"]


def test_small_summaries_lead_to_large_documents(store: VLM2VecVectorStore, tmp_path: Path) -> None:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "red.png")
    whole: list[tuple[str, Any]] = [("doc-0", Document(page_content="All about bees", metadata={"image": "red.png"}))]
    docstore = InMemoryStore()
    retriever = MultiVectorRetriever(vectorstore=store, docstore=docstore, id_key="doc_id", search_kwargs={"k": 9})
    store.add_texts(["a summary of what bees do"], [{"doc_id": "doc-0"}])
    docstore.mset(whole)
    assert retriever.invoke("bees") == [whole[0][1]]  # the three facts lead nowhere


def test_what_was_seen_lately_comes_first(embeddings: VLM2VecEmbeddings) -> None:
    store = VLM2VecVectorStore.open(":memory:", embeddings)
    retriever = TimeWeightedVectorStoreRetriever(vectorstore=store, decay_rate=0.9, k=1)
    now = datetime.now()
    retriever.add_documents([Document(page_content="bees", metadata={"last_accessed_at": now - timedelta(days=9)})])
    retriever.add_documents([Document(page_content="bees again")])
    [found] = retriever.invoke("bees")
    assert found.page_content == "bees again"


def test_examples_for_a_prompt_are_chosen_by_likeness(embeddings: VLM2VecEmbeddings) -> None:
    examples = [{"input": "happy", "output": "sad"}, {"input": "lighthouses and ships", "output": "none"}]
    selector = SemanticSimilarityExampleSelector.from_examples(examples, embeddings, VLM2VecVectorStore, k=1)
    assert selector.select_examples({"input": "ships"}) == [examples[1]]
