"""`vlm2vec-rag ask`: an answer with places, follow-ups from the terminal, and mistakes in one line."""

import json

import pytest
from typer.testing import CliRunner

from vlm2vec_rag.chat import open as chat_open
from vlm2vec_rag.cli.app import app, main


class Model:
    """Answers by rule."""

    name, sees_images = "by rule", False

    def __init__(self, rule):
        self.rule = rule

    def stream(self, messages):
        yield from self.rule(messages)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    files = folder / "files"
    files.mkdir()
    (files / "report.md").write_text("Revenue rose by nine percent\x1b[31m, thanks to violins.")
    (files / "notes.md").write_text("Violins are tuned in fifths.")
    place = folder / "collection"
    result = CliRunner().invoke(app, ["index", str(files), "-c", str(place), "--model", "none"])
    assert result.exit_code == 0, result.output
    return str(place)


def ask(collection, *arguments, **settings):
    return CliRunner().invoke(app, ["ask", "-c", collection, *arguments], **settings)


def test_an_answer_and_its_places(collection):
    result = ask(collection, "when did revenue rise")
    assert result.exit_code == 0
    assert "No chat model is set" in result.output and "nine percent" in result.output
    assert "[1]" in result.output and "report.md#char=" in result.output


def test_control_characters_of_a_file_do_not_reach_the_terminal(collection):
    assert "\x1b" not in ask(collection, "revenue").output


def test_json_for_programs(collection):
    answer = json.loads(ask(collection, "revenue", "--json").stdout)
    assert answer["is_extractive"] and answer["citations"][0]["place"] == answer["hits"][0]["place"]


def test_a_conversation_goes_on_after_a_failing_model(collection, monkeypatch):
    def rule(messages):
        if "Question: fail" in messages[-1].text:
            yield "Violins "
            raise RuntimeError("quota")
        yield "revenue violins" if "search query" in messages[0].text else "In fifths [1][7]."

    monkeypatch.setattr(chat_open, "_from_spec", lambda spec, settings: Model(rule))
    typed = "fail violins\nviolins\n\n/what\nand how?\n/forget\nviolins\n"
    result = ask(collection, "--chat", "some:model", input=typed)
    assert result.exit_code == 0
    assert "by rule gave 8 characters and failed (RuntimeError: quota)" in result.stderr
    assert result.stdout.count("In fifths [1].") == 3 and "[7]" not in result.stdout
    assert "searching for: revenue violins" in result.stderr
    assert "no command /what" in result.stderr and "forgotten" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chat", "nobody:model", "hi"], "cannot open the chat model 'nobody:model'"),
        (["--json"], "--json answers a question that is given"),
        (["--timeout", "0", "hi"], "timeout_s is 0"),
    ],
)
def test_mistakes_end_in_one_line(collection, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vlm2vec-rag", "ask", "-c", collection, *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == (1 if "nobody" in message else 2)
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
