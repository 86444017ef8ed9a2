"""How a collection answers one's questions, as a page: ways of searching compared, and the failures as images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.evaluation.html_page import image_address, write_page
from vlm2vec_rag.evaluation.own_collection import METRICS, CollectionResult, RankedHits
from vlm2vec_rag.evaluation.own_queries import FileLocation
from vlm2vec_rag.items import Hit
from vlm2vec_rag.retrieval import images_of

if TYPE_CHECKING:
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.media import MediaReader

logger = logging.getLogger(__name__)

FAILURES_SHOWN = 20
HITS_SHOWN = 4
_PIXELS = 400_000  # of an image in the report
_WORDS = {"hybrid": "pixels and words", "dense": "pixels", "bm25": "words"}


def write_collection_report(path: Path, result: CollectionResult, reader: MediaReader | None = None) -> Path:
    """Write the page.

    Args:
        path: Where to.
        result: All answers.
        reader: Opens the sources again for their images; None shows the words only.
    """
    best = result.modes[0]
    failures = result.failures(best)
    n_left_out = len(result.left_out)
    counts = f"{len(result.queries)} questions" + (f", {n_left_out} left out" if n_left_out else "")
    return write_page(
        path,
        "collection.html",
        title=f"Search in {result.name}",
        about=f"{counts} · {', '.join(result.modes)}",
        over="questions",
        shown_first=_best_scores(result),
        columns=[("Mode", False), ("Looks at", False), *((metric, True) for metric in METRICS)],
        comparison=[
            {
                "mode": mode,
                "looks_at": _WORDS[mode],
                "intervals": [result.interval(mode, metric).in_percent() for metric in METRICS],
            }
            for mode in result.modes
        ],
        differences=_differences(result),
        best=best,
        n_queries=len(result.queries),
        n_failures=len(failures),
        failures=[_failure(result, index, best, reader) for index in failures[:FAILURES_SHOWN]],
        left_out=result.left_out[:FAILURES_SHOWN],
    )


def _best_scores(result: CollectionResult) -> list[tuple[str, str, str]]:
    """Scores of the best mode: label, value, and interval."""
    found = []
    for metric, label in (("hit@1", "First hit right"), ("hit@5", "Right in five"), ("ndcg@10", "NDCG@10")):
        interval = result.interval(result.modes[0], metric).in_percent()
        found.append((label, f"{interval.mean:.1f} %", f"{interval.low:.0f} to {interval.high:.0f} (95 %)"))
    return found


def _differences(result: CollectionResult) -> list[dict[str, str]]:
    """Each other mode against the best: how far apart they are, and whether that is more than chance."""
    lines = []
    first = result.modes[0]
    for other in result.modes[1:]:
        apart = result.difference(first, other, "ndcg@10").in_percent()
        is_sure = apart.low > 0 or apart.high < 0
        verdict = ("better" if apart.mean > 0 else "worse") if is_sure else "not told apart by these questions"
        kind = {"better": "good", "worse": "bad"}.get(verdict, "soft")
        words = f"{first} against {other}: NDCG@10 {apart.mean:+.1f} ({apart.low:+.1f} to {apart.high:+.1f})"
        lines.append({"words": words, "verdict": verdict, "kind": kind})
    return lines


def _failure(result: CollectionResult, index: int, mode: Mode, reader: MediaReader | None) -> dict[str, Any]:
    query, answer = result.queries[index], result.answers[mode][index]
    figures = [_expected(place, answer, result, index, reader) for place in list(query.relevant)[:2]]
    for rank, (hit, found) in enumerate(zip(answer.hits[:HITS_SHOWN], answer.found, strict=False), start=1):
        figures.append(_figure(hit, f"{rank}. {_short(hit.place)}", is_right=bool(found), reader=reader))
    ranks = ", ".join(f"{each}: {_rank(result.answers[each][index])}" for each in result.modes)
    return {"question": query.question, "ranks": ranks, "figures": figures}


def _expected(
    place: str, answer: RankedHits, result: CollectionResult, index: int, reader: MediaReader | None
) -> dict[str, Any]:
    """The right answer: from the hit that any way of searching found it with, else from the place itself."""
    for each in (answer, *(answers[index] for answers in result.answers.values())):
        for hit, found in zip(each.hits, each.found, strict=True):
            if found == place:
                return _figure(hit, f"right: {_short(place)}", is_right=True, reader=reader)
    return _figure(_hit_at(FileLocation.parse(place)), f"right: {_short(place)}", is_right=True, reader=reader)


def _hit_at(place: FileLocation) -> Hit:
    kind = "page" if place.page is not None else "clip" if place.unit == "t" else "text"
    return Hit(
        id="",
        score=0.0,
        kind=kind,  # type: ignore[arg-type]  # mypy widens the three literals to str
        source=place.source,
        place=place.source,
        page=place.page,
        start_s=place.start if place.unit == "t" else None,
        end_s=place.end if place.unit == "t" else None,
    )


def _figure(hit: Hit, caption: str, *, is_right: bool, reader: MediaReader | None) -> dict[str, Any]:
    """The hit as an image, or its words where it has none or its file cannot be opened."""
    shown = ""
    if reader is not None and hit.kind != "text":
        try:
            images = images_of(hit, reader, max_pixels=_PIXELS)
            shown = image_address(images[len(images) // 2]) if images else ""
        except VlmRagError as error:
            logger.info("no image of %s: %s", hit.place, error)
    words = hit.snippet(400) or hit.title or hit.kind
    return {"caption": caption, "is_right": is_right, "image": shown, "words": words}


def _rank(answer: RankedHits) -> str:
    return next((str(rank) for rank, found in enumerate(answer.found, start=1) if found), f"below {len(answer.found)}")


def _short(place: str) -> str:
    source, hash_sign, fragment = place.rpartition("#")
    return Path(source).name + hash_sign + fragment if source else Path(place).name
