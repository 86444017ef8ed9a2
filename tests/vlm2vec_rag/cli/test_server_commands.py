"""Collections on servers and clusters from the command line: made with copies, copied, embedded anew, described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_qdrant import FakeCluster, FakeQdrant
from typer.testing import CliRunner

from vlm2vec_rag.cli.app import app
from vlm2vec_rag.cli.options import ModelOptions, SpreadOptions
from vlm2vec_rag.cli.serve import opened
from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.serve import ServeSettings


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for number in range(5):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"report number {number} about cats")
    yield tmp_path / "docs"


def test_a_folder_goes_to_a_cluster_and_back(docs: Path) -> None:
    run("index", str(docs), "--model", "none")
    with FakeCluster() as cluster:
        said = run("copy", ".vlm2vec", cluster.urls)
        assert "5 items copied" in said and "all 5 counted" in said
        assert "5 were there already" in run("copy", ".vlm2vec", cluster.urls)
        described = run("info", "--qdrant", cluster.urls)
        assert cluster.urls in "".join(described.split())  # whole, folded by the table
        assert "2 of 1 shard" in described
        run("copy", cluster.urls, "back")
    with open_collection("back") as back, open_collection(".vlm2vec") as first:
        assert {point.id for point in back.scroll()} == {point.id for point in first.scroll()}


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "1 shard, 2 copies"), (["--replicas", "3"], "1 shard, 3 copies"), (["--shards", "2"], "2 shards, 2 copies")],
)
def test_a_new_collection_on_a_cluster_says_how_it_is_kept(docs: Path, options: list[str], said: str) -> None:
    with FakeCluster() as cluster:
        assert said in run("index", str(docs), "--model", "none", "--qdrant", cluster.urls, *options)
        assert said not in run("index", str(docs), "--model", "none", "--qdrant", cluster.urls)  # not new any more


def test_serve_makes_a_collection_on_a_cluster_as_it_is_asked_to(docs: Path, capsys: pytest.CaptureFixture) -> None:
    with FakeCluster() as cluster:
        spread = SpreadOptions(replicas=3).spread
        with opened([cluster.urls], ModelOptions(model="none"), "none", ServeSettings(), **spread) as [served]:
            served.library.index(docs)
            info = served.library.info()
    assert (info.shards, info.copies, info.points) == (1, 3, 5)
    assert "1 shard, 3 copies" in capsys.readouterr().err


def test_reindex_on_a_server_keeps_the_name_the_copies_and_the_fields(docs: Path) -> None:
    with FakeCluster() as cluster:
        run("index", str(docs), "--model", "none", "--qdrant", cluster.urls, "--shards", "2", "--index-field", "author")
        for _ in range(2):
            run("reindex", "--qdrant", cluster.urls)
            assert "docs/3.txt" in run("search", "number 3", "--qdrant", cluster.urls)
        info = json.loads(run("info", "--json", "--qdrant", cluster.urls))
        assert (info["shards"], info["copies"], info["points"], info["name"]) == (2, 2, 5, "default")
        with open_collection(cluster.urls) as collection:
            assert dict(collection.indexed_fields) == {"author": ""}
        assert len(cluster.store.creations) == 1


def test_reindex_adds_an_index_on_a_field(docs: Path) -> None:
    with FakeQdrant() as fake:
        run("index", str(docs), "--model", "none", "--qdrant", fake.url)
        run("reindex", "--qdrant", fake.url, "--index-field", "year=integer")
        with open_collection(fake.url) as collection:
            assert dict(collection.indexed_fields) == {"year": "integer"}


def test_a_count_that_a_server_only_estimates_is_said_to_be_one(docs: Path) -> None:
    with FakeQdrant() as fake:
        run("index", str(docs), "--model", "none", "--qdrant", fake.url)
        assert "5 files as 5 items" in run("info", "--qdrant", fake.url)
        strict = {"strict_mode_config": {"enabled": True, "search_allow_exact": False}}
        httpx.patch(f"{fake.url}/collections/default", json=strict).raise_for_status()
        assert "5 files as about 5 items" in run("info", "--qdrant", fake.url)


def test_a_damaged_collection_is_repaired_and_completed(docs: Path) -> None:
    run("index", str(docs), "--model", "none")
    for file in Path(".vlm2vec").rglob("mutable_id_tracker.mappings"):
        file.write_bytes(b"")
    for file in Path(".vlm2vec").rglob("wal/open-*"):
        file.unlink()
    with pytest.raises(Exception, match="vlm2vec-rag repair"):
        CliRunner().invoke(app, ["search", "cats"], catch_exceptions=False)
    assert "0 items left" in run("repair")
    assert "5 files indexed" in run("index", str(docs), "--model", "none")
    assert "docs/3.txt" in run("search", "number 3")
