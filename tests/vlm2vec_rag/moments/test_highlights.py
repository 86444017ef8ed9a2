"""A reel shows the moments that were asked for, in order, with their titles and their own sound."""

import math

import av
import numpy as np
import pytest
from colour_encoder import ColourEncoder
from composed_videos import compose, scene_image
from numbered_videos import make_video
from numbered_videos import read as read_number
from PIL import Image

import vlm2vec_rag as vr
from vlm2vec_rag.errors import EmptyInput, InvalidInput, UnreadableMedia
from vlm2vec_rag.highlights import Highlight, _together, write_reel
from vlm2vec_rag.media import MediaReader, MediaSettings
from vlm2vec_rag.reel import draw_title

SCENES = [(1, 8), (2, 6), (3, 10)]


MEDIA = MediaSettings(max_pixels=168 * 112, window_s=6, overlap_s=1)


@pytest.fixture(scope="module")
def reader():
    with MediaReader(MEDIA) as reader:
        yield reader


@pytest.fixture(scope="module")
def words():
    with vr.open(":memory:", "none", media=MEDIA) as library:
        yield library


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = compose(tmp_path_factory.mktemp("reel") / "film.mp4", SCENES, sound=True)
    path.with_suffix(".srt").write_text(
        "1\n00:00:09,000 --> 00:00:12,000\nthe violin plays\n\n2\n00:00:17,000 --> 00:00:20,000\na red apple falls\n"
    )
    return path


def read(path):
    """All frames as arrays, and the sound as one array of samples."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)] if container.streams.audio else []
    return frames, np.concatenate(blocks, axis=1) if blocks else None


def looks_like(frame, seed):
    """Whether the upper half of a frame is that of a scene, sway and compression aside."""
    image = np.asarray(scene_image(seed), dtype=float)[:56]
    return np.abs(frame[:56].astype(float) - image).mean() < 30


def test_by_words_alone_the_subtitles_decide(film, words):
    found = words.highlights(film, ["red apple", "violin", "zeppelin"])
    assert [each.title for each in found] == ["violin", "red apple"]
    for each, (start_s, end_s) in zip(found, [(9, 12), (17, 20)], strict=True):
        assert start_s - 1 <= each.start_s <= start_s + 1 and end_s - 1 <= each.end_s <= end_s + 1.01


def test_the_reel_shows_the_stretches_in_their_order_and_length(film, reader, tmp_path):
    wanted = [
        Highlight(title="first", start_s=1, end_s=4, score=1),
        Highlight(title="second", start_s=9, end_s=11, score=1),
        Highlight(title="third", start_s=20, end_s=30, score=1),  # the film ends at 24
    ]
    with pytest.raises(InvalidInput, match="no stretch"):
        write_reel(film, wanted, tmp_path / "too-long.mp4", reader)
    assert list(tmp_path.iterdir()) == []  # whole or not at all
    assert write_reel(film, wanted[:2], tmp_path / "reel.mp4", reader)
    frames, sound = read(tmp_path / "reel.mp4")
    assert len(frames) == 5 * 25 and frames[0].shape == (112, 168, 3)
    assert all(looks_like(frame, 1) and not looks_like(frame, 2) for frame in frames[:75])
    assert all(looks_like(frame, 2) and not looks_like(frame, 1) for frame in frames[75:])
    assert abs(sound.shape[1] / 48_000 - 5) < 0.1
    spectrum = np.abs(np.fft.rfft(sound[0, 48_000:96_000]))
    assert abs(int(spectrum.argmax()) - 440) <= 1  # one second: bins are Hz


def test_every_frame_of_the_reel_is_the_one_on_screen_then(tmp_path):
    """The film has 30 numbered frames a second, the reel 25."""
    make_video(tmp_path / "numbered.mp4", frames=90, rate=30)
    with MediaReader() as reader:
        one = [Highlight(title="x", start_s=0.5, end_s=2.9, score=1)]
        write_reel(tmp_path / "numbered.mp4", one, tmp_path / "reel.mp4", reader)
    frames, _ = read(tmp_path / "reel.mp4")
    numbers = [read_number(Image.fromarray(frame[: len(frame) // 2])) for frame in frames]
    assert numbers == [math.floor((0.5 + index / 25) * 30 + 1e-6) for index in range(60)]


def test_titles_are_drawn_and_cut_to_the_width():
    band = draw_title("a title far too long for a frame of so few pixels", (168, 112))
    assert band.width == 168 and np.asarray(band)[..., :3].max() > 240
    plain = np.asarray(draw_title(" ", (168, 112)))
    assert (np.asarray(band) != plain).any() and (np.asarray(band)[:, -4:] == plain[:, -4:]).all()


def test_a_silent_film_makes_a_silent_reel(reader, tmp_path):
    film = compose(tmp_path / "silent.mp4", [(1, 4)])
    assert not write_reel(film, [Highlight(title="x", start_s=0, end_s=1, score=1)], tmp_path / "reel.mp4", reader)
    frames, sound = read(tmp_path / "reel.mp4")
    assert len(frames) == 25 and sound is None


def test_one_moment_for_two_questions_has_both_titles():
    found = [
        Highlight(title="a", start_s=0, end_s=10, score=0.9),
        Highlight(title="b", start_s=1, end_s=10, score=0.8),
        Highlight(title="c", start_s=9, end_s=30, score=0.7),
    ]
    assert [(each.title, each.start_s) for each in _together(found)] == [("a · b", 0), ("c", 9)]


def test_a_model_finds_what_it_sees(film):
    with vr.open(":memory:", ColourEncoder(), media=MEDIA) as library:
        [best] = library.highlights(film, ["words are not read by this encoder"], longest_s=3)
    assert best.end_s - best.start_s <= 3


def test_mistakes_are_named(film, reader, words, tmp_path):
    one = [Highlight(title="x", start_s=0, end_s=1, score=1)]
    with pytest.raises(EmptyInput, match="no question"):
        words.highlights(film, [" "])
    with pytest.raises(EmptyInput, match="no highlights"):
        write_reel(film, [], tmp_path / "reel.mp4", reader)
    with pytest.raises(InvalidInput, match=r"ends in \.mp4"):
        write_reel(film, one, tmp_path / "reel.gif", reader)
    with pytest.raises(InvalidInput, match="would replace the video"):
        write_reel(film, one, film, reader)
    scene_image(1).save(tmp_path / "image.png")
    with pytest.raises(InvalidInput, match="is image; highlights are cut from a video"):
        words.highlights(tmp_path / "image.png", ["x"])


def test_a_film_without_images_is_refused(words, tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.int16), format="s16", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableMedia, match="holds no video, only sound"):
        words.highlights(tmp_path / "sound.mp4", ["x"])
