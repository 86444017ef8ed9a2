"""Hits, sources and jobs in the words and pieces that pages and the API show. Nothing here is markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from vlm2vec_rag.serve.jobs import Job
from vlm2vec_rag.serve.marks import marked

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Source
    from vlm2vec_rag.items import Hit

SNIPPET_CHARS = 180
KIND_NAMES = {"page": "Pages", "image": "Images", "clip": "Clips", "text": "Texts"}


@dataclass(frozen=True, slots=True)
class Card:
    """A hit as a card shows it."""

    id: str
    kind: str
    name: str
    where: str  # "page 12", "1:23 – 1:37"
    printed: str  # the number on the page, where it is another
    title: str
    snippet: list[tuple[str, bool]]
    found_by: str  # "words", "sight", "both", or nothing where only one is there to find by
    has_image: bool
    has_file: bool


def card(hit: Hit, question: str = "", *, has_encoder: bool = True) -> Card:
    """A hit as a card shows it, the words of the question marked in its snippet."""
    return Card(
        id=hit.id,
        kind=hit.kind,
        name=name_of(hit.source),
        where=where(hit),
        printed=hit.label if hit.label not in ("", str(hit.page)) else "",
        title=hit.title,
        snippet=marked(hit.snippet(SNIPPET_CHARS, question), question),
        found_by=found_by(hit) if has_encoder else "",
        has_image=hit.thumbnail is not None or hit.kind in ("page", "image"),
        has_file=not hit.source.startswith("document:"),
    )


def name_of(source: str) -> str:
    """A source by its name alone: where it is on this machine is nobody's business."""
    return source.rpartition("/")[2] or source


def where(hit: Hit) -> str:
    """Where in its file a hit is: `page 12`, `1:23 – 1:37`; nothing for an image or a text."""
    if hit.kind == "page":
        return f"page {hit.page}"
    return f"{clock(hit.start_s or 0)} – {clock(hit.end_s or 0)}" if hit.kind == "clip" else ""


def place(hit: Hit) -> str:
    """Name and fragment: `report.pdf#page=12`, without folders."""
    fragment = hit.place.rpartition("#")[2] if "#" in hit.place else ""
    return f"{name_of(hit.source)}#{fragment}" if fragment else name_of(hit.source)


def found_by(hit: Hit) -> str:
    """Which side of the search found a hit: its words, its looks, or both."""
    by_sight, by_words = hit.dense_score is not None, hit.bm25_score is not None
    return "both" if by_sight and by_words else "words" if by_words else "sight" if by_sight else ""


def clock(time_s: float) -> str:
    """Seconds as a player shows them: 1:23, 1:02:03."""
    minutes, rest = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def day(time: datetime | None) -> str:
    """A date as a table shows it, in this machine's time."""
    return time.astimezone().strftime("%Y-%m-%d") if time else ""


def counted(count: int, noun: str) -> str:
    """`1 page`, `12 pages`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def address(path: str, **parameters: Any) -> str:
    """A path of this server with those parameters that say something; lists are repeated."""
    pairs = []
    for name, value in parameters.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if each not in (None, "", False):
                pairs.append((name, str(each)))
    return path + ("?" + urlencode(pairs, quote_via=quote) if pairs else "")


def hit_json(hit: Hit, source_id: str, collection: str, question: str = "") -> dict[str, Any]:
    """A hit as the API gives it: named by ids, its pixels behind links."""
    links = {"page": address("/search", collection=collection, open=hit.id)}
    if hit.kind in ("page", "image"):
        links["image"] = address(f"/items/{quote(hit.id, safe='')}/image", collection=collection)
    if hit.kind == "clip":
        links["video"] = address(f"/items/{quote(hit.id, safe='')}/file", collection=collection)
    if hit.thumbnail is not None:
        links["thumbnail"] = address(f"/items/{quote(hit.id, safe='')}/thumbnail", collection=collection)
    return {
        "id": hit.id,
        "kind": hit.kind,
        "source": {"id": source_id, "name": name_of(hit.source)},
        "place": place(hit),
        "page": hit.page,
        "label": hit.label,
        "start_s": hit.start_s,
        "end_s": hit.end_s,
        "title": hit.title,
        "text": hit.text,
        "snippet": hit.snippet(SNIPPET_CHARS, question),
        "score": hit.score,
        "dense_score": hit.dense_score,
        "bm25_score": hit.bm25_score,
        "found_by": found_by(hit),
        "links": links,
    }


def source_json(source_id: str, source: Source) -> dict[str, Any]:
    """A source as the API gives it."""
    return {
        "id": source_id,
        "name": name_of(source.source),
        "kind": source.kind,
        "items": source.points,
        "is_complete": source.is_complete,
        "modified_at": source.modified_at.isoformat() if source.modified_at else None,
        "indexed_at": source.indexed_at.isoformat() if source.indexed_at else None,
    }


def job_json(job: Job) -> dict[str, Any]:
    """A job as the API gives it."""
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "message": job.message,
        "share": job.share,
        "left_s": job.left_s,
        "seconds": job.seconds,
        "files_done": job.files_done,
        "files_failed": job.files_failed,
        "files_planned": job.files_planned,
        "items_done": job.items,
        "items_planned": job.items_planned,
        "is_silent": job.is_silent,
        "files": [{"name": each.name, "state": each.state, "error": each.error} for each in job.files.values()],
    }


def is_here(source: str) -> bool:
    """Whether a source is a file that is still there."""
    return Path(source).is_file()
