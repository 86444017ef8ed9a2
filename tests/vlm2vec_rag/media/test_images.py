"""Image files: upright, on white, RGB, 8 bits, and no larger than the model sees."""

from __future__ import annotations

import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.images import ImageFile
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp", "avif", "jp2"])
def test_half_a_file_is_unreadable(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.effect_noise((300, 200), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableMedia, match=rf"cut.{suffix}: cannot be decoded as \w+ \(.*it may be cut off"):
        read(path)


def test_broken_exif_does_no_harm(tmp_path):
    corners().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03")
    assert read(tmp_path / "a.jpg").size == (60, 40)
