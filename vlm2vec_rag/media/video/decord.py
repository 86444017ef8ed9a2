"""Frames through decord (`pip install 'vlm2vec-rag[decord]'`, the maintained decord2).

It returns wrong frames, without an error, from MPEG-TS, MPEG-PS and AVI (0, 3 and 3 of 10 right), and in any container
from HEVC with open groups and from MPEG-2 and MPEG-4 with B-frames (19 of 25 right; decord2 3.4.0). So it is given what
it was measured to be right on, and the rest is refused. Times come from the container's packets, because decord's own
ignore edit lists and late starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.extras import require
from vlm2vec_rag.media.video.container import Timeline

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

CONTAINERS = ("mp4", "matroska")
CODECS = ("h264", "vp8", "vp9", "av1", "libdav1d", "mjpeg", "ffv1", "prores")


class DecordReader:
    """Reads single frames of a video; decord turns them upright by itself."""

    def __init__(self, path: str, container_format: str, timeline: Timeline) -> None:
        if container_format not in CONTAINERS or timeline.codec not in CODECS:
            raise UnsupportedMedia(
                f"{path}: decord may return wrong frames from {timeline.codec} in {container_format} without an error; "
                "read it with video_reader='pyav', or convert it to H.264 in MP4"
            )
        self._decord = require("decord", "decord")
        self._path, self._timeline = path, timeline

    def frames(self, indices: Sequence[int]) -> list[tuple[int, PILImage]]:
        """The frames at these places of the timeline: (its tick, upright image), in the same order."""
        from PIL import Image

        try:
            # opened for each call and let go: while it is held it decodes ahead without bound (4 GB in 3 s at 720p)
            reader = self._decord.VideoReader(os.path.abspath(self._path), ctx=self._decord.cpu(0))  # noqa: PTH100
            if len(reader) != len(self._timeline.ticks):
                raise UnreadableMedia(
                    f"{self._path}: decord counts {len(reader)} frames where the file holds "
                    f"{len(self._timeline.ticks)}; read it with video_reader='pyav'"
                )
            images = reader.get_batch(list(indices)).asnumpy()
            reader.seek(0)  # stops its decoding thread
            del reader
        except (self._decord.DECORDError, RuntimeError, IndexError) as error:
            raise UnreadableMedia(
                f"{self._path}: decord cannot read it ({str(error).splitlines()[-1]}); try video_reader='pyav'"
            ) from error
        return [
            (self._timeline.ticks[index], Image.fromarray(image)) for index, image in zip(indices, images, strict=True)
        ]

    def close(self) -> None:
        """Nothing is held open between calls."""
