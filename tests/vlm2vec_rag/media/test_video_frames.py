"""The frames of a clip, against videos whose frames carry their number: by both readers, on every container."""

from __future__ import annotations

import importlib.util
import os
import random
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from numbered_videos import HEIGHT, WIDTH, make_sound, make_video, read
from PIL import Image

from vlm2vec_rag.errors import InvalidInput, MediaLimit, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.video.clips import VideoFile
from vlm2vec_rag.pixels import resize, target_size

READERS = ["pyav"]
if importlib.util.find_spec("decord"):
    READERS.append("decord")

FRAMES, RATE = 150, 30
EVEN = np.linspace(0, FRAMES - 1, 8, dtype=int).tolist()

UNEVEN = [Fraction(ms, 1000) for ms in accumulate(random.Random(7).choices(range(10, 120), k=FRAMES - 1), initial=0)]
VP8 = {"deadline": "realtime", "cpu-used": "-16", "threads": "1"}  # fifty times faster than its defaults
# without its look ahead, which mixes neighbouring frames into one
AV1 = {"preset": "10", "crf": "10", "svtav1-params": "enable-tf=0:scd=0:enable-overlays=0:lookahead=0:pred-struct=1"}
CLEAR = {"b": "4000000"}  # bits a second: old codecs blur the columns otherwise

EVERYWHERE = {
    "b_frames.mp4": {"codec_options": {"bf": "3"}},
    "fragmented.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "open_gop.mkv": {"codec_options": {"x264-params": "open-gop=1:keyint=20:bframes=3"}},
    "ten_bits.mkv": {"pixel_format": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9", "codec_options": {"deadline": "realtime", "cpu-used": "8"}},
    "av1.mp4": {"codec": "libsvtav1", "codec_options": AV1},
    "vp8.webm": {"codec": "libvpx", "codec_options": VP8},
    "one_key.mp4": {"keyframes_every": 1000},
    "late.mkv": {"times": [Fraction(index, RATE) + 5 for index in range(FRAMES)], "sound": True},
    "late.mp4": {"times": [Fraction(index, RATE) + 5 for index in range(FRAMES)], "sound": True},
    "covered.mp4": {"cover": True, "sound": True},
}
PYAV_ONLY = {
    "hevc.mp4": {"codec": "libx265", "codec_options": {"x265-params": "log-level=none:open-gop=1:keyint=20"}},
    "mpeg4.mp4": {"codec": "mpeg4", "codec_options": {"bf": "2", **CLEAR}},
    "mpeg2.mkv": {"codec": "mpeg2video", "codec_options": {"bf": "2", **CLEAR}},
    "h264.ts": {"container": "mpegts", "codec_options": {"bf": "3"}},
    "h264.m2ts": {"container": "mpegts", "options": {"mpegts_m2ts_mode": "1"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "container": "mpeg", "codec_options": {"bf": "2", **CLEAR}},
    "b_frames.avi": {"codec": "mpeg4", "codec_options": {"bf": "2", **CLEAR}},
    "h264.avi": {"codec_options": {"bf": "3"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "sorenson.flv": {"codec": "flv", "codec_options": CLEAR},
    "wmv2.wmv": {"codec": "wmv2", "codec_options": CLEAR},
    "vp8.ogv": {"codec": "libvpx", "container": "ogg", "codec_options": VP8},
}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory):
    """Makes each video once."""
    folder = tmp_path_factory.mktemp("videos")

    def make(name: str, **values: object) -> Path:
        path = folder / name
        return path if path.exists() else make_video(path, frames=FRAMES, rate=RATE, **values)

    return make


def open_video(path: Path, limits: MediaLimits | None = None, **settings: object) -> VideoFile:
    return VideoFile(str(path), sniff(path), MediaSettings(**settings), limits or MediaLimits())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_frames_and_times_are_exact(shelf, name, reader):
    begins_s = 5.0 if name.startswith("late") else 0.0
    check_every_frame(open_video(shelf(name, **EVERYWHERE[name]), video_reader=reader), begins_s)


@pytest.mark.parametrize("name", PYAV_ONLY)
def test_pyav_is_exact_on_the_other_containers_too(shelf, name):
    check_every_frame(open_video(shelf(name, **PYAV_ONLY[name])))


def check_every_frame(file: VideoFile, begins_s: float = 0.0) -> None:
    clip = file.item(0)
    assert [read(frame) for frame in clip.frames] == EVEN
    late_s = clip.times_s[0]
    assert late_s == pytest.approx(begins_s, abs=0.03 if begins_s else 0.001)  # a frame of sound goes before the first
    assert clip.times_s == pytest.approx([late_s + number / RATE for number in EVEN], abs=0.001)
    assert file.info().duration_s == pytest.approx(late_s + FRAMES / RATE, abs=0.05)
    # and again at places all over, backwards too: a reader that carries something over gets these wrong
    for start in random.Random(1).sample(range(FRAMES - 10), 12):
        begin_s = late_s + (start - 0.5) / RATE if start else 0.0
        clip = file.clip(begin_s, late_s + (start + 6.5) / RATE, frames=3)
        assert [read(frame) for frame in clip.frames] == [start, start + 3, start + 6]
        expected = [late_s + each / RATE for each in (start, start + 3, start + 6)]
        assert clip.times_s == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["uneven.mkv", "uneven.mp4"])
def test_at_a_varying_rate_frames_are_chosen_by_time(shelf, name, reader):
    clip = open_video(shelf(name, times=UNEVEN), video_reader=reader).item(0)
    wanted = [UNEVEN[-1] * index / 7 for index in range(8)]
    expected = [max(number for number in range(FRAMES) if UNEVEN[number] <= time) for time in wanted]
    numbers = [read(frame) for frame in clip.frames]
    assert numbers == expected != EVEN
    assert clip.times_s == pytest.approx([float(UNEVEN[number]) for number in numbers], abs=0.001)


@pytest.mark.parametrize("reader", READERS)
def test_frames_that_an_edit_list_cuts_away_do_not_count(shelf, reader):
    times = [Fraction(index - 10, RATE) for index in range(FRAMES)]
    options = {"avoid_negative_ts": "disabled"}
    path = shelf("edited.mp4", times=times, options=options, codec_options={"bf": "0"})
    if reader == "decord":
        check_decord_says_so_or_is_right(path)
        return
    clip = open_video(path).item(0)
    assert [read(frame) for frame in clip.frames] == (10 + np.linspace(0, FRAMES - 11, 8, dtype=int)).tolist()
    assert clip.times_s[0] == 0.0


def check_decord_says_so_or_is_right(path: Path) -> None:
    try:
        clip = open_video(path, video_reader="decord").item(0)
    except UnreadableMedia as error:
        assert "video_reader='pyav'" in str(error)
    else:
        assert [read(frame) for frame in clip.frames] == (10 + np.linspace(0, FRAMES - 11, 8, dtype=int)).tolist()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3), Fraction(1, 2)], ids=["square", "wide", "narrow"])
