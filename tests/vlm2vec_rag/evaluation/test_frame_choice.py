"""Which frames are kept of a video and which are shown, against the definitions of the public code."""

import math

import numpy as np
import pytest

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.evaluation.frames import frame_files, kept_indices, shown_indices


@pytest.mark.parametrize("n", [1, 7, 8, 9, 63, 64, 200])
def test_shown_frames_are_numpy_s_linspace(n):
    assert shown_indices(n) == (list(range(n)) if n < 8 else np.linspace(0, n - 1, 8, dtype=int).tolist())
    assert shown_indices(n, None) == list(range(n))


@pytest.mark.parametrize("n", [1, 63, 64, 65, 127, 128, 1000])
def test_kept_frames_are_the_floor_of_even_steps_or_whole_steps_from_the_start(n):
    even = list(range(n)) if n <= 64 else [math.floor(i * (n / 64)) for i in range(64)]
    assert kept_indices(n) == even
    step = max(1, n // 64)
    assert kept_indices(n, "stepped") == [i * step for i in range(64) if i * step < n]


def test_stepped_keeping_misses_the_end_of_a_video():
    assert kept_indices(127, "stepped")[-1] == 63
    assert kept_indices(127)[-1] == 125


def test_frames_sort_by_number(tmp_path):
    for name in ("frame_10.jpg", "frame_9.jpg", "frame_1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in frame_files(tmp_path).paths] == ["frame_1.jpg", "frame_9.jpg", "frame_10.jpg"]


def test_a_raw_video_is_cut_into_frames_where_there_are_none(tmp_path):
    video = tmp_path / "v.mp4"
    write_video(video, n_frames=130)
    files = frame_files(tmp_path / "frames" / "v", video=video)
    assert len(list((tmp_path / "frames" / "v").iterdir())) == 64
    # each frame is as bright as its place in the video, so the chosen ones can be told apart
    expected = [kept_indices(130)[i] for i in shown_indices(64)]
    brightness = [float(np.asarray(image).mean()) for image in files.load()]
    assert brightness == pytest.approx(expected, abs=4)


def test_a_folder_without_frames_and_a_broken_video_are_said(tmp_path):
    with pytest.raises(UnreadableMedia, match="no frames in"):
        frame_files(tmp_path / "nothing")
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableMedia, match="cannot be decoded"):
        frame_files(tmp_path / "v", video=tmp_path / "v.mp4")


def write_video(path, n_frames):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
