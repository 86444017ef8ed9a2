"""Items say where they stand and what they show; the public names are what the package promises."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage

import vlm2vec_rag
from vlm2vec_rag import Clip, Hit, Image, Page, Query, Text
from vlm2vec_rag.items import place_of, seconds


def test_every_public_name_is_there():
    for name in vlm2vec_rag.__all__:
        assert getattr(vlm2vec_rag, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vlm2vec_rag.nonsense


def test_importing_is_light_and_changes_nothing():
    """No torch, no transformers, no Qdrant client; neither environment nor logging is touched."""
    code = (
        "import os, sys, logging; before = dict(os.environ), list(logging.root.handlers), logging.root.level;"
        "import vlm2vec_rag;"
        "assert before == (dict(os.environ), list(logging.root.handlers), logging.root.level);"
        "heavy = {'torch', 'transformers', 'peft', 'qdrant_client', 'qdrant_edge', 'av', 'PIL', 'numpy'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def an_image(color="red", size=(28, 28)):
    return PILImage.new("RGB", size, color)


def test_fragments_open_at_the_right_spot():
    page = Page(image=an_image(), page=12, source="report.pdf")
    clip = Clip(frames=(an_image(),), times_s=(83.0,), start_s=83, end_s=97.5, source="talk.mp4")
    text = Text(text="words", source="notes.md", start_char=10)
    assert place_of(page.source, page.fragment) == "report.pdf#page=12"
    assert place_of(clip.source, clip.fragment) == "talk.mp4#t=83,97.5"
    assert place_of(text.source, text.fragment) == "notes.md#char=10,15"
    assert place_of("cat.png", Image(image=an_image()).fragment) == "cat.png"


@given(st.floats(0, 1e5))
def test_a_time_is_written_to_the_millisecond_and_reads_back(time_s):
    written = seconds(time_s)
    assert abs(float(written) - time_s) <= 0.0005 + 1e-9
    assert "e" not in written and not written.endswith(".")


def test_the_content_hash_follows_pixels_and_words_but_not_the_place():
    page = Page(image=an_image(), page=1, text="words", source="a.pdf")
    assert page.content_hash == Page(image=an_image(), page=9, text="words", source="b.pdf").content_hash
    others = {
        Page(image=an_image("blue"), page=1, text="words").content_hash,
        Page(image=an_image(), page=1, text="other words").content_hash,
        Page(image=an_image(size=(56, 14)), page=1, text="words").content_hash,
        Image(image=an_image(), text="words").content_hash,
    }
    assert len(others | {page.content_hash}) == 5


def test_frames_cannot_be_shuffled_without_another_hash():
    red, blue = an_image(), an_image("blue")
    forth = Clip(frames=(red, blue), times_s=(0.0, 1.0), start_s=0, end_s=1)
    back = Clip(frames=(blue, red), times_s=(0.0, 1.0), start_s=0, end_s=1)
    assert forth.content_hash != back.content_hash


@pytest.mark.parametrize("query", [Query(), Query(text=" \n")])
def test_a_query_without_words_or_pixels_is_empty(query):
    assert query.is_empty


def test_a_snippet_is_one_line_cut_at_a_word():
    hit = Hit(id="1", score=1.0, kind="page", source="a.pdf", place="a.pdf#page=1", text="one\n two   three four")
    assert hit.snippet() == "one two three four"
    assert hit.snippet(12) == "one two…"
