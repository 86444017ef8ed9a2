"""Image files as Image items, and TIFF files of several pages as Page items.

Images are upright, on white, RGB, 8 bits, no larger than the model sees.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from vlm2vec_rag.errors import InvalidInput, MediaError, MediaLimit, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.items import Image, Page
from vlm2vec_rag.media.captions import Caption, caption_of
from vlm2vec_rag.media.image_ends import is_cut_off
from vlm2vec_rag.media.notes import note
from vlm2vec_rag.media.pdf.base import Word
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import IMAGE_FORMATS, Sniffed
from vlm2vec_rag.pixels import reduced_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255  # TIFF 6.0, pages 36 and 40
_IN_PARTS = ("jpeg", "png", "gif", "bmp")  # Pillow decodes what there is of them
_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError)
_THUMBNAIL_PX, _THUMBNAIL_RATIO = 256, 3


class ImageFile:
    """An image file. An animation counts as its first frame."""

    def __init__(self, path: str, sniffed: Sniffed, settings: MediaSettings, limits: MediaLimits) -> None:
        self._path, self._format, self._settings, self._limits = path, sniffed.format, settings, limits
        self._image = self._open()
        try:
            self._frame = self._frames()[0]
            with self._as_unreadable():
                self._image.seek(self._frame)
            self._size = self._upright_size()
            self._check_pixels()
        except BaseException:
            self.close()
            raise

    def info(self) -> MediaInfo:
        width, height = self._size
        return MediaInfo(kind="image", format=self._format, items=1, width=width, height=height)

    def item(self, index: int) -> Image | Page:
        return self.image()

    def image(self, max_pixels: int | None = None) -> Image:
        """The image, reduced where that cannot change its vector, with the title and caption its file holds."""
        shown, caption = self._read(self._frame, max_pixels)
        try:
            frames = getattr(self._image, "n_frames", 1)  # goes through the file, and may leave another frame loaded
        except _ERRORS:
            frames = 1  # it is cut off behind the first
        return Image(
            image=shown,
            source=self._path,
            text=caption.text,
            title=caption.title,
            metadata={"frames_in_file": frames} if frames > 1 else {},
        )

    def close(self) -> None:
        self._image.close()

    def _open(self) -> Any:
        import PIL.Image

        try:
            with self._as_unreadable():
                formats = IMAGE_FORMATS if self._format != "heic" else _heif(self._path)
                return PIL.Image.open(self._path, formats=formats)
        except PIL.Image.DecompressionBombError as error:
            raise MediaLimit(f"{self._path}: {error}; reduce it first") from error

    def _frames(self) -> list[int]:
        """The frames that are images of their own."""
        return [0] if self._format != "tiff" else self._tiff_pages()

    def _tiff_pages(self) -> list[int]:
        """The directories of a TIFF that are neither a thumbnail, a reduced copy nor a mask of another."""
        found: list[tuple[int, bool, tuple[int, int]]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for frame in range(self._limits.pages + 1):
                try:
                    self._image.seek(frame)
                except EOFError:
                    break
                except (OSError, ValueError, SyntaxError) as error:
                    note(f"is damaged behind page {len(found)}: {error}")
                    break
                tags = self._image.tag_v2
                is_other = bool(tags.get(_NEW_SUBFILE_TYPE, 0) & 0b101) or tags.get(_SUBFILE_TYPE) == 2
                found.append((frame, is_other, self._image.size))
        if len(found) > self._limits.pages:
            advice = "split it or raise limits.pages"
            raise MediaLimit(f"{self._path}: has more than {self._limits.pages} pages, the limit; {advice}")
        pages = [each for each in found if not each[1]] or found
        largest = max(size for _, _, size in pages)
        return [frame for frame, _, size in pages if not _is_thumbnail(size, largest)] or [0]

    def _read(self, frame: int, max_pixels: int | None) -> tuple[PILImage, Caption]:
        """A frame as the model sees it, and its caption; of a file that is cut off, as far as it goes."""
        import PIL.Image

        try:
            image, caption = self._decode(frame)
        except MediaError:  # each is an OSError, too
            raise
        except PIL.Image.DecompressionBombError as error:
            raise self._unreadable(error) from error
        except _ERRORS as error:
            image, caption = self._decode_in_part(frame, error)
        size = reduced_size(image.height, image.width, max_pixels or self._settings.max_pixels)
        return image.copy() if size is None else resize(image, *size), caption

    def _decode(self, frame: int) -> tuple[PILImage, Caption]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # flaws in metadata: the pixels are what counts
            self._image.seek(frame)
            self._check_pixels()
            return upright_rgb(self._image), caption_of(self._image, self._limits.page_chars)

    def _decode_in_part(self, frame: int, error: Exception) -> tuple[PILImage, Caption]:
        import PIL.ImageFile

        if self._format not in _IN_PARTS:
            raise self._unreadable(error) from error
        self.close()
        self._image = self._open()
        before = PIL.ImageFile.LOAD_TRUNCATED_IMAGES
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            image, caption = self._decode(frame)
        except _ERRORS:
            raise self._unreadable(error) from error
        finally:
            PIL.ImageFile.LOAD_TRUNCATED_IMAGES = before
        if all(low == high for low, high in cast("Sequence[tuple[int, int]]", image.getextrema())):
            raise self._unreadable(error) from error
        fault = "is cut off" if is_cut_off(self._path, self._format) else "is damaged"
        note(f"{fault} and was read as far as it goes; the rest of the image is blank")
        return image, caption

    def _upright_size(self) -> tuple[int, int]:
        """(width, height) as shown, as far as the header says."""
        width, height = self._image.size
        if self._format == "tiff":
            return width, height  # Pillow has turned it by then
        if self._image.format == "PNG" and "exif" not in self._image.info:
            return width, height  # Pillow would decode the whole image to look for EXIF after its pixels
        with self._as_unreadable():
            is_sideways = self._image.getexif().get(_ORIENTATION) in _SIDEWAYS
        return (height, width) if is_sideways else (width, height)

    def _check_pixels(self) -> None:
        (width, height), limit = self._image.size, self._limits.pixels
        if width * height > limit:
            advice = "reduce it or raise limits.pixels"
            raise MediaLimit(f"{self._path}: has {width} x {height} px, the limit is {limit} px; {advice}")

    @contextmanager
    def _as_unreadable(self) -> Iterator[None]:
        """Pillow's errors for broken files, as one of ours; flaws in metadata do no harm."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except MediaError:
            raise
        except _ERRORS as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UnreadableMedia:
        advice = {
            True: "it is cut off, so fetch it again",
            False: "it is broken, so save it again",
            None: "it may be cut off or broken, so fetch or save it again",
        }[is_cut_off(self._path, self._format)]
        reason = " ".join(str(error).split())
        return UnreadableMedia(f"{self._path}: cannot be decoded as {self._format} ({reason}); {advice}")


