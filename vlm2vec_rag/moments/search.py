"""Moments and whole videos: what a collection of windows knows about stretches longer or shorter than a window."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.errors import InvalidInput, MediaError
from vlm2vec_rag.items import Hit, Query, place_of, seconds
from vlm2vec_rag.moments.refine import refine
from vlm2vec_rag.moments.scoring import MomentQuery, Scale, joint
from vlm2vec_rag.moments.spans import Span, merge, suppress

if TYPE_CHECKING:
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.retrieval import Retriever

logger = logging.getLogger(__name__)

Pool: TypeAlias = Literal["mean", "max"]

FIRST_LOOK = 50  # windows that decide which videos are looked at as a whole
REFINED = 3  # moments whose edges are refined; the others keep those of their windows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """All windows of one video with their scores."""

    source: str
    windows: list[Span]
    hits: list[Hit]  # of the windows, in the same order

    @property
    def duration_s(self) -> float:
        return max(each.end_s for each in self.windows)


_Moment: TypeAlias = tuple[Span, _Video]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a question found: the best videos, with all of their windows scored on one scale."""

    question: MomentQuery
    videos: list[_Video]

    def moments(self, keep: float) -> list[_Moment]:
        """Joined windows of all videos, best first."""
        if not self.videos:
            return []
        ordinary = median(each.score for video in self.videos for each in video.windows)
        found = [
            (span, video)
            for video in self.videos
            for span in suppress(merge(video.windows, ordinary=ordinary, keep=keep))
            if span.score > 0
        ]
        return sorted(found, key=_rank)

    def scale(self, moment: _Moment) -> Scale | None:
        """What cosines are worth; None where the frames do not tell this moment from others.

        A moment that was found by what is said may look ordinary.
        """
        cosines = [hit.dense_score for video in self.videos for hit in video.hits if hit.dense_score is not None]
        peak = _best_inside(*moment).dense_score
        if not cosines or peak is None or peak <= (ordinary := median(cosines)):
            return None
        return Scale(ordinary, peak)


def search_moments(
    query: Query | str,
    retriever: Retriever,
    *,
    limit: int = 5,
    mode: Mode = "hybrid",
    filter: Filter | None = None,
    reader: MediaReader | None = None,
    max_cells: int = 48,
    videos: int = 5,
    keep: float = 0.5,
) -> list[Hit]:
    """Find when it happens: neighbouring windows joined by score, the edges of the best refined.

    Args:
        query: What is looked for.
        retriever: Searches a collection that holds clips.
        limit: At most so many moments, of all videos together.
        mode: dense goes by the frames, bm25 by what is said, fused by both.
        filter: Which clips may be found.
        reader: Reads the videos again to refine edges; None leaves edges at those of windows.
        max_cells: Cost of refining the edges of the best three moments, in short clips encoded in all.
        videos: Of the best so many videos all windows are looked at.
        keep: See `merge`.

    Returns:
        Hits of kind clip, best first; `start_s` and `end_s` are the moment's. Scores run from 0 to 1 over all windows
        that were looked at; `dense_score` and `bm25_score` are those of the best window.

    Raises:
        EmptyInput: The question has neither words nor pixels, or none that the mode can use.
        InvalidInput: There is no such mode, or a number makes no sense.
    """
    if limit < 1 or videos < 1 or max_cells < 1:
        raise InvalidInput(f"limit={limit}, videos={videos}, max_cells={max_cells}; expected at least 1 of each")
    look = _look(query, retriever, mode, filter, videos)
    moments = look.moments(keep)[:limit]
    if reader is not None and moments:
        moments = _with_edges(moments, look, retriever, reader, max_cells)
    return [_hit(span, video) for span, video in moments]


def search_videos(
    query: Query | str,
    retriever: Retriever,
    *,
    pool: Pool = "max",
    limit: int = 5,
    mode: Mode = "hybrid",
    filter: Filter | None = None,
    videos: int = 20,
) -> list[Hit]:
    """Find whole videos, by the best of their windows or by the mean of all.

    The mean of the windows' cosines is the cosine of the mean of their vectors, up to its length: so no vector of a
    whole video is kept, and both ways are open for every collection. `max` finds a video for one good moment, `mean`
    one that is about the question all along.

    Args:
        query: What is looked for.
        retriever: Searches a collection that holds clips.
        pool: max or mean.
        limit: At most so many videos.
        mode: As for `search_moments`.
        filter: Which clips count.
        videos: Of the best so many videos, by their best window, all windows are looked at.

    Returns:
        Hits of kind clip that span each video, best first.

    Raises:
        EmptyInput: As for `search_moments`.
        InvalidInput: There is no such pool or mode, or a number makes no sense.
    """
    if pool not in get_args(Pool):
        raise InvalidInput(f"pool is {pool!r}; expected max or mean")
    if limit < 1 or videos < 1:
        raise InvalidInput(f"limit={limit}, videos={videos}; expected at least 1 of each")
    found: list[_Moment] = []
    for video in _look(query, retriever, mode, filter, max(videos, limit)).videos:
        scores = [each.score for each in video.windows]
        score = max(scores) if pool == "max" else sum(scores) / len(scores)
        found.append((Span(min(each.start_s for each in video.windows), video.duration_s, score), video))
    return [_hit(span, video) for span, video in sorted(found, key=_rank)[:limit]]


