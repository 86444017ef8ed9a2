"""Small images of what was indexed, kept by content beside the collection.

The name of a thumbnail is the hash of what it shows, so the same page in two files is kept once, a changed page gets
another one, and nothing points at the folder: it can be moved or deleted, and what is missing is simply not shown.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.disk import mark_as_cache, replacing
from vlm2vec_rag.items import Clip, Image, Item, Page

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

MAX_SIDE = 480  # px
QUALITY = 82


class Thumbnails:
    """A folder of small JPEGs, named by content hash."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, content_hash: str) -> Path:
        """Where the thumbnail of that content stands, whether or not it is there."""
        # 128 bits are plenty to tell images apart, and a path of half the length fits a line
        return self.folder / content_hash[:2] / f"{content_hash[:32]}.jpg"

    def find(self, content_hash: str) -> str | None:
        """The thumbnail's path, where there is one."""
        path = self.path(content_hash)
        return str(path) if path.is_file() else None

    def keep(self, item: Item) -> None:
        """Write the thumbnail of an item that has pixels, unless it is there already. A clip shows its middle."""
        match item:
            case Clip():
                image = item.frames[len(item.frames) // 2]
            case Page() | Image():
                image = item.image
            case _:
                return
        self.keep_image(item.content_hash, image)

    def keep_image(self, content_hash: str, image: PILImage) -> None:
        """Write one thumbnail, whole or not at all."""
        path = self.path(content_hash)
        if path.is_file():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        mark_as_cache(self.folder)  # or a folder that holds it would be indexed with it
        small = image.convert("RGB")
        small.thumbnail((MAX_SIDE, MAX_SIDE))
        with replacing(path) as part:
            small.save(part, "JPEG", quality=QUALITY)
