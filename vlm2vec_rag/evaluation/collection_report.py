"""How a collection answers one's questions, as a page: ways of searching compared, and the failures as images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.evaluation import html_page as page
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
    body = [
        f"<h1>Search in {page.text(result.name)}</h1>",
        f'<p class="lead">{len(result.queries)} questions'
        + (f", {len(result.left_out)} left out" if result.left_out else "")
        + f" · {page.text(', '.join(result.modes))}</p>",
        _tiles(result),
        "<h2>Ways of searching</h2>",
        _comparison(result),
        _differences(result),
        f"<h2>Failures of {page.text(best)}: {len(failures)} of {len(result.queries)} first hits are wrong</h2>",
        *(_failure(result, index, best, reader) for index in failures[:FAILURES_SHOWN]),
    ]
    if len(failures) > FAILURES_SHOWN:
        body.append(
            f'<p class="soft">The {FAILURES_SHOWN} worst are shown; all answers are in the JSON beside this.</p>'
        )
    if result.left_out:
        lines = "".join(f"<li>{page.text(line)}</li>" for line in result.left_out[:FAILURES_SHOWN])
        body += ["<h2>Left out</h2>", f'<ul class="soft">{lines}</ul>']
    body.append("<footer>Intervals: 95 % bootstrap over questions. Made by vlm2vec-rag.</footer>")
    return page.write(path, page.page(f"Search in {result.name}", body))


def _tiles(result: CollectionResult) -> str:
    best = result.modes[0]
    tiles = []
    for metric, label in (("hit@1", "First hit right"), ("hit@5", "Right in five"), ("ndcg@10", "NDCG@10")):
        interval = result.interval(best, metric)
        note = f"{100 * interval.low:.0f} to {100 * interval.high:.0f} (95 %)"
        tiles.append(page.tile(label, f"{100 * interval.mean:.1f} %", note))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _comparison(result: CollectionResult) -> str:
    header = ["<th>Mode</th>", "<th>Looks at</th>", *(f'<th class="n">{metric}</th>' for metric in METRICS)]
    rows = []
    for mode in result.modes:
        cells = []
        for metric in METRICS:
            interval = result.interval(mode, metric)
            spread = f'<div class="soft">{100 * interval.low:.1f}–{100 * interval.high:.1f}</div>'
            cells.append(
                f'<td class="n bar" style="--w:{100 * interval.mean:.1f}%">{100 * interval.mean:.1f}{spread}</td>'
            )
        rows.append(f'<tr><td>{mode}</td><td class="soft">{_WORDS[mode]}</td>{"".join(cells)}</tr>')
    return page.table(header, rows)


def _differences(result: CollectionResult) -> str:
    lines = []
    first = result.modes[0]
    for other in result.modes[1:]:
        apart = result.difference(first, other, "ndcg@10")
        is_sure = apart.low > 0 or apart.high < 0
        verdict = ("better" if apart.mean > 0 else "worse") if is_sure else "not told apart by these questions"
        kind = {"better": "good", "worse": "bad"}.get(verdict, "soft")
        lines.append(
            f"<li>{first} against {other}: NDCG@10 {100 * apart.mean:+.1f} "
            f'({100 * apart.low:+.1f} to {100 * apart.high:+.1f}), <span class="{kind}">{verdict}</span></li>'
        )
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _failure(result: CollectionResult, index: int, mode: Mode, reader: MediaReader | None) -> str:
    query, answer = result.queries[index], result.answers[mode][index]
    figures = [_expected(place, answer, result, index, reader) for place in list(query.relevant)[:2]]
    for rank, (hit, found) in enumerate(zip(answer.hits, answer.found, strict=True), start=1):
        if rank <= HITS_SHOWN:
            figures.append(_figure(hit, f"{rank}. {_short(hit.place)}", is_right=bool(found), reader=reader))
    ranks = ", ".join(f"{each}: {_rank(result.answers[each][index])}" for each in result.modes)
    lead = f'<h3>{page.text(query.question)}</h3><p class="soft">right answer at rank ({page.text(ranks)})</p>'
    return f'<div class="card">{lead}<div class="shots">{"".join(figures)}</div></div>'


def _expected(place: str, answer: RankedHits, result: CollectionResult, index: int, reader: MediaReader | None) -> str:
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


def _figure(hit: Hit, caption: str, *, is_right: bool, reader: MediaReader | None) -> str:
    shown = f'<div class="blank">{page.text(hit.snippet(400) or hit.title or hit.kind)}</div>'
    if reader is not None and hit.kind != "text":
        try:
            images = images_of(hit, reader, max_pixels=_PIXELS)
            shown = page.image_tag(images[len(images) // 2]) if images else shown
        except VlmRagError as error:
            logger.info("no image of %s: %s", hit.place, error)
    return (
        f'<figure class="{"right" if is_right else ""}">{shown}<figcaption>{page.text(caption)}</figcaption></figure>'
    )


def _rank(answer: RankedHits) -> str:
    return next((str(rank) for rank, found in enumerate(answer.found, start=1) if found), f"below {len(answer.found)}")


def _short(place: str) -> str:
    source, hash_sign, fragment = place.rpartition("#")
    return Path(source).name + hash_sign + fragment if source else Path(place).name