def test_frames_are_upright_with_square_pixels(shelf, reader, turn, aspect):
    path = shelf(f"turn{turn}_{aspect.numerator}_{aspect.denominator}.mp4", turn=turn, pixel_aspect=aspect)
    file = open_video(path, video_reader=reader)
    clip = file.item(0)
    assert [read(frame) for frame in clip.frames] == EVEN
    # a stored pixel is wider than high before the turn, so a frame that is turned by 90 is higher
    shown = (WIDTH, round(HEIGHT * aspect)) if turn % 180 else (round(WIDTH * aspect), HEIGHT)
    assert clip.frames[0].size == shown == (file.info().width, file.info().height)


@pytest.mark.parametrize("reader", READERS)
def test_large_frames_are_reduced_as_the_encoder_would(shelf, reader):
    path = shelf("large.mp4", height=480, width=864)
    file = open_video(path, video_reader=reader)
    budget = 200 * 28 * 28
    whole, reduced = file.clip(0, 5, max_pixels=864 * 480), file.clip(0, 5, max_pixels=budget)
    assert whole.frames[0].size == (864, 480)
    size = target_size(480, 864, budget)
    for large, small in zip(whole.frames, reduced.frames, strict=True):
        assert (small.height, small.width) == size
        assert small.tobytes() == resize(large, *size).tobytes()


def test_a_long_video_makes_windows_that_overlap(shelf):
    file = open_video(shelf("b_frames.mp4", codec_options={"bf": "3"}), window_s=2.0, overlap_s=0.5)
    clips = [file.item(index) for index in range(file.info().items)]
    assert [(clip.start_s, clip.end_s) for clip in clips] == [(0, 2), (1.5, 3.5), (3, 5)]
    for clip in clips:
        first, last = round(clip.start_s * RATE), round(clip.end_s * RATE) - 1
        expected = (first + np.linspace(0, last - first, 8, dtype=int)).tolist()
        assert [read(frame) for frame in clip.frames] == expected
    assert [clip.fragment for clip in clips] == ["t=0,2", "t=1.5,3.5", "t=3,5"]


