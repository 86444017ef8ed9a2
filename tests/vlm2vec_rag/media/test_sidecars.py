"""Subtitle tracks: which file belongs to which video, and which track a video's words come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm2vec_rag.media.video.sidecars import Sidecar, Track, beside, preferred_language


def files(folder: Path, names: str) -> None:
    for name in names.split():
        (folder / name).write_text("x")


def names(found: list[Sidecar]) -> list[str]:
    return [sidecar.path.name for sidecar in found]


@pytest.mark.parametrize(
    ("video", "others", "own"),
    [
        ("lecture.mp4", "lecture.2.mp4 lecture.2.srt", ""),
        ("lecture.mp4", "lecture.2.srt lecture-3.srt lecture.part2.srt lectures.srt lecture.notes.en.srt", ""),
        ("lecture.2.mp4", "lecture.2.srt lecture.srt", "lecture.2.srt"),
        ("talk.mp4", "talk.srt talk.VTT Talk.SRT talk.ass talk.Ssa", "Talk.SRT talk.VTT talk.ass talk.srt talk.Ssa"),
        ("talk.mp4", "talk.mkv talk.en.srt", "talk.en.srt"),
        ("talk.mp4", "talk.en.mp4 talk.en.srt talk.en.sdh.srt talk.de.srt", "talk.de.srt"),
        ("talk.en.mp4", "talk.mp4 talk.en.srt talk.en.sdh.srt talk.de.srt", "talk.en.sdh.srt talk.en.srt"),
        ("Talk.mp4", "talk.mp4 talk.srt Talk.srt", "Talk.srt"),
        ("TALK.MP4", "talk.srt", "talk.srt"),
        ("f.mp4", "f.pt-BR.srt f.zh_Hans.srt f.es-419.srt f.eng.srt f.en-orig.vtt f.English.srt", "all"),
        (
            "f.mp4",
            "f.en.forced.srt f.en.sdh.srt f.EN.CC.srt f.en.hi.srt f.forced.srt f.en_forced.srt f.en.2.srt",
            "all",
        ),
        ("f.mp4", "f_en.srt f-de.srt f.txt f.srt.bak f.json", "f-de.srt f_en.srt"),
        ("a.b.mp4", "a.srt a.b.srt a.b.c.srt", "a.b.srt"),
    ],
)
def test_a_subtitle_file_belongs_to_the_video_that_it_is_named_after(tmp_path, video, others, own):
    files(tmp_path, f"{video} {others}")
    expected = sorted(others.split()) if own == "all" else sorted(own.split())
    assert sorted(names(beside(tmp_path / video))) == expected


def test_names_with_blanks_brackets_and_two_ways_to_write_an_accent(tmp_path):
    for name in ("My film [x1].mp4", "My film [x1].en.vtt", "My film [x1] (German).srt", "My film.srt"):
        (tmp_path / name).touch()
    (tmp_path / "caf\u00e9.mp4").touch()
    (tmp_path / "cafe\u0301.srt").touch()
    assert names(beside(tmp_path / "My film [x1].mp4")) == ["My film [x1] (German).srt", "My film [x1].en.vtt"]
    assert names(beside(tmp_path / "caf\u00e9.mp4")) == ["cafe\u0301.srt"]


def test_a_link_is_not_followed(tmp_path):
    files(tmp_path, "secret talk.mp4")
    (tmp_path / "talk.srt").symlink_to(tmp_path / "secret")
    assert beside(tmp_path / "talk.mp4") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f.srt", Track("f.srt")),
        ("f.pt-BR.srt", Track("f.pt-BR.srt", "pt")),
        ("f.ger.srt", Track("f.ger.srt", "de")),
        ("f.Deutsch.srt", Track("f.Deutsch.srt", "de")),
        ("f.hi.srt", Track("f.hi.srt", "hi")),
        ("f.en.hi.srt", Track("f.en.hi.srt", "en", is_for_hard_of_hearing=True)),
        ("f.en.SDH.srt", Track("f.en.SDH.srt", "en", is_for_hard_of_hearing=True)),
        ("f.forced.en.srt", Track("f.forced.en.srt", "en", is_forced=True)),
        ("f.en_forced.srt", Track("f.en_forced.srt", "en", is_forced=True)),
        ("f.en.commentary.srt", Track("f.en.commentary.srt", "en", is_commentary=True)),
    ],
)
def test_what_a_name_says(tmp_path, name, expected):
    files(tmp_path, f"f.mp4 {name}")
    [sidecar] = beside(tmp_path / "f.mp4")
    assert sidecar.track == expected


@pytest.mark.parametrize(
    ("language", "order"),
    [
        ("", "f.srt f.de.srt f.en.srt f.en.sdh.srt inside f.en.commentary.srt f.en.forced.srt"),
        ("de", "f.de.srt f.srt f.en.srt f.en.sdh.srt inside f.en.commentary.srt f.en.forced.srt"),
        ("en", "f.en.srt f.en.sdh.srt f.srt inside f.en.commentary.srt f.de.srt f.en.forced.srt"),
    ],
)
def test_the_reader_s_language_first_and_forced_tracks_last(tmp_path, language, order):
    files(tmp_path, "f.mp4 f.srt f.de.srt f.en.srt f.en.sdh.srt f.en.forced.srt f.en.commentary.srt")
    tracks = [each.track for each in beside(tmp_path / "f.mp4")] + [Track("inside", "en", is_inside=True)]
    assert [track.name for track in sorted(tracks, key=lambda track: track.rank(language))] == order.split()


@pytest.mark.parametrize(
    ("asked", "locale", "expected"),
    [
        ("pt-BR", "de_DE", "pt"),
        (None, "de_DE.UTF-8", "de"),
        (None, "C.UTF-8", ""),
        ("klingon", "", ""),
        ("ger", "", "de"),
    ],
)
def test_the_preferred_language(monkeypatch, asked, locale, expected):
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert preferred_language(asked) == expected
