"""Subtitles beside a video: which file, which words, and when."""

from __future__ import annotations

import pytest

from vlm2vec_rag.media.video.subtitles import Cue, beside, parse, said

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>

2
00:01:00,250 --> 01:00:00,000 X1:40
{\\an8}Two
lines &amp; more

3
broken timing
lost

4
00:00:05,000 --> 00:00:04,000
backwards
"""

VTT = """WEBVTT - a title

NOTE
00:00 is no cue

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v Ann>Hello <c.loud>there</c>

00:59:59.5 --> 01:00:00.000
<00:59:59.600>late
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_srt(line_end, encoding):
    cues = parse(SRT.replace("\n", line_end).encode(encoding))
    assert cues == [Cue(1.0, 2.5, "Hello there"), Cue(60.25, 3600.0, "Two lines & more")]


def test_vtt():
    assert parse(VTT.encode()) == [Cue(1.0, 2.5, "Hello there"), Cue(3599.5, 3600.0, "late")]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\xff" * 99, b"-->", b"WEBVTT"])
def test_what_is_no_subtitle_has_no_cue(data):
    assert parse(data) == []


def test_said_takes_every_cue_that_is_on_screen_and_repeats_nothing():
    cues = [Cue(0, 2, "a"), Cue(2, 4, "b"), Cue(3, 5, "b"), Cue(5, 7, "c")]
    assert said(cues, 2, 5) == "b"
    assert said(cues, 1.9, 5.1) == "a\nb\nc"
    assert said(cues, 7, 9) == ""


def test_the_file_of_the_same_name_goes_before_one_with_a_language(tmp_path):
    video = tmp_path / "talk.mp4"
    for name in ("talk.mp4", "talk.de.vtt", "talk.en.srt", "talker.srt", "other.srt"):
        (tmp_path / name).touch()
    assert beside(video).name == "talk.de.vtt"
    (tmp_path / "talk.vtt").touch()
    assert beside(video).name == "talk.vtt"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text(SRT)
    (tmp_path / "talk.srt").symlink_to(tmp_path / "secret")
    assert beside(tmp_path / "talk.mp4") is None
