"""What LlamaIndex hands to an embedding (paths, bytes, nodes) as items with their pixels, read in guarded processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from llama_index.core.schema import BaseNode, MetadataMode

from llama_index_vlm2vec.nodes import shown_file, stands_for_file, to_document, to_media_node, words
from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.documents import FILE_FIELDS, read_item
from vlm2vec_rag.errors import EmptyInput, InvalidInput, UnsupportedMedia
from vlm2vec_rag.items import Clip, Image, Item, Text

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.media.settings import MediaSettings

ImageInput: TypeAlias = "str | Path | BytesIO | PILImage"
ClipInput: TypeAlias = "str | Path"
Media: TypeAlias = "Callable[[], MediaReader]"


@contextmanager
def open_media(settings: MediaSettings) -> Iterator[Media]:
    """A reader for as long as this lasts, opened by the first call: texts alone need none."""
    opened: list[MediaReader] = []

    def reader() -> MediaReader:
        from vlm2vec_rag.media import MediaReader

        if not opened:
            opened.append(MediaReader(settings))
        return opened[0]

    try:
        yield reader
    finally:
        for each in opened:
            each.close()


def read_image(image: ImageInput, reader: MediaReader) -> Image:
    """An image from its file, its bytes or its pixels.

    Raises:
        MediaError: It is missing, broken or no image; the message names it.
    """
    from PIL.Image import Image as PILImage

    if isinstance(image, PILImage):
        return Image(image=image)
    if isinstance(image, str | Path):
        return reader.image(_path(image))
    if isinstance(image, BytesIO):
        # through a file, so that bytes from anywhere are opened in the guarded process and not in this one
        with tempfile.TemporaryDirectory(prefix="vlm2vec-") as folder:
            path = Path(folder) / "image"
            path.write_bytes(image.getvalue())
            return replace(reader.image(path), source="")
    raise InvalidInput(f"the image is a {type(image).__name__}; expected a path, a BytesIO or a PIL image")


def read_clip(clip: ClipInput, reader: MediaReader) -> Clip:
    """A video file as one clip, from its start to its end.

    Raises:
        MediaError: It is missing, broken or no video; the message names it.
    """
    path = _path(clip)
    info = reader.probe(path)
    if info.kind != "video":
        raise UnsupportedMedia(f"{path} is a {info.format} file; expected a video")
    return reader.clip(path, 0.0, info.duration_s or 0.0)


def read_frames(clip: ClipInput | Sequence[PILImage], media: Media) -> tuple[PILImage, ...]:
    """The frames of a question's clip: of a video file, or as they are given.

    Raises:
        EmptyInput: There are none.
        MediaError: The file is missing, broken or no video; the message names it.
    """
    if isinstance(clip, str | Path):
        return read_clip(clip, media()).frames
    if not clip:
        raise EmptyInput("the clip of the question has no frames; give its path, or one frame at least")
    return tuple(clip)


def items_of(node: BaseNode, media: Media) -> tuple[BaseNode, Item]:
    """A node, as a MediaNode where it stands for a file's item, and the item to encode it by.

    Raises:
        EmptyInput: It has neither pixels nor words.
        InvalidInput: It holds its pixels in memory or as an address.
        MediaError: Its file cannot be read.
    """
    if stands_for_file(node):
        media_node = to_media_node(node)
        text = words(media_node)
        if media_node.metadata["kind"] == "text":
            return media_node, Text(text=text)
        item = read_item(text, media_node.metadata, media())
        if item.content_hash != media_node.metadata["content_hash"]:
            # the file or its caption changed since it was loaded: keep what the vector is made of
            media_node.metadata["content_hash"] = item.content_hash
            media_node.id_ = to_media_node_id(media_node)
        return media_node, item
    if shown := shown_file(node):
        kind, path = shown
        item = read_image(path, media()) if kind == "image" else read_clip(path, media())
        own = {name: value for name, value in node.metadata.items() if name not in FILE_FIELDS}
        item = replace(item, text=node.get_content(metadata_mode=MetadataMode.NONE), metadata=own)
        document = to_document(Payload.of(item))
        made = to_media_node(document)
        if node.relationships:
            made.relationships = node.relationships
        return made, item
    text = node.get_content(metadata_mode=MetadataMode.EMBED)
    if not text.strip():
        raise EmptyInput(f"node {node.node_id} has neither pixels nor words; leave it out, or give it a text")
    return node, Text(text=text)


def to_media_node_id(node: BaseNode) -> str:
    """The id of the point that a node of a file stands for."""
    from vlm2vec_rag.documents import file_payload

    return file_payload("", node.metadata).id


def _path(given: str | Path) -> Path:
    if "://" in str(given) or str(given).startswith("data:"):
        raise UnsupportedMedia(f"{str(given)[:200]} is an address, and nothing is downloaded here; save it first")
    return Path(given)
