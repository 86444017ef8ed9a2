"""Frames through PyAV: exact on every container, since frames are found by time and decoded from a key frame."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media.settings import MediaLimits
from vlm2vec_rag.media.video.container import Timeline, as_unreadable, open_container, video_stream

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_Timed: TypeAlias = tuple[int, Any]  # (tick, PyAV's frame)

_STEPS_BACK_S = (0, 2, 6, 18, 54)


class PyavReader:
    """Decodes single frames of an open video.

    It takes over the container that the timeline was read from: where a file has no index (a cut off AVI), FFmpeg made
    one while it went through the packets, and without one there is no seeking.
    """

    def __init__(
        self,
        path: str,
        container_format: str,
        timeline: Timeline,
        limits: MediaLimits,
        *,
        container: Any,
        is_jumbled: bool = False,
    ) -> None:
        self._is_jumbled = is_jumbled
        self._path, self._format, self._timeline, self._limits = path, container_format, timeline, limits
        self._current: _Timed | None = None
        self._next: _Timed | None = None  # decoded ahead, to know when it is its turn
        self._decoded: Iterator[_Timed] = iter(())
        self._step = 0  # into _STEPS_BACK_S
        self._container, self._stream = container, video_stream(container, path, limits)

    def frames(self, indices: Sequence[int]) -> list[tuple[int, PILImage]]:
        """The frames on screen at these places of the timeline: (its true tick, upright image), in order, each once.

        The places must ascend. A frame that cannot be decoded is stood in for by the one before it. The answer does not
        depend on what was asked before: each call starts from a key frame.
        """
        self._current, self._step = None, 0
        shown: dict[int, PILImage] = {}
        for index in indices:
            tick, frame = self._at(self._timeline.ticks[index])
            if tick not in shown:
                with as_unreadable(self._path):
                    shown[tick] = _upright(frame)
        return sorted(shown.items(), key=lambda pair: pair[0])

    def close(self) -> None:
        self._container.close()

    def _at(self, tick: int) -> _Timed:
        """The frame on screen at a time: the last one whose own time is not later."""
        shown = self._current
        if shown is None or self._is_shorter_by_seeking(shown[0], tick):
            shown = self._jump(tick)
        while self._next is not None and self._next[0] <= tick:
            shown, self._next = self._next, next(self._decoded, None)
        self._current = shown
        return shown

    def _is_shorter_by_seeking(self, here: int, tick: int) -> bool:
        keys = self._timeline.key_ticks
        before = bisect_right(keys, tick)
        return self._step < len(_STEPS_BACK_S) and before > 0 and keys[before - 1] > here

    def _jump(self, tick: int) -> _Timed:
        """The key frame at or before a time, to decode on from.

        Containers without an index (MPEG-TS, MPEG-PS) land late, or on a frame that is then given a wrong time. So what
        comes first must be a key frame with the very time that its packet has; where it is not, look further back.
        """
        base, start = self._timeline.time_base, self._timeline.ticks[0]
        for step in range(self._step, len(_STEPS_BACK_S)):
            place = tick - int(_STEPS_BACK_S[step] / base)
            first = self._seek(place) if place >= start else None
            if first is not None and first[0] <= tick and self._is_key_frame(first[1]):
                self._step = step  # what this container needs; the next jump begins with it
                return first
        # the start itself may land late, and some AVI files refuse every seek: begin anew
        self.close()
        self._container = open_container(self._path, self._format)
        self._stream = video_stream(self._container, self._path, self._limits)
        self._step = len(_STEPS_BACK_S)
        first = self._begin()
        if first is None:
            raise UnreadableMedia(f"{self._path}: none of its frames can be decoded; it may be broken, so convert it")
        return first

    def _seek(self, place: int) -> _Timed | None:
        """The first frame decoded there, if there is one."""
        import av

        try:
            self._container.seek(place, stream=self._stream, backward=True, any_frame=False)
        except av.error.FFmpegError:
            return None
        return self._begin()

    def _begin(self) -> _Timed | None:
        self._decoded = self._in_order() if self._is_jumbled else ((frame.pts, frame) for frame in self._decode())
        first, self._next = next(self._decoded, None), next(self._decoded, None)
        return first

    def _is_key_frame(self, frame: Any) -> bool:
        """Whether it is one, and has the time that a key frame's packet has."""
        keys = self._timeline.key_ticks
        found = bisect_left(keys, frame.pts)
        return bool(frame.key_frame and found < len(keys) and keys[found] == frame.pts)

    def _decode(self) -> Iterator[Any]:
        """All frames from here on, in order of display."""
        import av

        with as_unreadable(self._path):
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    continue  # a damaged packet costs its own frame
                yield from (frame for frame in frames if frame.pts is not None)

    def _in_order(self) -> Iterator[_Timed]:
        """Frames with times by their order, counted from each key frame, where their own times are jumbled."""
        ticks = self._timeline.ticks
        place: int | None = None
        for frame in self._decode():
            if self._is_key_frame(frame):
                place = bisect_left(ticks, frame.pts)
            elif place is not None:
                place += 1
            if place is not None and place < len(ticks):
                yield ticks[place], frame


def _upright(frame: Any) -> PILImage:
    from PIL.Image import Transpose

    turns = {90: Transpose.ROTATE_90, 180: Transpose.ROTATE_180, 270: Transpose.ROTATE_270}
    image: PILImage = frame.to_image()
    turn = turns.get(round(frame.rotation / 90) * 90 % 360)  # FFmpeg counts counter-clockwise, as Pillow does
    return image if turn is None else image.transpose(turn)
