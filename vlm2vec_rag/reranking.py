"""Hits in a new order, by any model that looks at them: a vision model, a cross-encoder, or both."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.items import Hit

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hit as a reranker sees it. Either side may be empty: an image may have no words, a text shows nothing."""

    hit: Hit
    text: str = ""
    images: tuple[PILImage, ...] = ()


Score: TypeAlias = Callable[[str, Sequence[Candidate]], Sequence[float]]
"""A question and candidates to one number each; more is better."""


def name_of(model: object) -> str:
    """What traces call a model: the name that it has, or that of its function or class."""
    named = [getattr(model, name, None) for name in ("model_name", "name_or_path", "__name__")]
    return next((name for name in named if isinstance(name, str)), type(model).__name__)


def rerank(
    question: str,
    hits: Sequence[Hit],
    score: Score,
    *,
    reader: MediaReader | None = None,
    max_pixels: int = 640 * 28 * 28,
    frames: int = 3,
) -> list[tuple[int, float]]:
    """The positions of the hits, best first, each with its score; equal scores keep the order of the search.

    Args:
        question: What was asked.
        hits: What was found.
        score: The model.
        reader: Opens the files; None uses one of this process.
        max_pixels: Budget of each image.
        frames: Images of each clip.

    Raises:
        InvalidInput: The model gives no number for each hit.
    """
    if not hits or not question.strip():
        return [(at, hit.score) for at, hit in enumerate(hits)]
    candidates = [
        Candidate(hit=hit, text=hit.text, images=_images(hit, reader or _reader(), max_pixels, frames)) for hit in hits
    ]
    scores = [float(each) for each in score(question, candidates)]
    if len(scores) != len(hits) or any(math.isnan(each) for each in scores):
        raise InvalidInput(
            f"the reranker gave {len(scores)} scores for {len(hits)} hits, NaN among them: "
            f"{any(map(math.isnan, scores))}; expected one number for each"
        )
    return sorted(enumerate(scores), key=lambda each: -each[1])


def _images(hit: Hit, reader: MediaReader, max_pixels: int, frames: int) -> tuple[PILImage, ...]:
    from vlm2vec_rag.retrieval import images_of

    try:
        return images_of(hit, reader, max_pixels=max_pixels, frames=frames)
    except VlmRagError as error:
        logger.warning("%s is not shown to the reranker: %s", hit.place, error)
        return ()


@functools.cache
def _reader() -> MediaReader:
    """One reader for all of this process: it takes 0.2 s to start."""
    from vlm2vec_rag.media import MediaReader

    return MediaReader()
