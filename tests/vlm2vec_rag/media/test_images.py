"""Image files: upright, on white, RGB, 8 bits, and no larger than the model sees."""

from __future__ import annotations

import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
from vlm2vec_rag.media.image_ends import is_cut_off
from vlm2vec_rag.media.images import ImageFile, open_image
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.pixels import resize, target_size


def read(path: Path, limits: MediaLimits | None = None, **settings: object) -> Image.Image:
    limits = limits or MediaLimits()
    with closing(ImageFile(str(path), sniff(path), MediaSettings(**settings), limits)) as file:
        image, info = file.item(0).image, file.info()
    assert image.mode == "RGB"
    assert (info.width > info.height) == (image.width > image.height)
    return image


def corners() -> Image.Image:
    """Red, green, blue, black, clockwise from the top left."""
    image = Image.new("RGB", (60, 40))
    for box, colour in [((0, 0, 30, 20), "red"), ((30, 0, 60, 20), "lime"), ((30, 20, 60, 40), "blue")]:
        image.paste(colour, box)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    # what the standard says of each value: how the stored image must be turned to be upright
    upright = corners()
    undo = {
        1: lambda image: image,
        2: ImageOps.mirror,
        3: lambda image: image.rotate(180),
        4: ImageOps.flip,
        5: lambda image: ImageOps.mirror(image.rotate(-90, expand=True)),
        6: lambda image: image.rotate(90, expand=True),
        7: lambda image: ImageOps.mirror(image.rotate(90, expand=True)),
        8: lambda image: image.rotate(-90, expand=True),
    }
    stored = undo[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert read(tmp_path / "a.png").tobytes() == upright.tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 20, 40))
    if mode == "P":
        palette = Image.new("P", (40, 40), 1)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.paste(0, (0, 0, 20, 40))
        palette.save(tmp_path / "a.png", transparency=1)
    else:
        image.convert("LA" if mode == "LA" else "RGBA").save(tmp_path / ("a.tif" if mode == "PA" else "a.png"))
    [path] = tmp_path.iterdir()
    shown = read(path)
    assert (shown.getpixel((5, 5)), shown.getpixel((35, 5))) == ((0, 0, 0), (255, 255, 255))


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (9, 9), (0, 0, 0, 128)).resize((40, 40)).save(tmp_path / "a.webp", lossless=True)
    assert read(tmp_path / "a.webp").getpixel((20, 20)) == pytest.approx((127, 127, 127), abs=1)


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_sixteen_bits_are_scaled_not_cut(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None, :].repeat(32, axis=0)
    Image.fromarray(ramp).save(tmp_path / f"a.{suffix}")
    shown = np.asarray(read(tmp_path / f"a.{suffix}"), int)
    assert np.abs(shown[5, :, 0] - ramp[5] / 257).max() <= (1 if suffix != "jp2" else 3)


def test_floats_are_stretched(tmp_path):
    values = np.linspace(-3, 5, 40, dtype=np.float32)[None, :].repeat(30, axis=0)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    shown = np.asarray(read(tmp_path / "a.tif"))
    assert (shown[5, 0, 0], shown[5, -1, 0]) == (0, 255)


@pytest.mark.parametrize(("ink", "colour"), [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))])
def test_cmyk_is_shown_in_its_colours(tmp_path, ink, colour):
    Image.new("CMYK", (40, 40), ink).save(tmp_path / "a.jpg", quality=100)
    assert read(tmp_path / "a.jpg").getpixel((20, 20)) == pytest.approx(colour, abs=3)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_several_frames_the_first_is_shown_and_the_count_kept(tmp_path, suffix):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"a.{suffix}"
    extra = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **extra)
    with closing(ImageFile(str(path), sniff(path), MediaSettings(), MediaLimits())) as file:
        item, again = file.item(0), file.item(0)
    assert item.content_hash == again.content_hash
    assert item.image.getpixel((20, 20)) == (255, 0, 0)
    assert item.metadata["frames_in_file"] == 3


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_black_and_white(tmp_path, mode):
    Image.new(mode, (40, 40), 1 if mode == "1" else 77).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").getpixel((9, 9)) == ((255,) * 3 if mode == "1" else (77,) * 3)


