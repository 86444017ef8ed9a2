"""The app's own HTML: a hit opened large. Everything from files is text here, escaped, never markup."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

from vlm2vec_rag.excerpts import stems
from vlm2vec_rag.items import Hit, seconds

MOST_CHARS = 6000

STYLE = """
.hit { font-family: system-ui, sans-serif; line-height: 1.5; max-width: 60rem; margin: 0 auto; }
.hit img, .hit video { width: 100%; max-height: 80vh; object-fit: contain; border-radius: 8px; background: #8881; }
.hit h2 { font-size: 1.05rem; margin: .2rem 0 .8rem; overflow-wrap: anywhere; }
.hit pre { white-space: pre-wrap; overflow-wrap: anywhere; font-family: inherit; opacity: .85; }
.hit mark { background: #ffd600; color: #000; padding: 0 .1em; border-radius: 2px; }
.hit small { opacity: .7; }
"""


def hit_html(hit: Hit, question: str = "") -> str:
    """One hit: its page with the words marked, its image, or its clip from its second; and its text below."""
    name = escape(Path(hit.source).name)
    where = {
        "page": f"page {hit.page}"
        + (f" (printed {escape(hit.label)})" if hit.label not in ("", str(hit.page)) else ""),
        "clip": f"{clock(hit.start_s or 0)} – {clock(hit.end_s or 0)}",
    }.get(hit.kind, "")
    title = f"<small>{escape(hit.title)}</small>" if hit.title else ""
    text = f"<pre>{marked(hit.text[:MOST_CHARS], question)}</pre>" if hit.text else ""
    return (
        f'<article class="hit" data-place="{escape(hit.place)}"><h2>{name} {where} {title}</h2>'
        f"{_pixels(hit, question)}{text}</article>"
    )


def page_html(hit: Hit, question: str = "") -> str:
    """A whole document that shows one hit: what a citation opens."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(Path(hit.place).name)}</title><style>body {{ margin: 1rem; }} {STYLE}</style>"
        f"<body>{hit_html(hit, question)}</body></html>"
    )


def view_address(point_id: str, question: str = "") -> str:
    """Where a hit opens, as an address within the app."""
    return f"/view/{quote(point_id)}" + (f"?q={quote(question)}" if question else "")


def marked(text: str, question: str) -> str:
    """A text with the question's words marked, escaped word by word."""
    wanted = stems(question)
    pieces = []
    for line in text.splitlines():
        words = [f"<mark>{escape(word)}</mark>" if wanted & stems(word) else escape(word) for word in line.split(" ")]
        pieces.append(" ".join(words))
    return "\n".join(pieces)


def clock(time_s: float) -> str:
    """Seconds as a player shows them: 1:23, 1:02:03."""
    minutes, rest = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _pixels(hit: Hit, question: str) -> str:
    address = f"/hit/{quote(hit.id)}"
    if hit.kind == "clip":
        span = f"#t={seconds(hit.start_s or 0)},{seconds(hit.end_s or 0)}"
        return f'<video controls autoplay muted playsinline preload="metadata" src="{address}/video{span}"></video>'
    if hit.kind in ("page", "image"):
        words = f"?q={quote(question)}" if question and hit.kind == "page" else ""
        return f'<img alt="{escape(hit.place)}" src="{address}/image{words}">'
    return ""
