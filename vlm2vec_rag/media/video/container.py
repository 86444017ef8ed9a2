"""Open a video container, and list its frames' times and subtitles without decoding an image."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.media.settings import MediaLimits
from vlm2vec_rag.media.video.sidecars import Track, inside
from vlm2vec_rag.media.video.subtitles import Shown, of_packet

# The demuxer is named, never probed: FFmpeg's own choice could be a playlist reader, which opens what a file names
_DEMUXERS = {"mp4": "mov", "matroska": "matroska", "avi": "avi", "mpegts": "mpegts", "mpeg": "mpeg"}
_DEMUXERS |= {"ogg": "ogg", "flv": "flv", "asf": "asf"}
_ROUNDING = Fraction(1, 100_000)  # seconds; FFmpeg tells the start of a container in microseconds
_TEXTS = ("subrip", "srt", "webvtt", "mov_text", "ass", "ssa", "text")
_FRAMES_TO_TELL = 60  # encoders that use B-frames do so within the first second or two
_PLAUSIBLE_ASPECT = (Fraction(1, 10), Fraction(10))  # of a pixel; real ones lie between 1:2 and 2:1


@dataclass(frozen=True, slots=True)
class Timeline:
    """The frames of a video as its packets tell them, in order of display."""

    ticks: array[int]  # time stamps in units of `time_base`
    key_ticks: array[int]  # of the frames that decoding can start from
    times_s: array[float]  # from the beginning of what a player plays
    time_base: Fraction
    origin: Fraction  # that beginning, in seconds of the container's own clock
    duration_s: float  # to the end of the last frame
    subtitles: tuple[tuple[Track, tuple[Shown, ...]], ...]  # inside, by the container's clock
    codec: str  # FFmpeg's name of the decoder

    def seconds(self, tick: int) -> float:
        """When a frame is shown, as a player counts."""
        return float(tick * self.time_base - self.origin)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How frames are shown."""

    turn: int  # degrees counter-clockwise
    pixel_aspect: Fraction  # width of a stored pixel over its height
    upright: tuple[int, int]  # (height, width) of the first frame once it is turned

    def shown(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) with square pixels of an upright frame."""
        if self.turn % 180:
            return max(1, round(height * self.pixel_aspect)), width
        return height, max(1, round(width * self.pixel_aspect))


def open_container(path: str, container_format: str) -> Any:
    """Open a local file with PyAV: one demuxer, no address and no other file is ever followed."""
    import av

    # titles in an old encoding: PyAV 19 keeps their bytes by itself, and takes the argument no more
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    with as_unreadable(path):
        return av.open(
            f"file:{Path(path).absolute()}",
            format=_DEMUXERS[container_format],
            container_options={"protocol_whitelist": "file"},  # `options` crashes PyAV 16.1 on FLV and MPEG-PS
            **lenient,
        )


def video_stream(container: Any, path: str, limits: MediaLimits) -> Any:
    """The video stream a player would show, ready to decode.

    Raises:
        UnreadableMedia: There is none, or no decoder for it; cover art is none.
        MediaLimit: Its frames are too large.
    """
    from av.stream import Disposition

    with as_unreadable(path):
        best = container.streams.best("video")
    if best is None or best.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
        raise UnreadableMedia(f"{path}: holds no video, only sound or a cover image; leave it out")
    if best.codec_context is None:
        raise UnreadableMedia(f"{path}: its video codec is not known; convert it to H.264 first")
    width, height = best.codec_context.width, best.codec_context.height
    if width * height > limits.pixels:
        raise MediaLimit(
            f"{path}: has frames of {width} x {height} px, the limit is {limits.pixels} px; "
            "reduce it or raise limits.pixels"
        )
    # a stream may grow after its header; the decoder itself refuses a larger frame then
    best.codec_context.options = {"max_pixels": str(limits.pixels)}
    best.thread_type = "AUTO"
    return best


def read_geometry(container: Any, stream: Any, path: str) -> Geometry:
    """How the first frame that can be decoded is shown.

    Raises:
        UnreadableMedia: No frame can be decoded.
    """
    import av

    low, high = _PLAUSIBLE_ASPECT
    with as_unreadable(path):
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            if frames:
                turn = round(frames[0].rotation / 90) * 90 % 360
                # known for sure only now: MPEG-TS has no header to say it
                aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
                plausible = aspect if aspect and low <= aspect <= high else Fraction(1)
                upright = (frames[0].width, frames[0].height) if turn % 180 else (frames[0].height, frames[0].width)
                return Geometry(turn=turn, pixel_aspect=plausible, upright=upright)
    raise UnreadableMedia(f"{path}: none of its frames can be decoded; it may be cut off, so fetch or convert it again")


def is_jumbled(container: Any, stream: Any, path: str) -> bool:
    """Whether frames come with the times of their packets, which are stored in the order of decoding.

    AVI has no times of display. FFmpeg works them out for MPEG-4, but not for H.264 with B-frames.
    """
    import av

    before: int | None = None
    with as_unreadable(path):
        for packet in itertools.islice(container.demux(stream), _FRAMES_TO_TELL):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                if before is not None and frame.pts is not None and frame.pts < before:
                    return True
                before = frame.pts
    return False


def read_timeline(container: Any, stream: Any, path: str, limits: MediaLimits) -> Timeline:
    """Go through all packets once. Frames that an edit list cuts away are left out.

    Times count from the container's start, as in players and in ffprobe: where sound begins before the video, the first
    frame's time is not 0.

    Raises:
        UnreadableMedia: There is not one frame.
        MediaLimit: The video is too long.
    """
    texts = _text_subtitles(container)
    shown: dict[int, list[Shown]] = {each.index: [] for each in texts}
    ticks, key_ticks = array("q"), array("q")
    latest, latest_length = -(2**63), 0
    start = container.start_time  # microseconds; of the earliest stream
    too_long = MediaLimit(f"{path}: is longer than {limits.duration_s:g} s; cut it, or raise limits.duration_s")
    longest = int(limits.duration_s / stream.time_base)
    with as_unreadable(path):
        for packet in container.demux([stream, *texts]):
            # files without presentation times (some AVI) give decoding times only
            tick = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0 or tick is None or packet.is_discard:
                continue
            if packet.stream is not stream:
                shown[packet.stream.index] += of_packet(packet)
                continue
            ticks.append(tick)
            if packet.is_keyframe:
                key_ticks.append(tick)
            if tick > latest:
                latest, latest_length = tick, packet.duration or 0
            if tick - ticks[0] > longest:
                raise too_long
    if not ticks:
        raise UnreadableMedia(f"{path}: holds no frame that can be read; it may be cut off")
    in_order = array("q", sorted(ticks))
    first, last = in_order[0], in_order[-1]
    base = stream.time_base
    # a video of one frame may not say how long that is shown, and one that is made to do harm says years
    usual = (last - first) // max(len(ticks) - 1, 1) or 1
    length = latest_length or usual
    if container.duration is not None and start is not None:
        length = min(length, max(int(Fraction(start + container.duration, 1_000_000) / base) - last, usual))
    origin = first * base
    if start is not None and stream.start_time is not None:
        lead = stream.start_time * base - Fraction(start, 1_000_000)  # of sound that begins before the video
        if _ROUNDING < lead <= limits.duration_s:
            origin = Fraction(start, 1_000_000)
    duration_s = float((last + length) * base - origin)
    if duration_s > limits.duration_s:
        raise too_long
    return Timeline(
        ticks=in_order,
        key_ticks=array("q", sorted(key_ticks)),
        times_s=array("d", [float(tick * base - origin) for tick in in_order]),
        time_base=base,
        origin=origin,
        duration_s=duration_s,
        subtitles=tuple((inside(each), tuple(shown[each.index])) for each in texts),
        codec=stream.codec_context.name,
    )


@contextmanager
def as_unreadable(path: str) -> Iterator[None]:
    """PyAV's errors for broken files, as one of ours."""
    import av

    try:
        yield
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableMedia(
            f"{path}: cannot be read as a video ({reason}); it may be cut off or broken, so fetch or convert it again"
        ) from error


def _text_subtitles(container: Any) -> list[Any]:
    """The subtitle streams that hold words; images of words are none."""
    return [
        each
        for each in container.streams.subtitles
        if each.codec_context is not None and each.codec_context.name in _TEXTS
    ]