@pytest.mark.parametrize("size", [(3000, 2000), (1999, 1003), (900, 4000)])
def test_a_large_image_is_reduced_as_the_encoder_would(tmp_path, size):
    noise = Image.effect_noise(size, 90).convert("RGB")
    noise.save(tmp_path / "a.png", compress_level=1)
    shown = read(tmp_path / "a.png", max_pixels=300 * 784)
    height, width = target_size(noise.height, noise.width, 300 * 784)
    assert shown.tobytes() == resize(noise, height, width).tobytes()


@pytest.mark.parametrize("size", [(640, 480), (20, 50), (40, 8000)])
def test_an_image_within_the_budget_or_a_sliver_is_left_to_the_encoder(tmp_path, size):
    Image.new("RGB", size, "teal").save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", max_pixels=360 * 420 if size[1] == 8000 else 400_000).size == size


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    # 50,000 x 50,000 grey pixels are 2.5 GB; the header alone is enough to refuse it
    header = b"\x00\x00\xc3\x50\x00\x00\xc3\x50\x08\x00\x00\x00\x00"

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(MediaLimit, match=r"bomb\.png"):
        read(path)


def test_the_limit_is_the_one_that_was_set(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    with pytest.raises(
        MediaLimit, match=r"a.png: has 200 x 100 px, the limit is 19999 px; reduce it or raise limits.p"
    ):
        read(tmp_path / "a.png", MediaLimits(pixels=19_999))


def noisy(path: Path, **options: object) -> bytes:
    """A file whose every byte matters."""
    Image.effect_noise((300, 200), 90).convert("RGB").save(path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.gif", "cut.bmp", "progressive.jpg"])
def test_an_image_that_is_cut_off_is_read_as_far_as_it_goes_and_said_so(tmp_path, name, share):
    path = tmp_path / name
    data = noisy(path, **{"progressive.jpg": {"progressive": True}, "cut.gif": {"interlace": False}}.get(name, {}))
    whole = np.asarray(read(path), dtype=int)
    path.write_bytes(data[: int(len(data) * share)])
    with collected_notes() as notes:
        found = np.asarray(read(path), dtype=int)
    assert notes == ["is cut off and was read as far as it goes; the rest of the image is blank"]
    top = slice(180, 190) if name.endswith("bmp") else slice(0, 10)  # BMP is stored from below
    assert np.abs(found[top] - whole[top]).mean() < (40 if name.startswith("progressive") else 1)
    assert found.shape == whole.shape


@pytest.mark.parametrize("suffix", ["webp", "avif", "jp2"])
def test_half_a_file_of_a_format_that_is_decoded_whole_is_unreadable(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    data = noisy(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        UnreadableMedia, match=rf"cut.{suffix}: cannot be decoded as \w+ \(.*it is cut off, so fetch it"
    ):
        read(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif"])
def test_a_file_of_which_nothing_is_left_is_unreadable(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(noisy(path)[:60])
    with pytest.raises(UnreadableMedia, match=rf"cut.{suffix}: cannot be decoded as \w+ \(.*cut off"):
        read(path)


def test_a_whole_file_that_is_damaged_is_not_called_cut_off(tmp_path):
    path = tmp_path / "hit.png"
    data = bytearray(noisy(path))
    data[len(data) // 2 : len(data) // 2 + 50] = bytes(50)
    path.write_bytes(data)
    with collected_notes() as notes:
        read(path)
    assert notes == ["is damaged and was read as far as it goes; the rest of the image is blank"]
    path = tmp_path / "hit.jp2"
    data = bytearray(noisy(path))
    data[100:150] = bytes(50)
    path.write_bytes(data)
    with pytest.raises(UnreadableMedia, match=r"hit.jp2: .*; it is broken, so save it again"):
        read(path)


@pytest.mark.parametrize("junk", [b"", b"\0" * 1000 + b"junk"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "avif", "jp2", "tif"])
def test_what_is_whole_has_its_end_even_with_something_behind(tmp_path, suffix, junk):
    path = tmp_path / f"whole.{suffix}"
    path.write_bytes(noisy(path) + (junk if suffix in ("png", "jpg", "bmp", "webp") else b""))
    names = {"jpg": "jpeg", "jp2": "jpeg2000", "tif": "tiff"}
    assert not is_cut_off(str(path), names.get(suffix, suffix))


def fax(path: Path, sizes: list[tuple[int, int]], kinds: list[int] | None = None) -> Path:
    """A TIFF whose page `n` is of the grey `40 * n`; `kinds` are values of the tag NewSubfileType."""
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as writer:
        for number, size in enumerate(sizes):
            tags = {254: kinds[number]} if kinds else {}
            Image.new("L", size, 40 * (number + 1)).save(writer, format="TIFF", compression="tiff_lzw", tiffinfo=tags)
            writer.newFrame()
    return path


def items_of(path: Path) -> list:
    with closing(open_image(str(path), sniff(path), MediaSettings(), MediaLimits())) as file:
        return [file.item(index) for index in range(file.info().items)]


def test_a_tiff_of_several_pages_makes_a_page_each(tmp_path):
    pages = items_of(fax(tmp_path / "fax.tif", [(60, 80), (60, 80), (80, 60)]))
    assert [(page.kind, page.fragment) for page in pages] == [("page", f"page={number}") for number in (1, 2, 3)]
    assert [page.image.getpixel((5, 5)) for page in pages] == [(40,) * 3, (80,) * 3, (120,) * 3]
    assert [page.image.size for page in pages] == [(60, 80), (60, 80), (80, 60)]


def test_a_tiff_of_one_page_is_an_image(tmp_path):
    [item] = items_of(fax(tmp_path / "one.tif", [(60, 80)]))
    assert item.kind == "image"


@pytest.mark.parametrize(
    ("sizes", "kinds"),
    [
        ([(30, 40), (300, 400)], None),
        ([(300, 400), (30, 40)], None),
        ([(30, 40), (300, 400)], [1, 1]),
        ([(300, 400), (600, 800), (300, 400), (300, 400)], [1, 0, 1, 4]),  # reduced copies, and a mask
        ([(300, 400), (150, 200)], [0, 1]),
    ],
)
def test_a_thumbnail_directory_is_not_the_image(tmp_path, sizes, kinds):
    [item] = items_of(fax(tmp_path / "photo.tif", sizes, kinds))
    assert item.kind == "image" and item.image.size == max(sizes)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "jpg", "webp"])
def test_a_turned_image_reports_its_true_size(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    with closing(open_image(str(path), sniff(path), MediaSettings(), MediaLimits())) as file:
        info = file.info()
        assert (info.width, info.height) == file.image().image.size == ((60, 40) if orientation < 5 else (40, 60))


def test_too_many_pages_are_refused(tmp_path):
    path = fax(tmp_path / "fax.tif", [(6, 8)] * 4)
    with pytest.raises(MediaLimit, match=r"fax.tif: has more than 3 pages, the limit; split it or raise limits.pages"):
        open_image(str(path), sniff(path), MediaSettings(), MediaLimits(pages=3))


def test_a_page_of_a_tiff_by_its_number(tmp_path):
    path = fax(tmp_path / "fax.tif", [(60, 80), (60, 80)])
    with MediaReader() as reader:
        assert reader.probe(path).pages == 2
        assert reader.page(path, 2).image.getpixel((5, 5)) == (80,) * 3
        assert reader.words(path, 2) == [] and reader.export_page(path, 1).image.size == (60, 80)
        with pytest.raises(InvalidInput, match=r"fax.tif has 2 pages; there is no page 3"):
            reader.page(path, 3)


def test_broken_exif_does_no_harm(tmp_path):
    corners().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03")
    assert read(tmp_path / "a.jpg").size == (60, 40)