class TiffPages(ImageFile):
    """A TIFF file of several pages: a fax, a scan."""

    def info(self) -> MediaInfo:
        pages, (width, height) = len(self._pages), self._size
        return MediaInfo(kind="image", format="tiff", items=pages, pages=pages, width=width, height=height)

    def item(self, index: int) -> Page:
        return self.page(index + 1)

    def page(self, page: int, max_pixels: int | None = None) -> Page:
        """One page; they count from 1."""
        shown, caption = self._read(self._frame_of(page), max_pixels)
        return Page(image=shown, page=page, source=self._path, text=caption.text, title=caption.title)

    def words(self, page: int) -> list[Word]:
        """None: a scan has no text layer."""
        self._frame_of(page)
        return []

    def export(self, page: int, dpi: float) -> PILImage:
        """A page with all its pixels: a scan has no more to show at any resolution."""
        return self._read(self._frame_of(page), self._limits.pixels)[0]

    def _frame_of(self, page: int) -> int:
        if not 1 <= page <= len(self._pages):
            raise InvalidInput(f"{self._path} has {len(self._pages)} pages; there is no page {page}")
        return self._pages[page - 1]

    def _frames(self) -> list[int]:
        self._pages = super()._frames()
        return self._pages


def _heif(path: str) -> tuple[str, ...]:
    """Have Pillow open HEIC, the images of phones.

    Raises:
        UnsupportedMedia: What decodes it is not installed.
    """
    if importlib.util.find_spec("pillow_heif") is None:
        raise UnsupportedMedia(
            f"{path}: is a HEIC image; run: pip install 'vlm2vec-rag[heic]', or convert it to JPEG first"
        )
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def open_image(path: str, sniffed: Sniffed, settings: MediaSettings, limits: MediaLimits) -> ImageFile:
    """Open an image file; one of several pages as pages."""
    if sniffed.format == "tiff":
        file = TiffPages(path, sniffed, settings, limits)
        if file.info().items > 1:
            return file
        file.close()
    return ImageFile(path, sniffed, settings, limits)


def _is_thumbnail(size: tuple[int, int], largest: tuple[int, int]) -> bool:
    """Whether a frame is a small copy of another that no tag says to be one."""
    if max(size) > _THUMBNAIL_PX or max(size) * _THUMBNAIL_RATIO > max(largest):
        return False
    return abs(size[0] * largest[1] - size[1] * largest[0]) <= max(largest)  # the same shape, to a pixel


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