def _look(query: Query | str, retriever: Retriever, mode: Mode, filter: Filter | None, videos: int) -> _Look:
    """Search for windows, and score all windows of the best videos."""
    asked = Query(text=query) if isinstance(query, str) else query
    if filter is not None and filter.kinds and "clip" not in filter.kinds:
        raise InvalidInput(f"moments are parts of clips; the filter lets only {', '.join(filter.kinds)} pass")
    clips = dataclasses.replace(filter or Filter(), kinds=("clip",))
    best = retriever.search(asked, mode=mode, limit=FIRST_LOOK, filter=clips)
    sources = list(dict.fromkeys(hit.source for hit in best))[:videos]
    vector = None
    if mode != "bm25" and retriever.encoder is not None:
        vector = retriever.encoder.encode_queries([asked], target="clip")[0]
    words = asked.text.strip() if mode != "dense" else ""
    question = MomentQuery(words, vector)
    hits = [hit for source in sources for hit in _windows(retriever, question, clips, source)]
    dense = [Span(*_edges(hit), hit.dense_score or 0.0) for hit in hits] if vector is not None else []
    said = [Span(*_edges(hit), hit.bm25_score or 0.0) for hit in hits]
    spans = joint(dense, said)
    return _Look(
        question,
        [
            _Video(
                source=source,
                windows=[span for span, hit in zip(spans, hits, strict=True) if hit.source == source],
                hits=[hit for hit in hits if hit.source == source],
            )
            for source in sources
        ],
    )


def _windows(retriever: Retriever, question: MomentQuery, clips: Filter, source: str) -> list[Hit]:
    """All windows of a video, each with its scores, in order of time."""
    from vlm2vec_rag.collection import Found

    collection = retriever.collection
    of_video = dataclasses.replace(clips, sources=(source,), paths=())
    points = list(collection.scroll(of_video))
    dense: dict[str, float | None] = {}
    said: dict[str, float | None] = {}
    if question.vector is not None:
        found = collection.search(question.vector, mode="dense", limit=len(points), filter=of_video, exact=True)
        dense = {each.id: each.dense_score for each in found}
    if question.words:
        found = collection.search(None, question.words, mode="bm25", limit=len(points), filter=of_video)
        said = {each.id: each.bm25_score for each in found}
    hits = [
        retriever.hit(
            Found(
                id=point.id,
                score=0.0,
                payload=point.payload,
                dense_score=dense.get(point.id),
                bm25_score=said.get(point.id),
            )
        )
        for point in points
    ]
    return sorted(hits, key=_edges)


def _with_edges(
    moments: list[_Moment], look: _Look, retriever: Retriever, reader: MediaReader, max_cells: int
) -> list[_Moment]:
    """The moments, the best of them with refined edges; those that overlap a better one now are left out."""
    refined: list[_Moment] = []
    for rank, (span, video) in enumerate(moments):
        edges = span
        if rank < REFINED:
            try:
                edges = refine(
                    video.source,
                    span,
                    look.question,
                    retriever.encoder,
                    reader,
                    scale=look.scale((span, video)),
                    max_cells=max(max_cells // min(len(moments), REFINED), 1),
                    margin_s=max(each.end_s - each.start_s for each in video.windows) / 2,
                    duration_s=video.duration_s,
                )
            except MediaError as error:
                logger.warning("the edges of a moment stay those of its windows: %s", error)
        refined.append((edges, video))
    kept = {video.source: suppress([span for span, of in refined if of is video]) for _, video in refined}
    return [(span, video) for span, video in refined if span in kept[video.source]]


def _hit(span: Span, video: _Video) -> Hit:
    """The hit of the best window inside, with the stretch's own edges."""
    fragment = f"t={seconds(span.start_s)},{seconds(span.end_s)}"
    return dataclasses.replace(
        _best_inside(span, video),
        score=span.score,
        start_s=span.start_s,
        end_s=span.end_s,
        place=place_of(video.source, fragment),
    )


def _best_inside(span: Span, video: _Video) -> Hit:
    inside = [
        (window, hit)
        for window, hit in zip(video.windows, video.hits, strict=True)
        if window.start_s < span.end_s and window.end_s > span.start_s
    ]
    return max(inside, key=lambda pair: (pair[0].score, -pair[0].start_s))[1]


def _rank(moment: _Moment) -> tuple[float, str, float]:
    span, video = moment
    return -span.score, video.source, span.start_s


def _edges(hit: Hit) -> tuple[float, float]:
    return hit.start_s or 0.0, hit.end_s or 0.0
