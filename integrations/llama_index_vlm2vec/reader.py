"""`VLM2VecReader`: files and folders to documents, alone or inside LlamaIndex's `SimpleDirectoryReader`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from llama_index_vlm2vec.nodes import MediaDocument, to_document
from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.errors import InvalidInput, MediaError
from vlm2vec_rag.media.settings import MediaLimits, MediaSettings

logger = logging.getLogger(__name__)

Paths: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"


class VLM2VecReader(BasePydanticReader):
    """Loads PDFs, images, videos and text files, and folders of them.

    A document holds an item's text and says where it is; its pixels stay in the file and are read again from there.
    Give it the settings of the model it loads for, where they are not the default: `embed_model.media_settings`.

    >>> VLM2VecReader("./media").load_data()[0].metadata
    {'source': '/home/me/media/report.pdf', 'kind': 'page', 'place': '/home/me/media/report.pdf#page=1', 'page': 1, ...}
    >>> reader = VLM2VecReader()
    >>> SimpleDirectoryReader("./media", file_extractor={".pdf": reader, ".mp4": reader, ".png": reader}).load_data()
    """

    paths: list[str] = Field(default_factory=list, description="Files and folders; folders are walked.")
    skip_failed: bool = Field(default=False, description="Log a file that cannot be read and go on.")

    _settings: MediaSettings = PrivateAttr()
    _limits: MediaLimits = PrivateAttr()

    def __init__(
        self,
        paths: Paths = (),
        *,
        settings: MediaSettings | None = None,
        limits: MediaLimits | None = None,
        skip_failed: bool = False,
        is_remote: bool = False,
    ) -> None:
        """Say what to load; nothing is opened yet.

        Args:
            paths: Files and folders; none where each file is given to `load_data`.
            settings: How files become items.
            limits: What a file may cost before it is refused.
            skip_failed: Log a file that cannot be read and go on, instead of raising.
            is_remote: For LlamaIndex; files here are always local.
        """
        fields: dict[str, Any] = {"paths": _strings(paths), "skip_failed": skip_failed, "is_remote": is_remote}
        super().__init__(**fields)
        self._settings = settings or MediaSettings()
        self._limits = limits or MediaLimits()

    @classmethod
    def class_name(cls) -> str:
        return "VLM2VecReader"

    def lazy_load_data(
        self,
        file: Paths | None = None,
        extra_info: Mapping[str, Any] | None = None,
        fs: Any = None,
        **load_kwargs: Any,
    ) -> Iterator[Document]:
        """One document for each item, file by file, read while they are asked for.

        Args:
            file: Files and folders, in place of the reader's own; `SimpleDirectoryReader` gives one file.
            extra_info: Metadata of the user's own, for each document.
            fs: A file system of `SimpleDirectoryReader`; only the local one has the files read again later.
            load_kwargs: Not used; LlamaIndex passes what its other readers take.

        Raises:
            MediaError: A file is missing or cannot be read; the message names it.
            InvalidInput: There is nothing to load, or the file system is not the local one.
        """
        if fs is not None and not _is_local(fs):
            raise InvalidInput(
                f"the files are on a {type(fs).__name__}; pages and clips are read again when they are embedded and "
                "shown, so copy the files to this machine first"
            )
        given = self.paths if file is None else _strings(file)
        if not given:
            raise InvalidInput("nothing to load: give VLM2VecReader files or folders, or give one to load_data")
        return self._load(given, dict(extra_info or {}))

    def _load(self, given: list[str], extra_info: dict[str, Any]) -> Iterator[Document]:
        from vlm2vec_rag.media import MediaReader, find_media

        with MediaReader(self._settings, self._limits) as reader:
            for path in find_media(given):
                try:
                    yield from _documents(path, reader, extra_info)
                except MediaError as error:
                    if not self.skip_failed:
                        raise
                    logger.warning("skipped %s: %s", path, error)


def _documents(path: Path, reader: Any, extra_info: Mapping[str, Any]) -> Iterator[MediaDocument]:
    from vlm2vec_rag.media import file_version

    expected = reader.probe(path).items
    version = file_version(path)
    for item in reader.items(path):
        payload = Payload.of(item, file_hash=version.hash, file_points=expected, modified_at=version.modified_at)
        yield to_document(payload, extra_info)


def _strings(paths: Paths) -> list[str]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return [os.fspath(each) for each in given]


def _is_local(fs: Any) -> bool:
    from llama_index.core.readers.file.base import is_default_fs

    return bool(is_default_fs(fs))
