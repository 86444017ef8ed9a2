"""How well stretches of a video answer a question: by their frames, by what is said meanwhile, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm2vec_rag.excerpts import stems
from vlm2vec_rag.moments.spans import Span, rescaled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.items import Clip


# just over a half: a stretch in which the words were said is never behind one that only looks right
WORDS_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class MomentQuery:
    """A question as moments are looked for: its vector, its words, or both."""

    words: str = ""
    vector: NDArray[np.float32] | None = None  # (D,)


@dataclass(frozen=True, slots=True)
class Scale:
    """What cosines are worth in one search. They differ from question to question, and only by little within one."""

    ordinary: float  # of windows that have nothing to do with the question
    peak: float  # of the moment's best window; above the ordinary


def joint(dense: Sequence[Span], words: Sequence[Span]) -> list[Span]:
    """Scores of two kinds for the same stretches as one, from 0 to 1.

    A weighted sum keeps how much a stretch stands out, which ranks would not. Cosines are brought to 0..1 between the
    lowest and the highest; word scores between 0, which means no word at all, and the highest. A side that says
    nothing is left out.

    Args:
        dense: With cosines; empty where frames were not asked.
        words: With BM25 scores, 0 for a stretch in which no word was found.
    """
    most = max((each.score for each in words), default=0.0)
    said = [each.score / most if most > 0 else 0.0 for each in words]
    if not dense:
        return [Span(each.start_s, each.end_s, score) for each, score in zip(words, said, strict=True)]
    seen = rescaled(dense)
    if most <= 0:
        return seen
    return [
        Span(each.start_s, each.end_s, (1 - WORDS_SHARE) * each.score + WORDS_SHARE * score)
        for each, score in zip(seen, said, strict=True)
    ]


def score_clips(
    clips: Sequence[Clip], question: MomentQuery, encoder: Encoder | None, scale: Scale | None
) -> list[Span]:
    """Scores of clips that are read just now: 0 for the ordinary, 1 for as good as the moment's best window.

    Args:
        clips: With frames and the words said meanwhile.
        question: What is looked for.
        encoder: Encodes the clips.
        scale: What cosines are worth in this search; None goes by words alone.
    """
    told: list[list[float]] = []
    if encoder is not None and question.vector is not None and scale is not None:
        cosines = encoder.encode_items(list(clips)) @ question.vector
        told.append([(float(cosine) - scale.ordinary) / (scale.peak - scale.ordinary) for cosine in cosines])
    wanted = stems(question.words)
    shared = [len(wanted & stems(clip.text)) for clip in clips]
    if len(set(shared)) > 1 or not told:
        told.append([count / max(*shared, 1) for count in shared])
    return [
        Span(clip.start_s, clip.end_s, sum(scores) / len(scores)) for clip, *scores in zip(clips, *told, strict=True)
    ]