@pytest.mark.parametrize("reader", READERS)
def test_a_video_of_one_frame(tmp_path, reader):
    path = make_video(tmp_path / "still.mp4", frames=1)
    clip = open_video(path, video_reader=reader).item(0)
    assert [read(frame) for frame in clip.frames] == [0] and clip.times_s == (0.0,)
    assert clip.end_s > 0


def test_where_nothing_moves_the_frame_on_screen_is_shown(tmp_path):
    path = make_video(tmp_path / "slides.mkv", frames=3, times=[Fraction(0), Fraction(40), Fraction(41)])
    clip = open_video(path).clip(10, 20)
    assert [read(frame) for frame in clip.frames] == [0] and clip.times_s == (0.0,)


def test_colours_are_those_of_the_frame(tmp_path):
    import av

    path = tmp_path / "green.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "bgr0"
        image = np.zeros((64, 64, 3), np.uint8)
        image[:] = (10, 200, 60)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    assert open_video(path).item(0).frames[0].getpixel((5, 5)) == (10, 200, 60)


def test_subtitles_beside_a_video_go_before_those_inside(tmp_path):
    inside = [(0.0, 1.0, "inside one"), (1.0, 2.0, "inside two")]
    for suffix in ("mp4", "mkv"):
        path = make_video(tmp_path / f"talk.{suffix}", subtitles=inside)
        file = open_video(path, window_s=1.2, overlap_s=0.0)
        assert file.item(0).text == "inside one\ninside two"
        assert file.item(1).text == "inside two"
        assert file.item(0).metadata == {"subtitles": "inside the video"}
    (tmp_path / "talk.en.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nbeside\n")
    clip = open_video(path).item(0)
    assert (clip.text, clip.metadata) == ("beside", {"subtitles": "talk.en.srt"})


def test_a_forced_track_never_stands_for_the_full_one(tmp_path):
    foreign, full = [(0.0, 1.0, "bonjour")], [(0.0, 1.0, "he says good day"), (1.0, 2.0, "and leaves")]
    path = make_video(tmp_path / "film.mkv", subtitles=full, forced_subtitles=foreign)
    assert open_video(path).item(0).text == "he says good day\nand leaves"
    (tmp_path / "film.en.forced.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nau revoir\n")
    assert open_video(path).item(0).text == "he says good day\nand leaves"


@pytest.mark.parametrize("empty", ["", "\n\n", "no cue in here", "1\n00:00:01,000 --> 00:00:02,000\n\n"])
def test_a_subtitle_file_without_cues_leaves_it_to_the_track_inside(tmp_path, empty):
    path = make_video(tmp_path / "film.mkv", subtitles=[(0.0, 1.0, "inside")])
    (tmp_path / "film.srt").write_text(empty)
    clip = open_video(path).item(0)
    assert (clip.text, clip.metadata) == ("inside", {"subtitles": "inside the video"})


def test_the_language_of_the_reader_goes_first(tmp_path):
    path = make_video(tmp_path / "film.mp4")
    for language, words in (("de", "Guten Tag"), ("EN-us", "good day"), ("fr", "bonjour")):
        (tmp_path / f"film.{language}.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n")
    assert open_video(path, subtitle_language="en").item(0).text == "good day"
    assert open_video(path, subtitle_language="fra").item(0).text == "bonjour"


