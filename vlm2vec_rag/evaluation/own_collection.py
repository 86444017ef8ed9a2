"""How well a search answers the questions of one's own: pixels against words against both, with intervals."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.evaluation import metrics
from vlm2vec_rag.evaluation.intervals import Interval, bootstrap, paired_difference
from vlm2vec_rag.evaluation.own_queries import FileLocation, OwnQuery
from vlm2vec_rag.items import Hit, Query

if TYPE_CHECKING:
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.retrieval import Retriever

logger = logging.getLogger(__name__)

DEPTH = 10
METRICS: Mapping[str, Callable[[Sequence[str], metrics.Relevance], float]] = {
    "hit@1": lambda ranking, relevance: metrics.hit(ranking, relevance, 1),
    "hit@5": lambda ranking, relevance: metrics.hit(ranking, relevance, 5),
    "recall@10": lambda ranking, relevance: metrics.recall(ranking, relevance, 10),
    "mrr@10": lambda ranking, relevance: metrics.reciprocal_rank(ranking, relevance, 10),
    "ndcg@5": lambda ranking, relevance: metrics.ndcg(ranking, relevance, 5),
    "ndcg@10": lambda ranking, relevance: metrics.ndcg(ranking, relevance, 10),
}


@dataclass(frozen=True, slots=True)
class RankedHits:
    """What one way of searching found for one question, and what that is worth."""

    hits: tuple[Hit, ...]
    found: tuple[str, ...]  # for each hit the relevant place it counts for, or nothing
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """All answers: mode -> one per question, in the order of `queries`."""

    name: str
    queries: Sequence[OwnQuery]
    answers: Mapping[Mode, Sequence[RankedHits]]
    left_out: Sequence[str] = ()

    @property
    def modes(self) -> tuple[Mode, ...]:
        return tuple(self.answers)

    def interval(self, mode: Mode, metric: str) -> Interval:
        """Mean of a metric over the questions, with its 95 % bootstrap interval."""
        return bootstrap([answer.scores[metric] for answer in self.answers[mode]])

    def difference(self, mode: Mode, other: Mode, metric: str) -> Interval:
        """How much better `mode` is than `other` on the same questions."""
        first, second = ([answer.scores[metric] for answer in self.answers[each]] for each in (mode, other))
        return paired_difference(first, second)

    def failures(self, mode: Mode) -> list[int]:
        """Questions whose first hit is wrong, the worst first."""
        answers = self.answers[mode]
        missed = [index for index, answer in enumerate(answers) if not answer.scores["hit@1"]]
        return sorted(missed, key=lambda index: answers[index].scores["ndcg@10"])

    def save(self, path: Path) -> Path:
        """Write means, intervals and every answer as JSON."""
        summary = {
            mode: {metric: dataclasses.asdict(self.interval(mode, metric)) for metric in METRICS} for mode in self.modes
        }
        answers = [
            {
                "question": query.question,
                "relevant": dict(query.relevant),
                **{
                    mode: {
                        "hits": [[hit.place, round(hit.score, 6)] for hit in self.answers[mode][index].hits],
                        **self.answers[mode][index].scores,
                    }
                    for mode in self.modes
                },
            }
            for index, query in enumerate(self.queries)
        ]
        document = {
            "collection": self.name,
            "questions": len(self.queries),
            "left_out": list(self.left_out),
            "summary": summary,
            "answers": answers,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        return path


def evaluate_collection(
    retriever: Retriever,
    queries: Sequence[OwnQuery],
    *,
    modes: Sequence[Mode] | None = None,
    progress: Callable[[int], None] | None = None,
) -> CollectionResult:
    """Ask every question in every way.

    Args:
        retriever: Of an open collection.
        queries: See `read_queries`.
        modes: Which ways of searching; None takes all that the collection and the retriever have.
        progress: Called with the number of questions answered since the last call.

    Raises:
        EmptyInput: Of no question a relevant place is in the collection.
    """
    kept, left_out = _answerable(retriever, queries)
    if not kept:
        raise EmptyInput(f"none of the {len(queries)} questions can be answered from the collection: {left_out[0]}")
    chosen: tuple[Mode, ...] = tuple(modes) if modes else _modes(retriever)
    answers: dict[Mode, list[RankedHits]] = {mode: [] for mode in chosen}
    for query in kept:
        for mode in chosen:
            answers[mode].append(_ask(retriever, query, mode))
        if progress:
            progress(1)
    return CollectionResult(_name(retriever), kept, answers, left_out)


def _name(retriever: Retriever) -> str:
    """What the collection is called, or its folder where it has the usual name."""
    name = retriever.collection.name
    return Path(retriever.collection.info().location).name or name if name == "default" else name


def _modes(retriever: Retriever) -> tuple[Mode, ...]:
    if retriever.encoder is None or not retriever.collection.dim:
        return ("bm25",)
    return ("hybrid", "dense", "bm25")


def _ask(retriever: Retriever, query: OwnQuery, mode: Mode) -> RankedHits:
    try:
        hits = retriever.search(Query(text=query.question), mode=mode, limit=DEPTH)
    except EmptyInput as error:  # a question of stopwords has no word side
        logger.info("%r in mode %s: %s", query.question, mode, error)
        hits = []
    found = _matches(hits, query)
    # what counts for nothing keeps a name of its own, so that it takes up its place in the ranking
    ranking = [place or f"\0{rank}" for rank, place in enumerate(found)]
    scores = {name: metric(ranking, query.relevant) for name, metric in METRICS.items()}
    return RankedHits(tuple(hits), tuple(found), scores)


def _matches(hits: Sequence[Hit], query: OwnQuery) -> list[str]:
    """For each hit the relevant place it finds; each place counts once, at its first hit."""
    open_places = {place: FileLocation.parse(place) for place in query.relevant}
    found: list[str] = []
    for hit in hits:
        at = _place_of(hit)
        name = next((name for name, place in open_places.items() if place.covers(at)), "")
        open_places.pop(name, None)
        found.append(name)
    return found


def _place_of(hit: Hit) -> FileLocation:
    """Where a hit is; read from its fields, for a file's name may hold a `#`."""
    if hit.kind == "clip":
        return FileLocation(hit.source, start=hit.start_s, end=hit.end_s, unit="t")
    if hit.kind == "text" and "#char=" in hit.place:
        part = FileLocation.parse("x#" + hit.place.rpartition("#")[2])
        return FileLocation(hit.source, start=part.start, end=part.end, unit=part.unit)
    return FileLocation(hit.source, page=hit.page)


def _answerable(retriever: Retriever, queries: Sequence[OwnQuery]) -> tuple[list[OwnQuery], list[str]]:
    """Questions whose places are in the collection, by their whole path; others would count as never found."""
    sources = list(retriever.collection.sources())
    kept: list[OwnQuery] = []
    left_out: list[str] = []
    for query in queries:
        try:
            relevant = {
                str(FileLocation.parse(place).settle(sources)): grade for place, grade in query.relevant.items()
            }
        except InvalidInput as error:
            left_out.append(f"{query.question!r}: {error}")
        else:
            kept.append(OwnQuery(query.question, relevant))
    return kept, left_out
