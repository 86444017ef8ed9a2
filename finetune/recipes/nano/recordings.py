"""Screen recordings of somebody reading a PDF: it rests on a place, scrolls, rests again. With what was shown when.

Real H.264 files of 1280 x 720, so that everything between a screen and the model is in the test: scaling, compression,
the library's own reader. Seeds are fixed; no frame holds anything but the pages of one document.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from corpus import Pages
from crops import render

WIDTH, HEIGHT, FPS = 1280, 720, 4
PAGE_WIDTH = 980  # px, as a reader that fits the page's text to the window shows it
REST_S, SCROLL_S = (4.0, 9.0), 1.0
DESK = 82  # grey around the paper


@dataclass(frozen=True)
class Recording:
    """One file and, for each page, the seconds at which at least a third of the screen showed it."""

    path: Path
    seen: dict[int, list[float]]


def scroll(paper_px: int, seconds: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """(frames,) the top of the window on a strip of paper so long: rests of some seconds, joined by scrolling."""
    tops: list[int] = []
    at = 0
    while len(tops) < seconds * FPS:
        tops += [at] * int(random.uniform(*REST_S) * FPS)
        to = min(paper_px - HEIGHT, at + int(random.uniform(0.5, 0.9) * HEIGHT))
        tops += np.linspace(at, to, int(SCROLL_S * FPS) + 1).astype(int).tolist()[1:]
        at = to if to < paper_px - HEIGHT else 0  # at the end, back to the beginning
    return np.array(tops[: int(seconds * FPS)])


def record(pages: Pages, shown: list[int], path: Path, seconds: float, random: np.random.Generator) -> Recording:
    """Write the recording of some pages, one under the other.

    Args:
        pages: The split they are of.
        shown: Which pages, in order, all of one document.
        path: The file to write, MP4.
        seconds: Its length.
        random: Decides where it rests.
    """
    import av

    papers, owners = [], []
    for page in shown:
        width, height = pages.sizes[page].tolist()
        size = round(PAGE_WIDTH * height / width)
        papers.append(render(pages.paths[page], int(pages.numbers[page]), size, PAGE_WIDTH))
        owners += [page] * size
    paper, owner = np.concatenate(papers), np.array(owners)
    screen = np.full((HEIGHT, WIDTH), DESK, dtype=np.uint8)
    left = (WIDTH - PAGE_WIDTH) // 2
    seen: dict[int, list[float]] = {page: [] for page in shown}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index, top in enumerate(scroll(len(paper), seconds, random).tolist()):
            screen[:, left : left + PAGE_WIDTH] = paper[top : top + HEIGHT]
            for page in np.unique(owner[top : top + HEIGHT]).tolist():
                if (owner[top : top + HEIGHT] == page).sum() >= HEIGHT / 3:
                    seen[page].append(index / FPS)
            frame = av.VideoFrame.from_ndarray(screen, format="gray").reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Recording(path, seen)
