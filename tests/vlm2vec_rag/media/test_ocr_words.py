"""Words that stand in pixels only are found, on a scan, in an image and in frames, inside the reading process."""

import dataclasses

import av
import numpy as np
import pytest
from handmade_pdfs import Sheet, make_pdf
from PIL import Image, ImageDraw, ImageFont

from vlm2vec_rag.errors import InvalidInput, MissingExtra
from vlm2vec_rag.media import MediaReader, MediaSettings, ocr, settings

pytest.importorskip("rapidocr")
pytestmark = pytest.mark.slow


def written(words, size=(560, 320)):
    """An image of large words on white."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((30, 120), words, fill="black", font=ImageFont.load_default(48))
    return image


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ocr")
    written("VIOLIN").save(folder / "scan.pdf")  # Pillow writes a page that is one image
    written("CELLO").save(folder / "image.png")
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 560, 320, "yuv420p"
        for words in ("TRUMPET", "TRUMPET", "HARP", "HARP"):
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(written(words)), format="rgb24")))
        container.mux(stream.encode())
    (folder / "film.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\ngood evening\n")
    return folder


@pytest.fixture(scope="module")
def reader():
    with MediaReader(MediaSettings(ocr="all")) as reader:
        yield reader


@pytest.mark.parametrize(("name", "text"), [("scan.pdf", "VIOLIN"), ("image.png", "CELLO")])
def test_words_of_scans_and_images_become_text(files, reader, name, text):
    [item] = reader.items(files / name)
    assert item.text == text and item.metadata["ocr"]
    with MediaReader(MediaSettings(ocr="off")) as without:
        [item] = without.items(files / name)
    assert item.text == "" and "ocr" not in item.metadata


def test_by_itself_only_pages_without_usable_text_are_read(files, tmp_path):
    broken = make_pdf(tmp_path / "broken.pdf", [Sheet(words=[(72, 700, "& 7 5 @!3 % &")]), Sheet()])
    with MediaReader(MediaSettings(ocr="auto")) as reader:
        [scan] = reader.items(files / "scan.pdf")
        [image] = reader.items(files / "image.png")
        shown, empty = reader.items(broken)
    assert (scan.text, image.text) == ("VIOLIN", "")
    assert shown.metadata == {"text_layer": "broken", "ocr": True} and "@!3" in shown.text  # as it is printed
    assert (empty.text, empty.metadata) == ("", {})


def test_words_of_frames_stand_behind_what_is_said_each_once(files, reader):
    [clip] = reader.items(files / "film.mp4")
    assert clip.text.split("\n") == ["good evening", "TRUMPET", "HARP"]


def test_a_frame_like_the_one_before_is_not_read_again(files, monkeypatch):
    reading = ocr.WordReader(1000)
    seen = []
    monkeypatch.setattr(reading, "lines", lambda image: seen.append(image) or ["x"])
    with MediaReader() as reader:
        [clip] = reader.items(files / "film.mp4")
    reading.added(clip)
    assert len(clip.frames) == 8 and len(seen) == 2


def test_a_page_with_a_text_layer_keeps_it(reader):
    from vlm2vec_rag import samples

    page = next(iter(reader.items(samples.folder() / "latexsheet.pdf")))
    assert "ocr" not in page.metadata and "\\documentclass" in page.text


def test_a_collection_keeps_to_it(files, tmp_path):
    import vlm2vec_rag as vr

    with vr.open(tmp_path / "c", "none", media=MediaSettings(ocr="all")) as library:
        library.index(files / "scan.pdf")
    with vr.open(tmp_path / "c") as library:
        library.index(files / "image.png")
        assert [hit.kind for hit in library.search("cello")] == ["image"]
    with pytest.raises(InvalidInput, match="ocr 'all' against None"):
        vr.open(tmp_path / "c", media=MediaSettings(ocr="off"))


def test_without_the_extra_the_pip_line_is_named(monkeypatch):
    find_spec = settings.importlib.util.find_spec
    monkeypatch.setattr(
        settings.importlib.util, "find_spec", lambda name: None if "rapidocr" in name else find_spec(name)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'vlm2vec-rag\[ocr\]'"):
        MediaReader(dataclasses.replace(MediaSettings(), ocr="all"))
