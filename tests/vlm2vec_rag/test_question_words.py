"""A question is words, also where it is empty or a path, and nothing is looked up on the disk."""

import json

import numpy as np
import pytest

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.words import blank_vector, is_blank_vector, question


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
def test_an_empty_question_passes_and_is_blank(words):
    assert question(words) == words


@pytest.mark.parametrize(
    "words",
    [
        "/home/me/My Pictures/cat.JPG",
        "./clips/talk.mp4",
        "..\\a.webm",
        "C:\\x y\\report.pdf",
        " /tmp/a.png ",
        "https://example.org/cat",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
    ],
)
def test_a_path_or_address_is_words_and_the_log_says_what_may_have_been_meant(words, caplog):
    assert question(words) == words
    [said] = caplog.messages
    assert repr(words.strip()) in said and "searched as words" in said and "image=" in said


def test_words_with_a_name_among_them_are_not_remarked_on(caplog):
    for words in ("what does report.pdf say?", "cat.png", "see https://example.org/cat for more"):
        question(words)
    assert not caplog.messages


def test_whether_the_file_exists_makes_no_difference(tmp_path, caplog):
    there, gone = tmp_path / "there.png", tmp_path / "gone.png"
    there.touch()
    for path in (there, gone):
        assert question(str(path)) == str(path)
    first, second = (
        message.replace(path.name, "") for message, path in zip(caplog.messages, (there, gone), strict=True)
    )
    assert first == second


def test_no_string_is_refused():
    with pytest.raises(InvalidInput, match="is a dict"):
        question({"query": "x"})


@pytest.mark.parametrize("dim", [2, 256, 1536, 4096])
def test_the_vector_of_an_empty_question_is_known_again_and_no_other_is(dim):
    blank = blank_vector(dim)
    assert blank.dtype == np.float32 and np.linalg.norm(blank) == pytest.approx(1, abs=1e-5)
    travelled = json.loads(json.dumps(np.mean([blank.tolist()] * 3, axis=0).tolist()))
    assert is_blank_vector(blank) and is_blank_vector(travelled)
    near = blank.copy()
    near[0] += 1e-3
    random = np.random.default_rng(0).normal(size=dim)
    for other in (near, -blank, random / np.linalg.norm(random), np.zeros(dim), [1.0], [float("nan")] * dim):
        assert not is_blank_vector(other)
