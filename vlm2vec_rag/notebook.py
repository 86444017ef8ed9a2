"""The HTML that notebooks show of hits, answers, reports and libraries. All that comes in is escaped here.

Plain values in, markup out: what is shown of which object, the objects say themselves.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

_CARD = "display:flex;gap:12px;align-items:flex-start;margin:6px 0;max-width:56rem"
_IMAGE = "width:120px;max-height:150px;object-fit:contain;border:1px solid #8884;border-radius:4px"


def card(name: str, where: str, words: str, thumbnail: str | None = None) -> str:
    """A small image beside a name in bold, where in it, and some words."""
    return (
        f'<div style="{_CARD}">{_image(thumbnail)}<div><b>{escape(name)}</b>{escape(where)}<br>'
        f"<small>{escape(words)}</small></div></div>"
    )


def prose(text: str, below: Iterable[str] = ()) -> str:
    """Text with its line breaks, and markup of this module below it."""
    return f'<div style="white-space:pre-wrap;max-width:56rem">{escape(text)}</div>{"".join(below)}'


def table(rows: Mapping[str, object], problems: Iterable[str] = ()) -> str:
    """Names and values, and a list of what went wrong."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    items = "".join(f"<li>{escape(each)}</li>" for each in problems)
    return f"<table>{cells}</table>" + (f"<b>failed</b><ul>{items}</ul>" if items else "")


def _image(path: str | None) -> str:
    if path is None:
        return ""
    try:
        data = base64.b64encode(Path(path).read_bytes()).decode()
    except OSError:  # a thumbnail may go at any time
        return ""
    return f'<img alt="" style="{_IMAGE}" src="data:image/jpeg;base64,{data}">'
