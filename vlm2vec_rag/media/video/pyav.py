"""Frames through PyAV: exact on every container, since frames are found by time and decoded from a key frame."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media.settings import MediaLimits
from vlm2vec_rag.media.video.container import Timeline, as_unreadable, open_container, video_stream

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_STEPS_BACK_S = (0, 2, 6, 18, 54)


class PyavReader:
    """Decodes single frames of an open video."""

    def __init__(self, path: str, container_format: str, timeline: Timeline, limits: MediaLimits) -> None:
        self._path, self._timeline = path, timeline
        self._container = open_container(path, container_format)
        self._stream = video_stream(self._container, path, limits)

    def frames(self, indices: Sequence[int]) -> list[tuple[int, PILImage]]:
        """The frames on screen at these places of the timeline: (its true tick, upright picture), in the same order.

        A frame that cannot be decoded is stood in for by the one before it, and listed once. The answer does not
        depend on what was asked before: each call starts from a key frame.
        """
        shown: dict[int, PILImage] = {}
        cursor = _Cursor(self._container, self._stream, self._timeline, self._path)
        for index in indices:
            frame = cursor.at(self._timeline.ticks[index])
            if frame.pts not in shown:
                with as_unreadable(self._path):
                    shown[frame.pts] = _upright(frame)
        return sorted(shown.items(), key=lambda pair: pair[0])

    def close(self) -> None:
        self._container.close()


class _Cursor:
    """Walks forward through decoded frames, and jumps where a key frame shortens the way."""

    def __init__(self, container: Any, stream: Any, timeline: Timeline, path: str) -> None:
        self._container, self._stream, self._timeline, self._path = container, stream, timeline, path
        self._decoded: Iterator[Any] = iter(())
        self._current: Any = None
        self._next: Any = None
        self._step = 0

    def at(self, tick: int) -> Any:
        """The frame on screen at a time: the last one whose own time is not later."""
        if self._current is None or self._current.pts > tick or self._has_key_frame_before(tick):
            self._jump(tick)
        while self._next is not None and self._next.pts <= tick:
            self._current, self._next = self._next, self._decode()
        return self._current

    def _has_key_frame_before(self, tick: int) -> bool:
        keys = self._timeline.key_ticks
        before = bisect_right(keys, tick)
        return before > 0 and keys[before - 1] > self._current.pts

    def _jump(self, tick: int) -> None:
        """Seek to a key frame at or before a time.

        Containers without an index (MPEG-TS, MPEG-PS) land late, or on a frame that is then given a wrong time. So what
        comes first must be a key frame with the very time that its packet has; where it is not, look further back.
        """
        base, start = self._timeline.time_base, self._timeline.ticks[0]
        for step in range(self._step, len(_STEPS_BACK_S)):
            place = tick - int(_STEPS_BACK_S[step] / base)
            if place >= start and self._start_from(place) and self._is_key_frame_before(tick):
                self._step = step  # what this container needs; the next jump begins with it
                return
        # from well before the start, since the start itself may already land late
        if not self._start_from(start - int(_STEPS_BACK_S[-1] / base)):
            raise UnreadableMedia(f"{self._path}: none of its frames can be decoded; it may be broken, so convert it")

    def _start_from(self, place: int) -> bool:
        """Seek and decode the first frame there, if there is one."""
        with as_unreadable(self._path):
            self._container.seek(place, stream=self._stream, backward=True, any_frame=False)
        self._decoded = self._frames()
        self._current, self._next = self._decode(), self._decode()
        return self._current is not None

    def _is_key_frame_before(self, tick: int) -> bool:
        frame, keys = self._current, self._timeline.key_ticks
        found = bisect_left(keys, frame.pts)
        return bool(frame.key_frame and frame.pts <= tick and found < len(keys) and keys[found] == frame.pts)

    def _decode(self) -> Any:
        return next(self._decoded, None)

    def _frames(self) -> Iterator[Any]:
        import av

        with as_unreadable(self._path):
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    continue  # a damaged packet costs its own frame
                yield from (frame for frame in frames if frame.pts is not None)


def _upright(frame: Any) -> PILImage:
    from PIL.Image import Transpose

    turns = {90: Transpose.ROTATE_90, 180: Transpose.ROTATE_180, 270: Transpose.ROTATE_270}
    image: PILImage = frame.to_image()
    turn = turns.get(round(frame.rotation / 90) * 90 % 360)  # FFmpeg counts counter-clockwise, as Pillow does
    return image if turn is None else image.transpose(turn)
