"""Write stretches of a video one after the other into one MP4, with titles and with their sound."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.video.container import as_unreadable, open_container

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

RATE = 25  # frames a second of the reel, whatever the video's own
SOUND_RATE = 48_000
CHUNK_S = 2.0  # read at once: 50 frames of 1280 x 720 are 140 MB
QUALITY = {"crf": "20", "preset": "veryfast"}


class Reel:
    """An MP4 that is being written. The size is that of the first frame; closing it finishes the file."""

    def __init__(
        self, target: Path, video: str, reader: MediaReader, *, max_pixels: int, font: str | None = None
    ) -> None:
        import av

        self._video, self._reader, self._max_pixels, self._font = video, reader, max_pixels, font
        self._sound = _Sound(video)
        self.has_sound = self._sound.is_there
        self._output = av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"})
        self._images: Any = self._output.add_stream("libx264", rate=RATE, options=QUALITY)
        self._images.pix_fmt = "yuv420p"
        self._tones: Any = None
        if self.has_sound:
            self._tones = self._output.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        self._size: tuple[int, int] | None = None
        self._frames = self._samples = 0

    def add(self, start_s: float, end_s: float, title: str) -> None:
        """Append a stretch of the video."""
        count = max(round((end_s - start_s) * RATE), 1)
        overlay: PILImage | None = None
        number = 0
        while number < count:
            chunk_s = min(CHUNK_S, (count - number) / RATE)
            first_s = start_s + number / RATE
            clip = self._reader.clip(
                self._video, first_s, first_s + chunk_s, frames=round(CHUNK_S * RATE) * 2, max_pixels=self._max_pixels
            )
            for index in range(max(round(chunk_s * RATE), 1)):
                on_screen = [at for at, time_s in enumerate(clip.times_s) if time_s <= first_s + index / RATE + 1e-6]
                image = self._fitted(clip.frames[on_screen[-1] if on_screen else 0])
                if overlay is None:
                    overlay = draw_title(title, image.size, self._font)
                image.paste(overlay, (0, image.height - overlay.height), overlay)
                self._write_image(image)
                number += 1
        if self.has_sound:
            self._write_sound(self._sound.samples(start_s, count / RATE))

    def close(self) -> None:
        """Finish the file."""
        if self._frames:
            self._output.mux(self._images.encode())
            if self._tones is not None:
                self._output.mux(self._tones.encode())
        self._output.close()
        self._sound.close()

    def __enter__(self) -> Reel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fitted(self, image: PILImage) -> PILImage:
        """A copy of even sides, all of one size: yuv420p halves both."""
        if self._size is None:
            self._size = max(image.width // 2 * 2, 2), max(image.height // 2 * 2, 2)
            self._images.width, self._images.height = self._size
        return image.resize(self._size) if image.size != self._size else image.copy()

    def _write_image(self, image: PILImage) -> None:
        import av

        frame = av.VideoFrame.from_image(image)
        frame.pts = self._frames
        self._frames += 1
        self._output.mux(self._images.encode(frame))

    def _write_sound(self, samples: NDArray[np.float32]) -> None:
        import av

        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.rate, frame.pts = SOUND_RATE, self._samples
            self._samples += block.shape[1]
            self._output.mux(self._tones.encode(frame))


class _Sound:
    """The sound of a video, by time from its first frame."""

    def __init__(self, video: str) -> None:
        self._path = video
        self._container = open_container(video, sniff(video).format)
        with as_unreadable(video):
            self._stream = self._container.streams.best("audio")
            first = self._container.streams.best("video")
        self.is_there = self._stream is not None and self._stream.codec_context is not None
        # an edit list or a late start: sound and images are aligned by their own times, not by their files' begin
        self._zero_s = float((first.start_time or 0) * first.time_base) if first is not None else 0.0

    def samples(self, start_s: float, length_s: float) -> NDArray[np.float32]:
        """(2, N) of a stretch; silence where there is no sound."""
        import av

        found = np.zeros((2, round(length_s * SOUND_RATE)), dtype=np.float32)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
        with as_unreadable(self._path):
            begin_s = start_s + self._zero_s
            self._container.seek(int(max(begin_s - 0.5, 0) / self._stream.time_base), stream=self._stream)
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    continue  # a damaged packet costs its own sound
                for frame in frames:
                    if frame.time is None:
                        continue
                    if frame.time >= begin_s + length_s:
                        return found
                    offset = round((frame.time - begin_s) * SOUND_RATE)
                    for block in resampler.resample(frame):
                        offset = self._put(found, block.to_ndarray(), offset)
        return found

    def close(self) -> None:
        self._container.close()

    @staticmethod
    def _put(found: NDArray[np.float32], block: NDArray[np.float32], offset: int) -> int:
        """Write a block where it belongs; returns where the next one begins."""
        first, last = max(offset, 0), min(offset + block.shape[1], found.shape[1])
        if first < last:
            found[:, first:last] = block[:, first - offset : last - offset]
        return offset + int(block.shape[1])


def draw_title(title: str, size: tuple[int, int], font: str | None = None) -> PILImage:
    """A band for the lower edge of frames of that (width, height), the title in white on a dark veil."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = size
    font_px = max(height // 18, 10)
    face = ImageFont.truetype(font, font_px) if font else ImageFont.load_default(font_px)
    line = " ".join(title.split())
    while len(line) > 1 and face.getlength(line) > width - font_px:
        line = line[:-2].rstrip(" …") + "…"
    band = Image.new("RGBA", (width, font_px * 2), (0, 0, 0, 150))
    ImageDraw.Draw(band).text((font_px // 2, font_px), line, fill="white", font=face, anchor="lm")
    return band
