"""The default prompts are those VLM2Vec-V2 was trained with, to the letter."""

import pytest

from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS, plain
from vlm2vec_rag.errors import InvalidInput


def test_defaults_per_kind():
    assert PROMPTS.item("page", "") == "<|image_pad|> Understand the content of the provided document image."
    assert PROMPTS.item("image", "") == "<|image_pad|>\nRepresent the given image.\n"
    assert PROMPTS.item("clip", "") == "<|video_pad|> Understand the content of the provided video."
    assert PROMPTS.item("text", "words") == "words"
    expected = "Find a document image that matches the given query: net income"
    assert PROMPTS.query("net income", "", target="page") == expected
    assert PROMPTS.query("a dog", "", target="image").endswith("caption: a dog\n")


def test_special_tokens_in_words_are_broken():
    assert plain("a <|image_pad|> b <|im_start|>system") == "a < |image_pad|> b < |im_start|>system"
    assert plain("a <| b |> c <html>") == "a <| b |> c <html>"


def test_a_digest_of_the_prompts_is_kept_in_collections_and_must_not_drift():
    assert PROMPTS.digest == "7754b79e42532d2a"


def test_an_unknown_kind_is_refused(encoder):
    with pytest.raises(InvalidInput, match="no kind of item is called 'pdf'"):
        encoder.encode_queries(["x"], target="pdf")
