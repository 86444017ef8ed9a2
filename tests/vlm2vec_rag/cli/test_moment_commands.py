"""`search --moments`, `search --videos`, `highlights` and `ask --chat local` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from vlm2vec_rag import samples
from vlm2vec_rag.cli.app import app, main

FILM = samples.folder() / "big-buck-bunny.mp4"


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def words_only(tmp_path_factory):
    place = tmp_path_factory.mktemp("film") / "collection"
    result = run("index", FILM, "-c", place, "--model", "none")
    assert result.exit_code == 0, result.output
    return place


def test_moments_have_the_edges_of_what_is_said(words_only):
    result = run("search", "-c", words_only, "--moments", "--json", "-n", 1, "butterfly flutters around the head")
    assert result.exit_code == 0, result.output
    hit = json.loads(result.stdout)
    assert hit["place"].endswith("big-buck-bunny.mp4#t=60,64")


def test_whole_videos(words_only):
    result = run("search", "-c", words_only, "--videos", "mean", "--json", "bunny")
    assert json.loads(result.stdout)["start_s"] == 0


@pytest.mark.slow
def test_highlights_say_which_moments_and_write_the_reel(tmp_path):
    target = tmp_path / "reel.mp4"
    asked = ("highlights", FILM, "a butterfly flutters", "zeppelin", "--model", "none", "-o", target)
    result = run(*asked, "--dry-run")
    assert result.exit_code == 0 and "#t=60,64" in result.stdout and "nothing found for: zeppelin" in result.stderr
    assert not target.exists()
    result = run(*asked)
    assert result.exit_code == 0 and target.stat().st_size > 10_000 and "shows 1 moment" in result.stderr


@pytest.mark.slow  # 512 tokens, one after the other
def test_the_local_model_answers_with_the_encoder_of_the_collection(tmp_path, tiny_base, tiny_adapter):
    (tmp_path / "notes.md").write_text("Violins are tuned in fifths.")
    place = tmp_path / "collection"
    model = ("--model", tiny_base, "--adapter", tiny_adapter, "--dtype", "float32")
    assert run("index", tmp_path / "notes.md", "-c", place, *model).exit_code == 0
    result = run("ask", "-c", place, "--dtype", "float32", "--chat", "local", "--json", "how are violins tuned")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["model"] == "local:base" and answer["text"] and not answer["is_extractive"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--videos", "median", "x"], "pool is 'median'"),
        (["search", "--moments", "--kind", "page", "x"], "moments are parts of clips"),
        (["highlights", "nowhere.mp4", "x", "--model", "none"], "nowhere.mp4"),
        (["highlights", str(FILM), " ", "--model", "none"], "no question"),
    ],
)
def test_mistakes_end_in_one_line(words_only, arguments, message, monkeypatch, capsys):
    place = ["-c", str(words_only)] if arguments[0] == "search" else []
    monkeypatch.setattr("sys.argv", ["vlm2vec-rag", *arguments, *place])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == (1 if "nowhere" in message else 2)  # a file that is not there; how it was called
    said = capsys.readouterr().err.strip()
    assert said.splitlines()[-1].startswith("error: ") and message in said
