"""Files and folders to LangChain documents: one for each page, image, clip or passage.

A document holds the item's text and says where it is. Its pixels stay in the file: `VLM2VecVectorStore.add_documents`
reads them from there, and so does `documents_to_content_blocks` when a chat model is to see them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from langchain_core.document_loaders import BaseBlobParser, BaseLoader, Blob
from langchain_core.documents import Document

from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.documents import document_id_of, metadata_of, with_description
from vlm2vec_rag.errors import MediaError, UnsupportedMedia

if TYPE_CHECKING:
    from vlm2vec_rag.items import Clip
    from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings

logger = logging.getLogger(__name__)


class MediaLoader(BaseLoader):
    """LangChain loader of PDFs, images, videos and text files, and folders of them: one document for each item.

    Setup:
        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]"

    Instantiate:
        .. code-block:: python

            from langchain_vlm2vec import MediaLoader

            loader = MediaLoader("./media")

    Lazy load:
        .. code-block:: python

            for document in loader.lazy_load():
                print(document.metadata["place"], document.page_content[:80])

    An image, page or clip without words has a short description as its text.

    >>> MediaLoader("./media").load()[0].metadata
    {'source': '/home/me/media/report.pdf', 'kind': 'page', 'place': '/home/me/media/report.pdf#page=1', 'page': 1, ...}
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        settings: MediaSettings | None = None,
        limits: MediaLimits | None = None,
        skip_failed: bool = False,
    ) -> None:
        """Say what to load; nothing is opened yet.

        Args:
            paths: Files and folders; folders are walked.
            settings: How files become items: the length of clips, the PDF engine. A store reads pages and clips again
                with its collection's own settings, so give a collection that exists its own.
            limits: What a file may cost before it is refused.
            skip_failed: Log a file that cannot be read and go on, instead of raising.
        """
        self.paths = paths
        self.settings = settings
        self.limits = limits
        self.skip_failed = skip_failed

    def lazy_load(self) -> Iterator[Document]:
        """One document for each item, file by file, read while they are asked for.

        Raises:
            MediaError: A file is missing or cannot be read; the message names it.
        """
        from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings, find_media

        given = [self.paths] if isinstance(self.paths, str | os.PathLike) else list(self.paths)
        with MediaReader(self.settings or MediaSettings(), self.limits or MediaLimits()) as reader:
            for path in find_media(given):
                try:
                    yield from documents_of(path, reader)
                except MediaError as error:
                    if not self.skip_failed:
                        raise
                    logger.warning("skipped %s: %s", path, error)


class MediaParser(BaseBlobParser):
    """Parses blobs that are files on this disk, for use in LangChain's `GenericLoader`.

    A blob without a path is refused: its pixels could not be read again when the documents are stored or shown.
    """

    def __init__(self, *, settings: MediaSettings | None = None, limits: MediaLimits | None = None) -> None:
        """See `MediaLoader`."""
        self.settings = settings
        self.limits = limits

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """One document for each item of the blob's file; the blob's metadata is added to each.

        Raises:
            MediaError: The file cannot be read, or the blob has no path.
        """
        from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings

        if blob.path is None:
            raise UnsupportedMedia(
                f"the blob {blob.source or '(no source)'} has no path; write it to a file first, "
                "from where its pixels can be read again when its documents are stored or shown"
            )
        with MediaReader(self.settings or MediaSettings(), self.limits or MediaLimits()) as reader:
            for document in documents_of(path_of(blob.path), reader):
                document.metadata = {**blob.metadata, **document.metadata}
                yield document


def document_id(document: Document) -> str:
    """The document's own id, or one made from all it holds: give it to LangChain's `index` as `key_encoder`.

    Pages and clips then have the ids under which the command line and LlamaIndex know them.
    """
    return document.id or document_id_of(document.page_content, document.metadata)


def documents_of(path: str | os.PathLike[str], reader: MediaReader) -> Iterator[Document]:
    """One document for each item of a file, under the id of its point."""
    for item in reader.items(path):
        payload = Payload.of(item)
        metadata = metadata_of(payload)
        yield Document(id=payload.id, page_content=with_description(payload.text, metadata), metadata=metadata)


def whole_video(reader: MediaReader, path: str | os.PathLike[str]) -> Clip:
    """A video as one clip, from its start to its end."""
    info = reader.probe(path)
    if info.kind != "video":
        raise UnsupportedMedia(f"{path} is a {info.format} file; expected a video")
    return reader.clip(path, 0.0, info.duration_s or 0.0)


def path_of(uri: str | os.PathLike[str]) -> str:
    """The path that a path or a `file://` address means.

    Raises:
        UnsupportedMedia: Another address: nothing is downloaded here.
    """
    text = os.fspath(uri)
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        text = url2pathname(parts.path)
    elif "://" in text or parts.scheme == "data":
        raise UnsupportedMedia(f"{text[:200]} is an address, and nothing is downloaded here; save it and give its path")
    return Path(text).resolve().as_posix()  # as the command line names it
