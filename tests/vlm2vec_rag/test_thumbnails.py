"""Thumbnails are small, kept once by content, and never half written."""

import pytest
from PIL import Image as PILImage

from vlm2vec_rag import Clip, Image, Page, Text
from vlm2vec_rag.thumbnails import MAX_SIDE, Thumbnails


@pytest.fixture
def thumbnails(tmp_path):
    return Thumbnails(tmp_path / "thumbnails")


def test_a_page_is_kept_small_and_found_again(thumbnails):
    page = Page(image=PILImage.new("RGB", (1200, 1600), "white"), page=1)
    assert thumbnails.find(page.content_hash) is None
    thumbnails.keep(page)
    with PILImage.open(thumbnails.find(page.content_hash)) as small:
        assert small.size == (360, MAX_SIDE)


def test_a_clip_shows_its_middle(thumbnails):
    frames = tuple(PILImage.new("RGB", (64, 64), color) for color in ("red", "lime", "blue"))
    clip = Clip(frames=frames, times_s=(0.0, 1.0, 2.0), start_s=0, end_s=2)
    thumbnails.keep(clip)
    with PILImage.open(thumbnails.find(clip.content_hash)) as small:
        red, green, blue = small.getpixel((32, 32))
        assert green > 200 > max(red, blue)


def test_a_text_has_none(thumbnails):
    thumbnails.keep(Text(text="words"))
    assert not thumbnails.folder.exists()


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "CMYK"])
def test_every_mode_can_be_kept(thumbnails, mode):
    item = Image(image=PILImage.new("RGB", (50, 50), "red").convert(mode))
    thumbnails.keep(item)
    assert thumbnails.find(item.content_hash)


def test_a_failed_write_leaves_no_part_of_an_image(thumbnails, monkeypatch):
    item = Image(image=PILImage.new("RGB", (50, 50)))

    def fail(self, *_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(PILImage.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        thumbnails.keep(item)
    # that the folder is a cache was said before, and stays true
    assert [each.name for each in thumbnails.folder.rglob("*") if each.is_file()] == ["CACHEDIR.TAG"]
    assert thumbnails.find(item.content_hash) is None
