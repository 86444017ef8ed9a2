"""Image files as Image items: upright, on white, RGB, 8 bits, no larger than the model sees."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.items import Image
from vlm2vec_rag.media.captions import caption_of
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import IMAGE_FORMATS, Sniffed
from vlm2vec_rag.pixels import reduced_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


class ImageFile:
    """An image file. An animation counts as its first frame."""

    def __init__(self, path: str, sniffed: Sniffed, settings: MediaSettings, limits: MediaLimits) -> None:
        import PIL.Image

        self._path, self._format, self._settings, self._limits = path, sniffed.format, settings, limits
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # limits.pixels is the judge, and flaws in metadata do no harm
                self._image = PIL.Image.open(path, formats=IMAGE_FORMATS)
        except PIL.Image.DecompressionBombError as error:
            raise MediaLimit(f"{path}: {error}; reduce it first") from error
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise self._unreadable(error) from error
        try:
            width, height = self._image.size
            if width * height > limits.pixels:
                advice = "reduce it or raise limits.pixels"
                raise MediaLimit(f"{path}: has {width} x {height} px, the limit is {limits.pixels} px; {advice}")
            self._width, self._height = (height, width) if self._is_sideways() else (width, height)
        except BaseException:
            self.close()
            raise

    def info(self) -> MediaInfo:
        return MediaInfo(kind="image", format=self._format, items=1, width=self._width, height=self._height)

    def item(self, index: int) -> Image:
        return self.image()

    def image(self, max_pixels: int | None = None) -> Image:
        """The image, reduced where that cannot change its vector, with the title and caption its file holds."""
        import PIL.Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # flaws in metadata: the pixels are what counts
                image = upright_rgb(self._image)
                caption = caption_of(self._image, self._limits.page_chars)
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, PIL.Image.DecompressionBombError) as error:
            raise self._unreadable(error) from error
        size = reduced_size(image.height, image.width, max_pixels or self._settings.max_pixels)
        shown = image.copy() if size is None else resize(image, *size)
        frames = getattr(self._image, "n_frames", 1)  # goes through the file, and may leave another frame loaded
        return Image(
            image=shown,
            source=self._path,
            text=caption.text,
            title=caption.title,
            metadata={"frames_in_file": frames} if frames > 1 else {},
        )

    def close(self) -> None:
        self._image.close()

    def _is_sideways(self) -> bool:
        """Whether it is turned by 90 degrees when shown, as far as its header says."""
        if self._image.format == "PNG" and "exif" not in self._image.info:
            return False  # Pillow would decode the whole image to look for EXIF after its pixels
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # flaws in metadata: the pixels are what counts
                return self._image.getexif().get(_ORIENTATION) in _SIDEWAYS
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UnreadableMedia:
        return UnreadableMedia(
            f"{self._path}: cannot be decoded as {self._format} ({error}); it may be cut off, so fetch or save it again"
        )


def upright_rgb(image: PILImage) -> PILImage:
    """Decode the current frame: turned as its EXIF data say, transparent parts on white, 8 bits per channel.

    16 bits are scaled by their full range (65535 is white); 32-bit integers and floats from their least to their
    greatest value. Colour profiles are not applied, as the public code does not apply them either. Where nothing is to
    be done the very image is returned: one of 200 megapixels is 600 MB, and each copy as much again.
    """
    from PIL import Image, ImageOps

    image.load()
    is_turned = image.getexif().get(_ORIENTATION, 1) != 1
    image = _eight_bits(ImageOps.exif_transpose(image) if is_turned else image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, "white")
        image.alpha_composite(layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: PILImage) -> PILImage:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "I" and image.format == "PNG":  # 16 bits in a 32-bit image, from older Pillow
        return Image.fromarray((values / 257 + 0.5).clip(0, 255).astype(np.uint8))
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = np.nan_to_num((values - low) * (255 / max(high - low, 1e-12)), posinf=255, neginf=0)
    return Image.fromarray((scaled + 0.5).clip(0, 255).astype(np.uint8))
