"""Videos whose every frame shows its own number, so that a test can tell which frame it was given.

The number is drawn as bright and dark columns, least significant first, between a bright column on the left and a
dark one on the right: a frame that is turned, mirrored or mixed with its neighbour does not read as a number.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

BITS = 10
COLUMNS = BITS + 2
HEIGHT, WIDTH = 96, 16 * COLUMNS


def draw(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W, 3) uint8 image of a number."""
    columns = [True, *(bool(number >> bit & 1) for bit in range(BITS)), False]
    row = np.repeat([235 if bright else 20 for bright in columns], width // COLUMNS).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, len(row), 3)))


def read(image: Image.Image) -> int:
    """The number on an image of any size; fails where it is not upright or not one number."""
    grey = np.asarray(image.convert("L").resize((COLUMNS * 8, 24), Image.Resampling.BOX), dtype=int)
    centres = grey[4:-4].reshape(16, COLUMNS, 8)[:, :, 2:6]
    levels, spread = centres.mean(axis=(0, 2)), centres.std(axis=(0, 2)).max()
    assert spread < 25, f"not columns: {spread}"
    assert (np.abs(levels - 128) > 50).all(), f"mixed columns: {levels}"
    bright = levels > 128
    assert bright[0] and not bright[-1], "not upright"
    return int(sum(1 << bit for bit in range(BITS) if bright[bit + 1]))


def make_video(path: Path, codec: str = "libx264", **values: Any) -> Path:
    """Write a video of numbered frames; see `_make_video` for what it may be like.

    SVT-AV1 gives its whole process a real-time priority when it runs as root, and every process that comes of it: it
    runs in one of its own.
    """
    if codec != "libsvtav1":
        return _make_video(path, codec, **values)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_make_video, path, codec, **values).result()


def _make_video(
    path: Path,
    codec: str = "libx264",
    *,
    container: str | None = None,
    frames: int = 90,
    rate: int = 30,
    times: Sequence[Fraction] | None = None,
    pixel_aspect: Fraction | None = None,
    turn: int = 0,
    pixel_format: str = "yuv420p",
    codec_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    sound: bool = False,
    cover: bool = False,
    subtitles: Sequence[tuple[float, float, str]] = (),
    forced_subtitles: Sequence[tuple[float, float, str]] = (),
    height: int = HEIGHT,
    width: int = WIDTH,
    keyframes_every: int | None = 30,
    title: str = "",
) -> Path:
    """Write a video of numbered frames.

    Args:
        path: Its suffix chooses the container, unless `container` names it.
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the muxer.
        frames: How many.
        rate: Frames a second.
        times: When each frame is shown; without it at a constant rate from 0.
        pixel_aspect: Width of a pixel over its height.
        turn: Degrees counter-clockwise that a player must turn a frame; frames are stored turned the other way.
        pixel_format: Of the encoder.
        codec_options: For the encoder.
        options: For the muxer.
        sound: Add two seconds of silence.
        cover: Add a cover image, before the video.
        subtitles: (start_s, end_s, words).
        forced_subtitles: The same, for a track before them that is marked as forced and as the default.
        height: Of a frame as drawn.
        width: Of a frame as drawn.
        keyframes_every: So many frames.
        title: Written to the container.
    """
    stored = np.rot90(draw(0, height, width), -turn // 90)
    ticks = 1000 * rate
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        if title:
            output.metadata["title"] = title
        images = _add_cover(output) if cover else []
        stream: Any = output.add_stream(codec, rate=rate, options=codec_options or {})
        stream.height, stream.width, stream.pix_fmt = stored.shape[0], stored.shape[1], pixel_format
        stream.codec_context.time_base = Fraction(1, rate) if times is None else Fraction(1, ticks)
        if keyframes_every:
            stream.codec_context.gop_size = keyframes_every
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        forced = _add_captions(output, path.suffix[1:], is_forced=True) if forced_subtitles else None
        captions = _add_captions(output, path.suffix[1:]) if subtitles else None
        audio = output.add_stream("aac", rate=48000) if sound else None
        output.start_encoding()
        output.mux(images)
        for number in range(frames):
            pixels = np.ascontiguousarray(np.rot90(draw(number, height, width), -turn // 90))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            base = stream.codec_context.time_base
            frame.time_base = base
            frame.pts = number if times is None else int(times[number] / base)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for track, cues in ((forced, forced_subtitles), (captions, subtitles)):
            for start_s, end_s, words in cues:
                output.mux(_cue(track, start_s, end_s, words))
        if audio is not None:
            _add_silence(output, audio)
    if turn:
        _turn(path, turn)
    return path


def make_sound(path: Path, *, cover: bool = False) -> Path:
    """Write a file with sound and no video, maybe with a cover image."""
    with av.open(str(path), "w") as output:
        images = _add_cover(output) if cover else []
        stream = output.add_stream("aac", rate=48000)
        output.start_encoding()
        output.mux(images)
        _add_silence(output, stream)
    return path


def _turn(path: Path, turn: int) -> None:
    """Write the matrix of the track header (ISO 14496-12, 8.3.2): `turn` degrees counter-clockwise."""
    data = path.read_bytes()
    matrix = data.index(b"tkhd") + 44
    one = 1 << 16
    cosine, sine = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[turn]
    rows = struct.pack(">9i", cosine, -sine, 0, sine, cosine, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:matrix] + rows + data[matrix + len(rows) :])


def _add_cover(output: Any) -> list[Any]:
    """The packets of a cover image, to be written once all streams are there."""
    from av.stream import Disposition

    stream = output.add_stream("mjpeg", rate=1)
    stream.height, stream.width, stream.pix_fmt = 512, 512, "yuvj420p"
    stream.disposition = Disposition.attached_pic.value
    frame = av.VideoFrame.from_ndarray(np.full((512, 512, 3), 128, np.uint8), format="rgb24")
    frame.pts, frame.time_base = 0, Fraction(1)
    return [*stream.encode(frame), *stream.encode(None)]


def _add_silence(output: Any, stream: Any) -> None:
    for start in range(0, 2 * 48000, 1024):
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
        output.mux(stream.encode(sound))
    output.mux(stream.encode(None))


def _add_captions(output: Any, container: str, *, is_forced: bool = False) -> Any:
    from av.stream import Disposition

    stream = output.add_stream("mov_text" if container in ("mp4", "mov") else "subrip")
    # FFmpeg's encoders want the styles that their words refer to
    stream.codec_context.subtitle_header = (
        b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    )
    stream.codec_context.time_base = Fraction(1, 1000)
    if is_forced:
        stream.disposition = Disposition.forced.value | Disposition.default.value
    return stream


def _cue(stream: Any, start_s: float, end_s: float, words: str) -> Any:
    from av.subtitles.subtitle import SubtitleSet

    start_ms, length_ms = round(start_s * 1000), round((end_s - start_s) * 1000)
    dialogue = f"0,0,Default,,0,0,0,,{words}".encode()
    packet = stream.codec_context.encode_subtitle(
        SubtitleSet.create(text=dialogue, start=0, end=length_ms, pts=start_ms * 1000)
    )
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = start_ms
    packet.duration = length_ms
    return packet
