"""Which frames of a video the benchmark shows the model.

Two steps (VLM2Vec `src/utils/vision_utils/vision_utils.py` and the question answering parsers at 6e1e1d4): up to 64
frames are kept as images, which is what the hub's archives hold, and 8 of those are shown. Where only a raw video is
here, the first step is done too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.evaluation.examples import FrameFiles

logger = logging.getLogger(__name__)

SHOWN = 8
KEPT = 64
_IMAGES = {".jpg", ".jpeg", ".png"}
Keeping: TypeAlias = Literal["even", "stepped"]


def frame_files(
    folder: Path, *, shown: int | None = SHOWN, video: Path | None = None, keeping: Keeping = "even"
) -> FrameFiles:
    """The frames to show of a folder of frames.

    Args:
        folder: Holds the kept frames.
        shown: How many to choose, evenly; None shows all that are there.
        video: The raw video, cut into `folder` if that has no frames.
        keeping: How a raw video is cut, see `kept_indices`.

    Raises:
        UnreadableMedia: There are no frames and no video.
    """
    paths = _images(folder)
    if not paths and video is not None and video.is_file():
        _cut(video, folder, keeping)
        paths = _images(folder)
    if not paths:
        raise UnreadableMedia(f"no frames in {folder}")
    return FrameFiles(tuple(paths[i] for i in shown_indices(len(paths), shown)))


def shown_indices(n_kept: int, shown: int | None = SHOWN) -> list[int]:
    """`shown` of `n_kept` frames, evenly from first to last; all of them where there are not that many."""
    if shown is None or n_kept < shown:
        return list(range(n_kept))
    return [int(i) for i in np.linspace(0, n_kept - 1, shown, dtype=int)]


def kept_indices(n_frames: int, keeping: Keeping = "even", kept: int = KEPT) -> list[int]:
    """Which of a video's frames are kept as images.

    `even` takes floor(i * n / 64), to the end of the video; `stepped`, which the question answering parsers use, takes
    every (n // 64)th from the start and so never reaches the end.
    """
    if keeping == "even":
        return list(range(n_frames)) if n_frames <= kept else [i * n_frames // kept for i in range(kept)]
    step = max(1, n_frames // kept)
    return list(range(0, n_frames, step))[:kept]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.suffix.lower() in _IMAGES), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """`frame_10.jpg` after `frame_9.jpg`."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", path.name)]


def _cut(video: Path, folder: Path, keeping: Keeping) -> None:
    """Write the kept frames of a video, numbered from 1 as ffmpeg does."""
    import av

    try:
        with av.open(str(video)) as container:
            n_frames = sum(1 for _ in container.decode(video=0))
        wanted: Sequence[int] = kept_indices(n_frames, keeping)
        chosen = set(wanted)
        folder.mkdir(parents=True, exist_ok=True)
        with av.open(str(video)) as container:
            number = 0
            for index, frame in enumerate(container.decode(video=0)):
                if index in chosen:
                    number += 1
                    frame.to_image().save(folder / f"frame_{number:04d}.jpg", quality=95)
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableMedia(f"{video} cannot be decoded ({error})") from error
    logger.info("cut %d of %d frames out of %s", len(wanted), n_frames, video)
