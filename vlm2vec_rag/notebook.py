"""What a notebook shows of a hit, an answer, a report and a library. All of it is escaped: pages say what they like."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vlm2vec_rag.chat import Answer
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.library import IndexReport, Library

_CARD = "display:flex;gap:12px;align-items:flex-start;margin:6px 0;max-width:56rem"
_IMAGE = "width:120px;max-height:150px;object-fit:contain;border:1px solid #8884;border-radius:4px"


def hit_card(hit: Hit) -> str:
    """A hit with its thumbnail, where one is kept, its place and its snippet."""
    return (
        f'<div style="{_CARD}">{_thumbnail(hit)}<div><b>{escape(Path(hit.source).name)}</b>'
        f"{escape(hit.place[len(hit.source) :])}<br><small>{escape(hit.snippet(240) or hit.title)}</small></div></div>"
    )


def hit_cards(hits: Iterable[Hit]) -> str:
    """Hits one below the other."""
    return "".join(hit_card(hit) for hit in hits) or "<i>nothing found</i>"


def answer_card(answer: Answer) -> str:
    """An answer and the places it points at."""
    cited = "".join(
        f"<div><small>[{each.number}]</small> {hit_card(each.hit)}</div>"
        for each in sorted(answer.citations, key=lambda each: each.number)
    )
    return f'<div style="white-space:pre-wrap;max-width:56rem">{escape(answer.text)}</div>{cited}'


def report_table(report: IndexReport) -> str:
    """What an indexing run did, each failed file with its reason."""
    rows = {"files indexed": report.indexed, "unchanged": report.unchanged, "items": report.items}
    cells = "".join(f"<tr><th style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    failures = "".join(f"<li>{escape(each.source)}: {escape(each.reason)}</li>" for each in report.failures)
    return f"<table>{cells}</table>" + (f"<b>failed</b><ul>{failures}</ul>" if failures else "")


def library_card(library: Library) -> str:
    """Where a library is, its model, and how much it holds."""
    return (
        f"<b>{escape(library.name)}</b> at {escape(library.place)}<br>"
        f"<small>{escape(str(library.model or 'words only'))}, {library.collection.count()} items</small>"
    )


def _thumbnail(hit: Hit) -> str:
    if hit.thumbnail is None:
        return ""
    try:
        data = base64.b64encode(Path(hit.thumbnail).read_bytes()).decode()
    except OSError:  # a thumbnail may go at any time
        return ""
    return f'<img alt="{escape(hit.kind)}" style="{_IMAGE}" src="data:image/jpeg;base64,{data}">'
