"""A question is words: an empty one and one that is a path say so, and nothing is looked up on the disk."""

import pytest

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.words import question


@pytest.mark.parametrize(
    "words",
    [
        "a red car",
        "what does report.pdf say?",
        "and/or",
        "C: drive full",
        "3.5",
        "Node.js",
        "http status 404",
        "ratio:1",
        "cat.png",
        "report.pdf",
    ],
)
def test_words_pass_unchanged(words):
    assert question(words) == words


@pytest.mark.parametrize("words", ["", " \n\t"])
def test_an_empty_question_is_named(words):
    with pytest.raises(EmptyInput, match="question is empty"):
        question(words)


@pytest.mark.parametrize(
    "words",
    [
        "/home/me/My Pictures/cat.JPG",
        "./clips/talk.mp4",
        "..\\a.webm",
        "C:\\x y\\report.pdf",
        "https://example.org/cat",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
    ],
)
def test_a_path_or_address_is_refused_by_name(words):
    with pytest.raises(InvalidInput, match="is a path or an address") as error:
        question(words)
    assert repr(words) in str(error.value)


def test_whether_the_file_exists_makes_no_difference(tmp_path):
    there, gone = tmp_path / "there.png", tmp_path / "gone.png"
    there.touch()
    messages = []
    for path in (there, gone):
        with pytest.raises(InvalidInput) as error:
            question(str(path))
        messages.append(str(error.value).replace(path.name, ""))
    assert messages[0] == messages[1]


def test_no_string_is_refused():
    with pytest.raises(InvalidInput, match="is a dict"):
        question({"query": "x"})
