"""What people type as a filter means the same in every face: one table, run through each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_vlm2vec import VLM2VecRetriever as LangChainRetriever
from langchain_vlm2vec import VLM2VecVectorStore
from llama_index.retrievers.vlm2vec import VLM2VecRetriever as LlamaIndexRetriever
from typer.testing import CliRunner

import vlm2vec_rag as vr
from vlm2vec_rag.cli.app import app

ALL = {"notes.md", "report.md", "a, b.md", "plan [final].md"}
TABLE: list[tuple[dict[str, Any], set[str]]] = [
    ({}, ALL),
    ({"kind": ["text"]}, ALL),
    ({"kind": ["page"]}, set()),
    ({"source": ["notes.md"]}, {"notes.md"}),
    ({"source": ["reports/"]}, {"report.md", "a, b.md"}),
    ({"source": ["*.md"]}, ALL),
    ({"source": ["re*.md"]}, {"report.md"}),
    ({"source": ["a, b.md", "plan [final].md"]}, {"a, b.md", "plan [final].md"}),
    ({"source": ["nothing.pdf"]}, set()),
    ({"until": "2026-03-01"}, {"notes.md"}),
    ({"since": "2026-03-02"}, ALL - {"notes.md"}),
    ({"since": "2026-03-01", "source": ["notes.md"]}, {"notes.md"}),
    ({"pages": "3-9"}, set()),
    ({"time": "1:00-1:30"}, set()),
]
Search = Callable[[Path, dict[str, Any]], list[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library of words over notes of two days, in two folders."""
    folder = tmp_path_factory.mktemp("files").resolve()
    (folder / "reports").mkdir()
    for name in ("notes.md", "reports/report.md", "reports/a, b.md", "plan [final].md"):
        (folder / name).write_text(f"# {name}\n\nviolin\n")
    day = datetime(2026, 3, 1, 12).timestamp()
    os.utime(folder / "notes.md", (day, day))
    place = tmp_path_factory.mktemp("library") / "c"
    with vr.open(place, "none") as library:
        library.index(folder)
    before = Path.cwd()
    os.chdir(folder)
    yield place
    os.chdir(before)


def in_python(place: Path, typed: dict[str, Any]) -> list[str]:
    with vr.open(place) as library:
        return [hit.source for hit in library.search("violin", filter=typed)]


def on_the_command_line(place: Path, typed: dict[str, Any]) -> list[str]:
    import json

    options = [
        part
        for name, values in typed.items()
        for value in ([values] if isinstance(values, str) else values)
        for part in (f"--{name}", value)
    ]
    done = CliRunner().invoke(app, ["search", "violin", "-n", "10", "-c", str(place), "--json", *options])
    assert done.exit_code == 0, done.output
    return [json.loads(line)["source"] for line in done.stdout.splitlines()]


def in_langchain(place: Path, typed: dict[str, Any]) -> list[str]:
    store = VLM2VecVectorStore.open(place, create=False)
    hits = LangChainRetriever(vectorstore=store, k=10, **typed).invoke("violin")
    store.close()
    return [hit.metadata["source"] for hit in hits]


def in_llama_index(place: Path, typed: dict[str, Any]) -> list[str]:
    with LlamaIndexRetriever(str(place), similarity_top_k=10, **typed) as retriever:
        return [each.node.metadata["source"] for each in retriever.retrieve("violin")]


def on_the_server(place: Path, typed: dict[str, Any]) -> list[str]:
    from starlette.testclient import TestClient

    from vlm2vec_rag.serve.app import build_app
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

    settings = ServeSettings()
    with vr.open(place) as library:
        served = Served("default", library, settings, chat_model=None, uploads=place / "uploads")
        with TestClient(build_app([served], settings), base_url="http://127.0.0.1:7860") as client:
            answer = client.post("/api/search", json={"query": "violin", **typed})
        served.close()
    assert answer.status_code == 200, answer.text
    return [hit["source"]["name"] for hit in answer.json()["hits"]]


@pytest.mark.parametrize(
    "search",
    [in_python, on_the_command_line, in_langchain, in_llama_index, on_the_server],
    ids=lambda each: each.__name__,
)
def test_every_face_lets_the_same_through(place: Path, search: Search) -> None:
    for typed, expected in TABLE:
        found = {source.rpartition("/")[2] for source in search(place, typed)}
        assert found == expected, typed
