"""Settings and limits check themselves, and say what a collection must record."""

from __future__ import annotations

import importlib.util
import json

import pytest
from handmade_pdfs import make_pdf

from vlm2vec_rag.errors import InvalidInput, MissingExtra
from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
from vlm2vec_rag.media.settings import has_pymupdf


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_pixels": 100}, "max_pixels is 100; expected at least 3136"),
        ({"frames": 0}, "frames is 0; expected at least 1"),
        ({"window_s": 0}, "window_s is 0; expected more than 0 seconds"),
        ({"window_s": float("nan")}, "window_s is nan"),
        ({"overlap_s": 30}, "overlap_s is 30; expected 0 or more, and less than window_s"),
        ({"pdf_engine": "mupdf"}, "pdf_engine is 'mupdf'; expected pymupdf or pypdfium2"),
        ({"video_reader": "cv2"}, "video_reader is 'cv2'; expected pyav or decord"),
        ({"supersample": 0.5}, "supersample is 0.5; expected 1 to 4"),
        ({"text_chars": 5}, "text_chars is 5; expected at least 100"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(InvalidInput, match=message):
        MediaSettings(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pages": 0}, "pages is 0; expected more than 0"),
        ({"seconds_per_item": -1}, "seconds_per_item is -1; expected more than 0"),
        ({"duration_s": float("inf")}, "duration_s is inf"),
        ({"memory_bytes": 1000}, r"memory_bytes is 1000; expected at least 536870912 \(512 MiB\)"),
    ],
)
def test_limits_that_make_no_sense(values, message):
    with pytest.raises(InvalidInput, match=message):
        MediaLimits(**values)


def test_a_signature_gives_the_settings_back():
    settings = MediaSettings(window_s=20, frames=4, supersample=1.5, passwords="secret")
    recorded = json.loads(json.dumps(settings.signature()))
    assert "secret" not in json.dumps(recorded)
    again = MediaSettings.from_signature({**recorded, "from_a_newer_version": 1}, MediaSettings(passwords="other"))
    assert again.signature() == settings.signature() and again.passwords == ("other",)


def test_a_signature_names_the_engine_that_is_tried_first(monkeypatch):
    assert MediaSettings(pdf_engine="pypdfium2").signature()["pdf_engine"] == "pypdfium2"
    assert MediaSettings().signature()["pdf_engine"] == ("pymupdf" if has_pymupdf() else "pypdfium2")
    monkeypatch.setattr("vlm2vec_rag.media.settings.has_pymupdf", lambda: False)
    assert MediaSettings().signature()["pdf_engine"] == "pypdfium2"
    assert MediaSettings(pdf_engine="pymupdf").signature()["pdf_engine"] == "pymupdf"  # recorded on another machine


def test_an_engine_that_is_recorded_and_not_installed_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.media.pdf.engines.has_pymupdf", lambda: False)
    with MediaReader(MediaSettings(pdf_engine="pymupdf"), isolated=False) as reader:
        assert next(iter(reader.items(make_pdf(tmp_path / "a.pdf")))).text == "Hello"


def test_words_in_pixels_are_read_by_themselves_where_that_is_installed(monkeypatch):
    find_spec = importlib.util.find_spec
    installed = {"rapidocr"}
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: (name in installed or None) if name == "rapidocr" else find_spec(name),
    )
    assert MediaSettings().settled().ocr == "auto" and MediaSettings().signature()["ocr"] == "auto"
    assert MediaSettings(ocr="off").settled().ocr == "off"
    installed.clear()
    assert MediaSettings().settled().ocr == MediaSettings(ocr="auto").settled().ocr == "off"
    assert "ocr" not in MediaSettings().signature()


@pytest.mark.parametrize(("recorded", "ocr"), [({}, "off"), ({"ocr": True}, "all"), ({"ocr": "auto"}, "auto")])
def test_older_collections_keep_to_what_they_were_made_with(recorded, ocr):
    assert MediaSettings.from_signature(recorded).ocr == ocr


def test_a_reader_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"decord is not installed; run: pip install 'vlm2vec-rag\[decord\]'"):
        MediaSettings(video_reader="decord").settled()


def test_the_window_may_be_shortened_below_the_usual_overlap_only_together():
    with pytest.raises(InvalidInput, match=r"overlap_s is 5.0"):
        MediaSettings(window_s=4)
    assert MediaSettings(window_s=4, overlap_s=0).signature()["overlap_s"] == 0
