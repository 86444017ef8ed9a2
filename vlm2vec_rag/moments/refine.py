"""Find the edges of a moment by looking closer at its surroundings, at a cost that is bounded beforehand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.moments.scoring import MomentQuery, Scale, score_clips
from vlm2vec_rag.moments.spans import Span, cut, sharpen
from vlm2vec_rag.pixels import MIN_PIXELS

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.media import MediaReader

SHORTEST_CELL_S = 1.0  # a second holds too little motion to be told from the next one
ENOUGH = 0.5  # half way from the ordinary to the moment's best window, as for the windows that were joined


def refine(
    source: str,
    moment: Span,
    question: MomentQuery,
    encoder: Encoder | None,
    reader: MediaReader,
    *,
    scale: Scale | None,
    max_cells: int,
    margin_s: float,
    duration_s: float,
) -> Span:
    """The moment with its edges moved to where the answer begins and ends.

    The moment and a margin on both sides are cut into cells, each cell is scored, and the edges go where the score
    crosses its middle: they are right to about one cell.

    Args:
        source: The video.
        moment: Its edges are right to about one window.
        question: What is looked for.
        encoder: Encodes the cells.
        reader: Reads the cells.
        scale: What cosines are worth in this search; None goes by what is said alone.
        max_cells: What the refinement may cost: so many cells are encoded at most.
        margin_s: How far the true edges may lie outside.
        duration_s: Of the video.

    Returns:
        The refined stretch; its score stays the moment's own, because cells are scored on another scale. The moment
        itself where nothing in it stands out.

    Raises:
        MediaError: The video can no longer be read.
    """
    if max_cells < 1:
        raise InvalidInput(f"max_cells is {max_cells}; expected at least 1")
    start_s, end_s = max(moment.start_s - margin_s, 0.0), min(moment.end_s + margin_s, duration_s)
    count = min(max_cells, math.floor((end_s - start_s) / SHORTEST_CELL_S))
    if count < 3:
        return moment
    seen = encoder is not None and question.vector is not None and scale is not None
    # by words alone a frame is read for nothing but its time; the smallest will do
    # as many frames as windows have, else cosines would lie on another scale than theirs
    frames, max_pixels = (None, None) if seen else (1, MIN_PIXELS)
    clips = [
        reader.clip(source, each.start_s, each.end_s, frames=frames, max_pixels=max_pixels)
        for each in cut(start_s, end_s, count)
    ]
    cells = score_clips(clips, question, encoder, scale)
    if max(each.score for each in cells) <= 0:
        return moment
    edges = sharpen(cells, ENOUGH)
    return Span(edges.start_s, edges.end_s, moment.score)
