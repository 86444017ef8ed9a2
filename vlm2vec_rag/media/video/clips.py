"""Video files as Clip items: a few frames of each window, with their true times and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vlm2vec_rag.errors import InvalidInput, MediaLimit
from vlm2vec_rag.items import Clip
from vlm2vec_rag.media.decode import decode
from vlm2vec_rag.media.notes import note
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import Sniffed
from vlm2vec_rag.media.video import subtitles
from vlm2vec_rag.media.video.container import is_jumbled, open_container, read_geometry, read_timeline, video_stream
from vlm2vec_rag.media.video.sidecars import Sidecar, Track, beside, preferred_language
from vlm2vec_rag.media.video.windows import choose_frames, planned_windows
from vlm2vec_rag.pixels import reduced_size, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


class FrameReader(Protocol):
    """What PyAV and decord both do."""

    def frames(self, indices: Sequence[int]) -> list[tuple[int, PILImage]]: ...

    def close(self) -> None: ...


class VideoFile:
    """An open video, clip by clip."""

    def __init__(self, path: str, sniffed: Sniffed, settings: MediaSettings, limits: MediaLimits) -> None:
        self._path, self._format, self._settings, self._limits = path, sniffed.format, settings, limits
        with closing(open_container(path, sniffed.format)) as container:
            stream = video_stream(container, path, limits)
            self._geometry = read_geometry(container, stream, path)
            jumbled = sniffed.format == "avi" and is_jumbled(container, stream, path)
        with ExitStack() as opened:
            container = opened.enter_context(closing(open_container(path, sniffed.format)))
            self._timeline = read_timeline(container, video_stream(container, path, limits), path, limits)
            self._cues, self._subtitles = self._find_cues()
            events_s = sorted([*self._timeline.times_s, *(cue.start_s for cue in self._cues)])
            duration_s, window_s, overlap_s = self._timeline.duration_s, settings.window_s, settings.overlap_s
            self._windows = planned_windows(events_s, duration_s, window_s, overlap_s)
            if len(self._windows) > limits.clips:
                advice = "cut it, or raise window_s or limits.clips"
                raise MediaLimit(f"{path}: makes {len(self._windows)} clips, the limit is {limits.clips}; {advice}")
            self._reader: FrameReader
            if settings.video_reader == "decord":
                from vlm2vec_rag.media.video.decord import DecordReader

                self._reader = DecordReader(path, sniffed.format, self._timeline)
            else:
                from vlm2vec_rag.media.video.pyav import PyavReader

                self._reader = PyavReader(
                    path, sniffed.format, self._timeline, limits, container=container, is_jumbled=jumbled
                )
                opened.pop_all()  # the reader closes it

    def info(self) -> MediaInfo:
        height, width = self._geometry.shown(*self._geometry.upright)
        return MediaInfo(
            kind="video",
            format=self._format,
            items=len(self._windows),
            duration_s=self._timeline.duration_s,
            width=width,
            height=height,
        )

    def item(self, index: int) -> Clip:
        return self.clip(*self._windows[index])

    def clip(self, start_s: float, end_s: float, frames: int | None = None, max_pixels: int | None = None) -> Clip:
        """A stretch of the video, up to its end at most; `start_s == end_s` is the one frame on screen then."""
        duration_s = self._timeline.duration_s
        if not 0 <= start_s <= end_s or start_s >= duration_s:
            raise InvalidInput(
                f"{self._path}: {start_s:g} to {end_s:g} s is no stretch of a video of {duration_s:g} s; "
                "expected 0 <= start_s <= end_s, and start_s before the end"
            )
        timeline, end_s = self._timeline, min(end_s, duration_s)
        chosen = choose_frames(timeline.ticks, timeline.times_s, start_s, end_s, frames or self._settings.frames)
        ticks, images = zip(*self._reader.frames(chosen), strict=True)
        return Clip(
            frames=self._fitted(images, max_pixels or self._settings.max_pixels),
            times_s=tuple(map(timeline.seconds, ticks)),
            start_s=start_s,
            end_s=end_s,
            source=self._path,
            text=subtitles.said(self._cues, start_s, end_s),
            metadata={"subtitles": self._subtitles} if self._subtitles else {},
        )

    def close(self) -> None:
        self._reader.close()

    def _find_cues(self) -> tuple[Sequence[subtitles.Cue], str]:
        """The cues of the best track that has any, and its name: a file beside the video, or one inside it."""
        timeline = self._timeline
        tracks: list[tuple[Track, Sidecar | Sequence[subtitles.Shown]]] = [
            *((sidecar.track, sidecar) for sidecar in beside(Path(self._path))),
            *timeline.subtitles,
        ]
        language = preferred_language(self._settings.subtitle_language)
        for track, held in sorted(tracks, key=lambda pair: pair[0].rank(language)):
            if isinstance(held, Sidecar):
                cues = subtitles.cues(self._read(held))
            else:
                cues = subtitles.cues(held, float(timeline.origin))
            if cues:
                return cues, track.name
        return (), ""

    def _read(self, sidecar: Sidecar) -> Sequence[subtitles.Shown]:
        try:
            size = sidecar.path.stat().st_size
            if size > self._limits.text_bytes:
                note(f"{sidecar.path.name} has {size} bytes, the limit is {self._limits.text_bytes}; it is not read")
                return ()
            decoded = decode(sidecar.path.read_bytes())
        except OSError as error:
            note(f"{sidecar.path.name} is not read: {error.strerror}")
            return ()
        if decoded.is_doubtful:
            note(f"{sidecar.path.name} is read as {decoded.encoding}, a guess from few characters; save it as UTF-8")
        return subtitles.parse(decoded.text)

    def _fitted(self, images: Sequence[PILImage], max_pixels: int) -> tuple[PILImage, ...]:
        """The frames with square pixels, reduced to the first one's target size where that changes no vector."""
        geometry = self._geometry
        size = reduced_size(*geometry.shown(images[0].height, images[0].width), max_pixels)
        if size is None and geometry.pixel_aspect == 1:
            return tuple(images)
        return tuple(resize(each, *(size or geometry.shown(each.height, each.width))) for each in images)
