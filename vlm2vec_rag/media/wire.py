"""What goes through the pipe between reader and worker: JSON and raw pixels, never a pickle.

A pickle can run code where it is opened, and the worker may have been taken over by the file it reads.
A message is a length (8 bytes), that much JSON, and the pixels of the images that the JSON lists, as RGB bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from vlm2vec_rag import errors
from vlm2vec_rag.errors import UnreadableMedia, VlmRagError
from vlm2vec_rag.items import Clip, Image, Page, Text
from vlm2vec_rag.media.pdf.base import Word
from vlm2vec_rag.media.settings import MediaInfo

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_TYPES = {each.__name__: each for each in (Text, Image, Page, Clip, Word, MediaInfo)}
_HEAD_BYTES = 64 * 2**20  # longest JSON part: far above a page's words


class Disconnected(Exception):
    """The other side is gone."""


def write(pipe: IO[bytes], value: Any) -> None:
    """Send a value: JSON values, items, words, infos, or an error."""
    images: list[PILImage] = []
    body = json.dumps({"value": _pack(value, images), "sizes": [image.size for image in images]}).encode()
    pipe.write(len(body).to_bytes(8, "big"))
    pipe.write(body)
    for image in images:
        pipe.write(image.tobytes())
    pipe.flush()


def read(pipe: IO[bytes], most_bytes: int) -> Any:
    """Receive what `write` sent. An error comes back as a value, for the caller to raise.

    Raises:
        Disconnected: The pipe ended, or what came makes no sense.
    """
    length = int.from_bytes(_exactly(pipe, 8), "big")
    if length > min(_HEAD_BYTES, most_bytes):
        raise Disconnected(f"a message of {length} bytes")
    try:
        message = json.loads(_exactly(pipe, length))
        sizes = [(int(width), int(height)) for width, height in message["sizes"]]
        if any(min(size) < 1 for size in sizes) or sum(3 * width * height for width, height in sizes) > most_bytes:
            raise Disconnected("images of no sensible size")
        images = [_image(pipe, size) for size in sizes]
        return _unpack(message["value"], images)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Disconnected(f"a message that cannot be read: {error}") from error


def _pack(value: Any, images: list[PILImage]) -> Any:
    if isinstance(value, VlmRagError):
        return {"!": "error", "class": type(value).__name__, "message": str(value)}
    if dataclasses.is_dataclass(value):
        fields = {each.name: _pack(getattr(value, each.name), images) for each in dataclasses.fields(value)}
        return {"!": type(value).__name__, "fields": fields}
    if isinstance(value, list | tuple):
        return [_pack(each, images) for each in value]
    if hasattr(value, "tobytes"):
        images.append(value)
        return {"!": "image", "index": len(images) - 1}
    return value if value is None or isinstance(value, str | int | float | bool) else dict(value)


def _unpack(value: Any, images: Sequence[PILImage]) -> Any:
    if isinstance(value, list):
        return [_unpack(each, images) for each in value]
    if not isinstance(value, dict) or "!" not in value:
        return value
    if value["!"] == "image":
        return images[value["index"]]
    if value["!"] == "error":
        raised = getattr(errors, value["class"], UnreadableMedia)
        return raised(value["message"])
    fields = {name: _unpack(each, images) for name, each in value["fields"].items()}
    for name in ("frames", "times_s"):
        if isinstance(fields.get(name), list):
            fields[name] = tuple(fields[name])
    return _TYPES[value["!"]](**fields)


def _image(pipe: IO[bytes], size: tuple[int, int]) -> PILImage:
    import PIL.Image

    return PIL.Image.frombytes("RGB", size, _exactly(pipe, 3 * size[0] * size[1]))


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if data is None or len(data) < count:
        raise Disconnected("the pipe ended")
    return data
