"""One collection: what LangChain, LlamaIndex, the command line or the library itself indexes, each of the others finds.

The same ids, in the same order, with the same scores and the same metadata: every pair of a writer and a reader.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from handmade_media import write_media
from langchain_vlm2vec import MediaLoader, VLM2VecEmbeddings, VLM2VecVectorStore
from langchain_vlm2vec import VLM2VecRetriever as LangChainRetriever
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.node_parser.vlm2vec import MediaNodeParser
from llama_index.readers.vlm2vec import VLM2VecReader as LlamaIndexReader
from llama_index.retrievers.vlm2vec import VLM2VecRetriever as LlamaIndexRetriever
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore as LlamaIndexStore

import vlm2vec_rag as vr
from vlm2vec_rag.cli import main
from vlm2vec_rag.documents import without_description

FoundRow = dict[str, Any]
Reader = Callable[..., list[FoundRow]]
QUESTIONS = ("emission targets", "something red")
FIELDS = ("source", "kind", "place", "page", "start_s", "end_s")


@pytest.fixture(scope="module")
def model(tiny_base: Path, tiny_adapter: Path) -> dict[str, Any]:
    return {"adapter": str(tiny_adapter), "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(tmp_path_factory.mktemp("files").resolve())


def command_line(*arguments: object) -> None:
    before, sys.argv = sys.argv, ["vlm2vec-rag", *map(str, arguments)]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
    finally:
        sys.argv = before


def written_by_langchain(folder: Path, files: Path, base: Path, model: dict[str, Any]) -> None:
    store = VLM2VecVectorStore.open(folder, VLM2VecEmbeddings(model=str(base), **model))
    store.add_documents(MediaLoader(files).load())
    store.close()


def written_by_llama_index(folder: Path, files: Path, base: Path, model: dict[str, Any]) -> None:
    embed_model = VLM2VecEmbedding(base, **model)
    store = LlamaIndexStore.open(folder, embed_model)
    documents = LlamaIndexReader(files, settings=embed_model.media_settings).load_data()
    store.add(embed_model(MediaNodeParser()(documents)))
    store.close()


def written_by_the_command_line(folder: Path, files: Path, base: Path, model: dict[str, Any]) -> None:
    options = [each for name, value in model.items() for each in (f"--{name}", value)]
    command_line("index", files, "-c", folder, "--model", base, *options)


def written_by_the_library(folder: Path, files: Path, base: Path, model: dict[str, Any]) -> None:
    with vr.open(folder, base, **model) as library:
        assert not library.index(files).failures


WRITERS = [written_by_langchain, written_by_llama_index, written_by_the_command_line, written_by_the_library]


@pytest.fixture(scope="module", params=WRITERS, ids=lambda writer: writer.__name__)
def folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    files: Path,
    tiny_base: Path,
    model: dict[str, Any],
) -> Path:
    """A collection in a folder, and closed again."""
    where = tmp_path_factory.mktemp("collection") / "my.vlm2vec"
    request.param(where, files, tiny_base, model)
    return where


def told(id_: str, score: float, metadata: dict[str, Any], text: str) -> FoundRow:
    text = without_description(text, metadata)  # frameworks know nothing without words
    return {"id": id_, "score": score, "text": text} | {name: metadata.get(name) for name in FIELDS}


def read_by_langchain(folder: Path, base: Path, model: dict[str, Any], question: str) -> list[FoundRow]:
    store = VLM2VecVectorStore.open(folder, create=False, dtype="float32")  # with the model that is written there
    hits = LangChainRetriever(vectorstore=store, k=4).invoke(question)
    store.close()
    return [told(str(hit.id), hit.score, hit.metadata, hit.page_content) for hit in hits]


def read_by_langchain_awaited(folder: Path, base: Path, model: dict[str, Any], question: str) -> list[FoundRow]:
    async def ask() -> list[FoundRow]:
        store = VLM2VecVectorStore.open(folder, create=False, dtype="float32")
        hits = await LangChainRetriever(vectorstore=store, k=4).ainvoke(question)
        store.close()
        return [told(str(hit.id), hit.score, hit.metadata, hit.page_content) for hit in hits]

    return asyncio.run(ask())


def read_by_llama_index(folder: Path, base: Path, model: dict[str, Any], question: str) -> list[FoundRow]:
    with vr.open(folder, create=False, dtype="float32") as library:
        found = LlamaIndexRetriever(library, similarity_top_k=4).retrieve(question)
    return [told(each.node_id, each.score or 0.0, each.metadata, each.text) for each in found]


def read_by_llama_index_awaited(folder: Path, base: Path, model: dict[str, Any], question: str) -> list[FoundRow]:
    with vr.open(folder, create=False, dtype="float32") as library:
        found = asyncio.run(LlamaIndexRetriever(library, similarity_top_k=4).aretrieve(question))
    return [told(each.node_id, each.score or 0.0, each.metadata, each.text) for each in found]


def read_by_the_command_line(
    folder: Path, base: Path, model: dict[str, Any], question: str, capsys: pytest.CaptureFixture[str]
) -> list[FoundRow]:
    capsys.readouterr()
    command_line("search", question, "-c", folder, "--limit", 4, "--json", "--dtype", "float32")
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [told(hit["id"], hit["score"], hit, hit["text"]) for hit in hits]


def read_by_the_library(folder: Path, base: Path, model: dict[str, Any], question: str) -> list[FoundRow]:
    with vr.open(folder, create=False, dtype="float32") as library:  # with the model that is written there
        hits = library.search(question, limit=4)
    return [told(hit.id, hit.score, asdict(hit), hit.text) for hit in hits]


READERS = [
    read_by_langchain,
    read_by_langchain_awaited,
    read_by_llama_index,
    read_by_llama_index_awaited,
    read_by_the_command_line,
    read_by_the_library,
]


@pytest.fixture
def ask(tiny_base: Path, model: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Any:
    """Ask a reader; the command line's answer is what it printed."""

    def of(reader: Reader, folder: Path, question: str) -> list[FoundRow]:
        options = [capsys] if reader is read_by_the_command_line else []
        return reader(folder, tiny_base, model, question, *options)

    return of


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, files: Path, tiny_base: Path, model: dict[str, Any]
) -> Iterator[dict[str, list[FoundRow]]]:
    """What the library itself answers from a collection that it indexed itself."""
    with vr.open(":memory:", tiny_base, **model) as library:
        assert library.index(files).items == 6
        yield {
            question: [told(hit.id, hit.score, asdict(hit), hit.text) for hit in library.search(question, limit=4)]
            for question in QUESTIONS
        }


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_what_one_indexes_the_other_finds(
    folder: Path,
    reader: Reader,
    expected: dict[str, list[FoundRow]],
    ask: Callable[[Reader, Path, str], list[FoundRow]],
) -> None:
    for question in QUESTIONS:
        answers = ask(reader, folder, question)
        scores = [answer.pop("score") for answer in answers]
        wanted = [dict(answer) for answer in expected[question]]
        assert scores == pytest.approx([answer.pop("score") for answer in wanted], abs=1e-5)
        assert answers == wanted != []


def test_a_text_with_an_id_of_its_own_keeps_it_everywhere(
    tmp_path: Path, tiny_base: Path, model: dict[str, Any], ask: Callable[[Reader, Path, str], list[FoundRow]]
) -> None:
    folder = tmp_path / "my.vlm2vec"
    store = VLM2VecVectorStore.open(folder, VLM2VecEmbeddings(model=str(tiny_base), **model))
    store.add_texts(["an apple a day"], [{"author": "Ada", "page": 0}], ids=["apple"])
    store.close()
    for reader in READERS:
        [answer] = ask(reader, folder, "apple")
        assert (answer["id"], answer["text"]) == ("apple", "an apple a day")
        assert answer["score"] == pytest.approx(2 / 61)  # first by its vector and by its words
    with LlamaIndexRetriever(str(folder), VLM2VecEmbedding(tiny_base, **model)) as retriever:
        assert retriever.retrieve("apple")[0].metadata == {"author": "Ada", "page": 0}
    with vr.open(folder, create=False, dtype="float32") as library:
        hit = library.hit("apple")
        assert hit is not None and hit.text == "an apple a day"
