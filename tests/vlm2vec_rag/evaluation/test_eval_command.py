"""`vlm2vec-rag eval` as a stranger uses it, with right and wrong input."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from vlm2vec_rag.cli.app import app
from vlm2vec_rag.errors import CollectionNotFound, InvalidInput, MissingExtra

TINY = Path(__file__).parents[2] / "data" / "conformance" / "tiny"
MODEL = ["--model", str(TINY / "base"), "--adapter", str(TINY / "adapter"), "--device", "cpu", "--dtype", "float32"]


def call(*arguments, **options):
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], **options)


def refused(*arguments):
    result = call(*arguments)
    assert result.exit_code != 0
    return result.exception


def leaderboard(folder):
    with (folder / "leaderboard.csv").open(newline="") as file:
        return {row["task"]: row for row in csv.DictReader(file)}


def test_tasks_are_scored_and_what_is_missing_is_reported(mini, tmp_path):
    hub = mini("OK-VQA", "ViDoRe_arxivqa")
    places = ["--data", hub.root, "--out", tmp_path / "out", "--offline", "--max-pixels", 28 * 28 * 16]
    result = call("--tasks", "OK-VQA,ViDoRe_arxivqa", "--tasks", "MSVD", *places, *MODEL)
    assert result.exit_code == 1  # one task has no score
    assert "run: vlm2vec-rag eval --download --tasks MSVD" in result.output
    rows = leaderboard(tmp_path / "out")
    assert [rows[name]["status"] for name in ("OK-VQA", "ViDoRe_arxivqa", "MSVD")] == ["scored", "scored", "missing"]
    assert (tmp_path / "out" / "families.png").stat().st_size > 10_000
    assert "2 of 78 tasks scored whole" in (tmp_path / "out" / "report.html").read_text()


def test_a_later_run_adds_to_the_leaderboard_and_other_settings_do_not(mini, tmp_path):
    hub = mini("OK-VQA", "ViDoRe_arxivqa")
    places = ["--data", hub.root, "--out", tmp_path / "out"]
    call("--tasks", "OK-VQA", *places, "--max-pixels", 28 * 28 * 16, *MODEL)
    result = call("--tasks", "ViDoRe_arxivqa", *places, "--max-pixels", 28 * 28 * 16, *MODEL)
    assert result.exit_code == 0
    assert "1 tasks are from earlier runs with the same settings" in result.output
    assert leaderboard(tmp_path / "out")["OK-VQA"]["status"] == "scored"
    call("--tasks", "ViDoRe_arxivqa", *places, "--max-pixels", 28 * 28 * 9, *MODEL)
    assert leaderboard(tmp_path / "out")["OK-VQA"]["status"] == "not run"


def test_wrong_calls_say_what_to_do(tmp_path):
    assert "nothing to measure was named" in str(refused())
    assert "no task 'MSVDD'; near it: MSVD" in str(refused("--tasks", "MSVDD"))
    assert "measure one of them at a time" in str(refused("--tasks", "MSVD", "--collection", tmp_path))
    assert isinstance(refused("--collection", tmp_path / "nothing", "--queries", "q.jsonl"), CollectionNotFound)
    assert "the benchmark measures a model" in str(refused("--tasks", "MSVD", "--model", "none"))
    assert call("--tasks", "MSVD", "--first", "0").exit_code == 2


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # as where it is not installed
    error = refused("--tasks", "all", *MODEL)
    assert isinstance(error, MissingExtra)
    assert "pip install 'vlm2vec-rag[eval]'" in str(error)


def test_one_s_own_collection_is_measured_from_a_first_set_of_questions(tmp_path):
    for i, words in enumerate(("A red ball", "A blue cup", "A green tree")):
        draw(tmp_path / "files" / f"{words}.png", i)
        (tmp_path / "files" / f"{words}.txt").write_text(f"{words} on a table\n")
    folder, out = tmp_path / "collection", tmp_path / "out"
    indexed = CliRunner().invoke(app, ["index", str(tmp_path / "files"), "-c", str(folder), *MODEL])
    assert indexed.exit_code == 0, indexed.output
    assert call("--collection", folder, "--make-queries", "--out", out).exit_code == 0
    lines = [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]
    assert len(lines) >= 3
    assert isinstance(refused("--collection", folder, "--make-queries", "--out", out), InvalidInput)  # it may hold work
    with (out / "queries.jsonl").open("a") as file:  # one that is bound to fail
        file.write(json.dumps({"question": "A red ball on a table", "relevant": ["A green tree.png"]}) + "\n")
    result = call("--collection", folder, "--queries", out / "queries.jsonl", "--out", out, *MODEL[4:])
    assert result.exit_code == 0, result.output
    summary = json.loads((out / "collection.json").read_text())["summary"]
    assert set(summary) == {"hybrid", "dense", "bm25"}
    assert summary["bm25"]["hit@1"]["mean"] > 0
    assert "data:image/jpeg" in (out / "collection.html").read_text()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(mini, tmp_path):
    hub = mini("OK-VQA", "MSVD")
    tasks = ["--tasks", "OK-VQA,MSVD,VATEX", "--data", hub.root, "--max-pixels", 28 * 28 * 16]
    assert call(*tasks, "--out", tmp_path / "one", *MODEL).exit_code == 1  # VATEX is not here
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    command = [sys.executable, "-c", "from vlm2vec_rag.cli import main; main()", "eval"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "default"}
    run = subprocess.run(
        [*torchrun, *command, *map(str, tasks), "--out", str(tmp_path / "two"), *MODEL],
        env=environment,
        capture_output=True,
        text=True,
        check=False,  # one task is missing
    )
    assert "VATEX is not there" in run.stderr, run.stderr
    one, two = leaderboard(tmp_path / "one"), leaderboard(tmp_path / "two")
    assert one == two


def draw(path, i):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (112, 84), [(220, 40, 40), (40, 60, 220), (40, 160, 60)][i])
    ImageDraw.Draw(image).ellipse((20 + 10 * i, 10, 70, 60), fill="white")
    image.save(path)
