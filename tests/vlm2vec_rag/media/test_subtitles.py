"""Cues of subtitle files: which words, and when."""

from __future__ import annotations

import pytest

from vlm2vec_rag.media.decode import decode
from vlm2vec_rag.media.video.subtitles import Cue, cues, parse, said

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


def read(data: str | bytes) -> list[Cue]:
    return list(cues(parse(decode(data).text if isinstance(data, bytes) else data)))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_srt(line_end, encoding):
    found = read(SRT.replace("\n", line_end).encode(encoding))
    assert found == [Cue(1.0, 2.5, "Hello there"), Cue(60.25, 3600.0, "Two lines & more")]


def test_vtt():
    assert read(VTT.encode()) == [Cue(1.0, 2.5, "Hello there"), Cue(3599.5, 3600.0, "late")]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\xff" * 99, b"-->", b"WEBVTT"])
def test_what_is_no_subtitle_has_no_cue(data):
    assert read(data) == []


def test_said_takes_every_cue_that_is_on_screen_and_repeats_nothing():
    shown = [Cue(0, 2, "a"), Cue(2, 4, "b"), Cue(3, 5, "b"), Cue(5, 7, "c")]
    assert said(shown, 2, 5) == "b"
    assert said(shown, 1.9, 5.1) == "a\nb\nc"
    assert said(shown, 7, 9) == ""


def test_blank_lines_inside_a_cue_survive():
    srt = "1\n00:00:01,000 --> 00:00:03,000\n\nfirst\n\n\nsecond\n\n2\n00:00:04,000 --> 00:00:05,000\n1984\n"
    assert read(srt) == [Cue(1, 3, "first second"), Cue(4, 5, "1984")]
    vtt = "WEBVTT\n\n00:01.000 --> 00:03.000\n \nspaceline\n\nmore\n\nNOTE not said\n\nname\n00:04.000 --> 00:05.000\nx"
    assert read(vtt) == [Cue(1, 3, "spaceline more"), Cue(4, 5, "x")]


def test_cues_without_numbers_or_blank_lines_between():
    srt = "00:00:01,000 --> 00:00:02,000\none\n00:00:02,000 --> 00:00:03,000\ntwo\n\n00:00:03 --> 00:00:04\n3\n"
    assert read(srt) == [Cue(1, 2, "one"), Cue(2, 3, "two"), Cue(3, 4, "3")]
    close = "7\n00:00:01,000 --> 00:00:02,000\none\n8\n00:00:02,000 --> 00:00:03,000\ntwo\n"
    assert read(close) == [Cue(1, 2, "one"), Cue(2, 3, "two")]


ASS = """[Script Info]
Title: x
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,a comment
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\i1}later{\\i0}, with a comma\\Nnext\\hline{a remark}
Dialogue: 1,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\blur3}later, with a comma\\Nnext line
Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,earlier
Dialogue: 0,0:00:07.00,0:00:08.00,Default,,0,0,0,,{\\an7\\p1}m 0 0 l 100 0 100 100{\\p0}
"""
SSA = """[Script Info]
ScriptType: v4.00
[Events]
Format: Marked, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: Marked=0,0:00:01.00,0:00:03.00,Default,,0000,0000,0000,!Effect,words
"""


def test_ass_and_ssa():
    assert read(ASS) == [Cue(1, 3, "earlier"), Cue(5, 6, "later, with a comma next line")]
    assert read(SSA) == [Cue(1, 3, "words")]
    events_only = ASS[ASS.index("[Events]") :].replace("earlier", "кириллица").encode("cp1251")
    assert read(events_only)[0] == Cue(1, 3, "кириллица")


ROLLING = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
~
so<00:00:00.500><c> today</c><00:00:01.000><c> we</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
so today we
~

00:00:02.010 --> 00:00:04.000 align:start position:0%
so today we
look<00:00:02.500><c> at</c><00:00:03.000><c> ships</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
look at ships
~

00:00:04.010 --> 00:00:06.000 align:start position:0%
look at ships
and<00:00:05.000><c> boats</c>
"""


def test_captions_that_roll_say_each_phrase_once():
    found = read(ROLLING.replace("~", " "))
    assert [cue.text for cue in found] == ["so today we", "look at ships", "and boats"]
    assert [cue.start_s for cue in found] == [0, 2.01, 4.01] and found[0].end_s == 2.01
    assert said(found, 0, 6) == "so today we\nlook at ships\nand boats"


def test_captions_that_grow_word_by_word_say_each_word_once():
    words = "we will look at ships today".split()
    srt = "\n".join(
        f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{' '.join(words[:n])}\n" for n in range(1, len(words) + 1)
    )
    assert said(read(srt), 0, 99).split() == words


def test_people_may_repeat_themselves():
    lines = ["Stop.", "Stop. Please.", "Why?", "I said no.", "You did?", "Yes.", "Well then.", "Go on."]
    srt = "\n".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{line}\n" for n, line in enumerate(lines, 1))
    assert [cue.text for cue in read(srt)] == lines


def test_cues_come_in_order_of_time_by_the_player_s_clock():
    shown = [(108.0, 109.0, "b"), (103.0, 104.0, "<i>a</i>"), (105.0, 105.0, "never on screen")]
    assert cues(shown, origin_s=100.0) == (Cue(3, 4, "a"), Cue(8, 9, "b"))