def test_an_old_encoding_of_a_subtitle_file_is_found_and_noted(tmp_path):
    path = make_video(tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nпривет\n".encode("cp1251"))
    with collected_notes() as notes:
        assert open_video(path).item(0).text == "привет"
    assert notes == ["film.srt is read as cp1251, a guess from few characters; save it as UTF-8"]


LATE = [Fraction(index, RATE) + 4 for index in range(90)]
SRT_LATE = "1\n00:00:04,500 --> 00:00:05,000\nwhile it runs\n\n2\n00:00:00,500 --> 00:00:01,000\nwhile it is black\n"


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.mov", "late.ts", "late.flv"])
def test_times_are_the_player_s_where_sound_begins_before_the_video(tmp_path, name):
    """Each as FFmpeg's own ffprobe tells it: the time of a frame less the start of its container."""
    container = {"ts": "mpegts"}.get(name.split(".")[-1])
    path = make_video(tmp_path / name, times=LATE, sound=True, container=container)
    (tmp_path / "late.srt").write_text(SRT_LATE)
    file = open_video(path)
    clip = file.item(0)
    assert clip.times_s[0] == pytest.approx(4, abs=0.03) and file.info().duration_s == pytest.approx(7, abs=0.06)
    assert (clip.start_s, clip.end_s) == (0.0, file.info().duration_s)
    assert file.clip(4.2, 5.0).text == "while it runs" and file.clip(0.0, 2.0).text == "while it is black"
    assert read(file.clip(5.02, 5.04).frames[0]) == pytest.approx(30, abs=1)


@pytest.mark.parametrize("name", ["begun.mp4", "begun.mkv", "begun.ts"])
def test_times_begin_with_the_video_where_its_clock_began_long_before(tmp_path, name):
    container = {"ts": "mpegts"}.get(name.split(".")[-1])
    times = [each + 96 for each in LATE]
    inside = [] if container else [(100.5, 101.5, "in the first second")]
    file = open_video(make_video(tmp_path / name, times=times, container=container, subtitles=inside))
    assert file.item(0).times_s[0] == 0 and file.info().duration_s == pytest.approx(3, abs=0.05)
    if inside:
        assert file.clip(0.6, 1.4).text == "in the first second" and file.clip(2.0, 2.5).text == ""


def forge(path: Path, box: bytes, offset: int, value: int, size: int = 4) -> None:
    """Write a number into each box of an MP4 file, `offset` bytes after the box's name."""
    data = bytearray(path.read_bytes())
    at = data.find(box)
    assert at > 0
    while at > 0:
        data[at + 4 + offset : at + 4 + offset + size] = value.to_bytes(size, "big")
        at = data.find(box, at + 4)
    path.write_bytes(data)


def test_a_forged_duration_cannot_plan_thousands_of_clips(tmp_path):
    path = make_video(tmp_path / "forged.mp4", frames=12, codec_options={"bf": "0"}, options={"use_editlist": "0"})
    scale = int.from_bytes(path.read_bytes().partition(b"mdhd")[2][12:16], "big")
    # each of 12 frames an hour apart: half a day, in which no more happens than 12 frames
    forge(path, b"stts", 12, 3540 * scale)
    for box, offset in ((b"mdhd", 16), (b"mvhd", 16), (b"tkhd", 20)):
        forge(path, box, offset, 2**31)
    file = open_video(path)
    assert file.info().items <= 24
    last = file.item(file.info().items - 1)
    assert read(last.frames[-1]) == 11


def test_a_forged_length_of_the_last_frame_is_no_length(tmp_path):
    path = make_video(tmp_path / "forged.mkv", frames=1)
    assert open_video(path).info().items == 1
    path = make_video(tmp_path / "forged.mp4", frames=1, codec_options={"bf": "0"})
    forge(path, b"stts", 12, 2**31)
    file = open_video(path)
    assert file.info().items == 1 and (file.info().duration_s or 0) < 1


def test_words_are_found_where_nothing_moves(tmp_path):
    """A slide that stands for minutes makes one clip, and more only where something is said."""
    times = [Fraction(0), Fraction(200)]
    path = make_video(tmp_path / "slide.mkv", frames=2, times=times)
    assert [open_video(path).item(0).start_s, open_video(path).info().items] == [0.0, 2]
    (tmp_path / "slide.srt").write_text("1\n00:01:40,000 --> 00:01:42,000\nat a hundred\n")
    file = open_video(path)
    clips = [file.item(index) for index in range(file.info().items)]
    assert [clip.start_s for clip in clips if "at a hundred" in clip.text] == [75.0, 100.0]
    assert len(clips) == 4 and read(clips[1].frames[0]) == 0


def test_without_subtitles_there_is_no_text(shelf):
    clip = open_video(shelf("one_key.mp4", keyframes_every=1000)).item(0)
    assert clip.text == "" and clip.metadata == {}


@pytest.mark.skipif("decord" not in READERS, reason="an extra")
@pytest.mark.parametrize("name", PYAV_ONLY)
def test_decord_is_refused_where_it_is_wrong(shelf, name):
    with pytest.raises(UnsupportedMedia, match=r"decord may return wrong frames from \w+ in \w+ .*video_reader='pyav'"):
        open_video(shelf(name, **PYAV_ONLY[name]), video_reader="decord")


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video(tmp_path, cover):
    path = make_sound(tmp_path / "song.mp4", cover=cover)
    with pytest.raises(UnreadableMedia, match=r"song.mp4: holds no video, only sound or a cover image"):
        open_video(path)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts", "cut.mp4", "cut.avi"])
def test_a_video_cut_off_is_read_as_far_as_it_goes(tmp_path, name):
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = make_video(tmp_path / name, frames=FRAMES, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    clip = open_video(path).item(0)
    numbers = [read(frame) for frame in clip.frames]
    assert numbers == sorted(numbers) and numbers[0] == 0 and 60 < numbers[-1] < FRAMES
    # an AVI has no times of display: the last frames at the cut are told apart by their order alone
    slack = 1.01 / RATE if name.endswith("avi") else 0.001
    assert clip.times_s == pytest.approx([number / RATE for number in numbers], abs=slack)


def test_a_video_without_its_index_is_unreadable(tmp_path):
    path = make_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UnreadableMedia, match=r"cut.mp4: cannot be read as a video \(.*\); it may be cut off"):
        open_video(path)


def test_damage_in_the_middle_costs_its_own_frames(tmp_path):
    path = make_video(tmp_path / "hit.mkv", frames=FRAMES, keyframes_every=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    clip = open_video(path).item(0)
    numbers = [read(frame) for frame in (clip.frames[0], clip.frames[-1])]
    assert numbers == [0, FRAMES - 1]


def test_limits(tmp_path, shelf):
    path = shelf("one_key.mp4", keyframes_every=1000)
    with pytest.raises(MediaLimit, match=r"is longer than 4 s; cut it, or raise limits.duration_s"):
        open_video(path, MediaLimits(duration_s=4))
    with pytest.raises(MediaLimit, match=r"makes 5 clips, the limit is 3; cut it, or raise window_s or limits.clips"):
        open_video(path, MediaLimits(clips=3), window_s=1.5, overlap_s=0.5)
    with pytest.raises(MediaLimit, match=rf"frames of {WIDTH} x {HEIGHT} px, the limit is 1000 px"):
        open_video(path, MediaLimits(pixels=1000))


@pytest.mark.parametrize(("start_s", "end_s"), [(-1, 2), (3, 2), (5.2, 6), (float("nan"), 2)])
def test_a_stretch_that_is_not_there(shelf, start_s, end_s):
    file = open_video(shelf("one_key.mp4", keyframes_every=1000))
    with pytest.raises(InvalidInput, match=r"one_key.mp4: .* is no stretch of a video of 5 s"):
        file.clip(start_s, end_s)


def test_a_playlist_dressed_as_a_video_opens_nothing(tmp_path):
    # FFmpeg's own choice of reader follows it: it looks at the beginning, where a playlist stands before the packets
    secret = make_video(tmp_path / "secret.mp4")
    empty_packet = b"G\x1f\xff\x10" + b"\xff" * 184
    assert secret.exists()
    for text in ("#EXTM3U\n#EXTINF:3,\nsecret.mp4\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile secret.mp4\n"):
        path = tmp_path / "film.ts"
        path.write_bytes(text.encode() + b"#" + empty_packet * 9)
        assert sniff(path).format == "mpegts"
        with pytest.raises(UnreadableMedia, match=r"film\.ts"):
            open_video(path)


def test_a_title_in_an_old_encoding_does_no_harm(tmp_path):
    path = make_video(tmp_path / "old.mkv", title="XXXXXX")
    data = path.read_bytes()
    assert b"XXXXXX" in data
    path.write_bytes(data.replace(b"XXXXXX", "Größe!".encode("latin-1")))
    assert len(open_video(path).item(0).frames) == 8


def test_frames_are_rgb_images(shelf):
    frames = open_video(shelf("ten_bits.mkv", pixel_format="yuv420p10le")).item(0).frames
    assert all(isinstance(frame, Image.Image) and frame.mode == "RGB" for frame in frames)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="the scheduler is Linux's")
def test_making_a_video_leaves_this_process_at_its_ordinary_priority(shelf):
    """SVT-AV1, as root, would have it take the processor from everything else on the machine."""
    shelf("av1.mp4", **EVERYWHERE["av1.mp4"])
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
