"""Questions of words, images and videos, from what LangChain users pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

from langchain_vlm2vec.loader import path_of, whole_video
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import Query
from vlm2vec_rag.words import question

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

ImageInput: TypeAlias = "str | os.PathLike[str] | PILImage"
"""A path, a `file://` address, or an image in memory."""

Video: TypeAlias = "str | os.PathLike[str] | Sequence[PILImage]"
"""A path, a `file://` address, or the frames of a clip."""


def build_query(
    text: str, image: ImageInput | None, clip: Video | None, media: Callable[[], AbstractContextManager[MediaReader]]
) -> Query:
    """The question; a file that was named as an image or video, and only such a file, is opened with `media`.

    Raises:
        EmptyInput: There are neither words nor pixels.
        InvalidInput: The words are a path, or both an image and a video are given.
        MediaError: The image or video cannot be read; the message names it.
    """
    if image is not None and clip is not None:
        raise InvalidInput("the question shows an image and a clip; the model takes one of them")
    if image is None and clip is None:
        return Query(text=question(text))
    words = question(text) if text else ""
    if image is not None:
        if isinstance(image, str | os.PathLike):
            with media() as reader:
                return Query(text=words, image=reader.image(path_of(image)).image)
        return Query(text=words, image=image)
    if isinstance(clip, str | os.PathLike):
        with media() as reader:
            return Query(text=words, frames=whole_video(reader, path_of(clip)).frames)
    frames = tuple(clip or ())
    if not frames:
        raise EmptyInput("the clip of the question has no frames; give its path, or one frame at least")
    return Query(text=words, frames=frames)
