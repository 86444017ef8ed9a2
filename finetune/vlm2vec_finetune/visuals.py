"""Open what a pair shows: an image, a page or a clip, through the same isolated reader that indexing uses."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from vlm2vec_finetune.pairs import Content
from vlm2vec_rag.encoder.base import Frames
from vlm2vec_rag.errors import UnreadableMedia

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Visual
    from vlm2vec_rag.media import MediaReader


class Visuals:
    """Gives a content's pixels; None for words. Each thread that asks at the same time gets a reader of its own."""

    def __init__(self, *, max_pixels: int, frames: int) -> None:
        self._max_pixels, self._frames = max_pixels, frames
        self._idle: queue.SimpleQueue[MediaReader] = queue.SimpleQueue()

    def __call__(self, content: Content) -> Visual:
        """The image, or the frames of a clip.

        Raises:
            MediaError: The file is missing or broken.
        """
        if content.kind == "text":
            return None
        with self.reading() as reader:
            return _read(reader, content)

    @contextmanager
    def reading(self) -> Iterator[MediaReader]:
        """One of the readers, for as long as the block lasts."""
        try:
            reader = self._idle.get_nowait()
        except queue.Empty:
            reader = self._new_reader()
        try:
            yield reader
        finally:
            self._idle.put(reader)

    def close(self) -> None:
        """End the processes that read."""
        while not self._idle.empty():
            self._idle.get().close()

    def _new_reader(self) -> MediaReader:
        from vlm2vec_rag.media import MediaReader, MediaSettings

        return MediaReader(MediaSettings(max_pixels=self._max_pixels, frames=self._frames))

    def __enter__(self) -> Visuals:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _read(reader: MediaReader, content: Content) -> Visual:
    if content.image:
        return reader.image(content.image).image
    if content.pdf:
        return reader.page(content.pdf, content.page).image
    if content.frames:
        return [reader.image(frame).image for frame in content.frames]
    end_s = content.end_s if content.end_s is not None else reader.probe(content.video).duration_s
    if end_s is None:
        raise UnreadableMedia(f"{content.video} does not say how long it is; give end_s")
    clip = reader.clip(content.video, content.start_s, end_s)
    return Frames(clip.frames, [time_s - clip.start_s for time_s in clip.times_s])  # as serving reads a clip
