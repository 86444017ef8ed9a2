"""Pages, clips and images of one's own with their words: what pairs are made from.

They come from files through the reader, or from an indexed collection, which kept the words and needs no file opened.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_finetune.pairs import Content
from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.items import Clip, Image, Item, Page, Text

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.collection import Collection, Payload
    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Something that a question can be about."""

    content: Content  # what the question should find
    text: str
    title: str = ""  # the heading it stands under
    document: str = ""
    image: PILImage | None = None


def passages_of_files(
    sources: Sequence[Path], reader: MediaReader, *, with_images: bool = False, pages_per_document: int | None = None
) -> Iterator[Passage]:
    """The pages, clips, images and texts of files and folders; a file that cannot be read is said and passed over.

    Args:
        sources: Files and folders.
        reader: Opens them.
        with_images: Keep each page's image, which cut-outs need: a few MB a page.
        pages_per_document: Of a longer PDF only so many, spread evenly, so that one manual does not outweigh the rest.
    """
    from vlm2vec_rag.media import find_media

    for path in find_media(sources):
        try:
            for item in _items(path, reader, pages_per_document):
                yield _passage(item, str(Path(path).resolve()), with_images)
        except MediaError as error:
            logger.warning("%s", error)


def _items(path: Path, reader: MediaReader, pages: int | None) -> Iterator[Item]:
    there = reader.probe(path).pages
    if pages is None or there is None or there <= pages:
        yield from reader.items(path)
        return
    for number in range(pages):
        yield reader.page(path, 1 + number * there // pages)


def pages_of_documents(targets: Sequence[Content], reader: MediaReader) -> list[Content]:
    """All pages of the documents that some targets are pages of; a file that cannot be read is said and left out."""
    found: list[Content] = []
    for path in dict.fromkeys(target.pdf for target in targets if target.pdf):
        try:
            found += [Content(pdf=path, page=number) for number in range(1, (reader.probe(path).pages or 0) + 1)]
        except MediaError as error:
            logger.warning("%s", error)
    return found


def passages_of_collection(collection: Collection) -> Iterator[Passage]:
    """What a collection holds, in the order of its places."""
    points = sorted(collection.scroll(), key=lambda point: (point.payload.source, point.payload.page or 0, point.id))
    for point in points:
        kept = point.payload
        yield Passage(content=content_of(kept), text=kept.text, title=kept.title, document=kept.source)


def content_of(payload: Payload) -> Content:
    """Where the item of a point is."""
    match payload.kind:
        case "page":
            return Content(pdf=payload.source, page=payload.page or 1)
        case "clip":
            return Content(video=payload.source, start_s=payload.start_s or 0.0, end_s=payload.end_s)
        case "image":
            return Content(image=payload.source)
        case _:
            return Content(text=payload.text)


def _passage(item: Item, source: str, with_image: bool) -> Passage:
    content: Content
    image = None
    match item:
        case Page():
            content, image = Content(pdf=source, page=item.page), item.image
        case Image():
            content, image = Content(image=source), item.image
        case Clip():
            content, image = Content(video=source, start_s=item.start_s, end_s=item.end_s), item.frames[0]
        case Text():
            content = Content(text=item.text)
    return Passage(
        content=content,
        text=item.text,
        title=item.title,
        document=source,
        image=image if with_image else None,
    )
