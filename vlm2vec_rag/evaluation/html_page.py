"""The frame of the HTML reports: one self-contained file, light or dark as the reader's system is.

Everything that comes from outside (page text, questions, names of files) goes through `text`, for it is not to be
trusted: a page may say `<script>`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_STYLE = """
:root { color-scheme: light dark; --fg: #1c1f24; --soft: #626a75; --bg: #fbfbfa; --card: #fff; --line: #e3e5e8;
  --accent: #2563c9; --good: #15803d; --bad: #b42318; --bar: #c9d8f2; }
@media (prefers-color-scheme: dark) { :root { --fg: #e7e9ec; --soft: #9aa3ae; --bg: #14161a; --card: #1c1f25;
  --line: #31363e; --accent: #7fb0ff; --good: #6fcf8f; --bad: #ff8a7a; --bar: #2c4570; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.25rem 4rem; background: var(--bg); color: var(--fg);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.75rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
.soft { color: var(--soft); } .lead { margin: 0 0 1.5rem; color: var(--soft); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { padding: .45rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.own { font-weight: 650; } tr.mean td { font-weight: 650; border-top: 2px solid var(--line); }
.bar { min-width: 6.5rem; background: linear-gradient(to right, var(--bar) var(--w), transparent var(--w)); }
.good { color: var(--good); } .bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem; margin: 1.25rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem;
  margin: 1rem 0; }
.card h3 { margin: 0 0 .6rem; font-size: 1.02rem; overflow-wrap: anywhere; }
.shots { display: flex; gap: .9rem; overflow-x: auto; padding-bottom: .3rem; }
figure { margin: 0; width: 11.5rem; flex: none; } figure img { width: 100%;
  max-height: 16rem; object-fit: contain; border-radius: 6px; background: #fff;
  border: 2px solid var(--line); display: block; } figure.right img { border-color: var(--good); }
figcaption { font-size: .78rem; color: var(--soft); overflow-wrap: anywhere; margin-top: .3rem; }
.blank { border: 2px dashed var(--line); border-radius: 6px; padding: .8rem; font-size: .78rem; color: var(--soft);
  max-height: 14rem; overflow: hidden; } figure.right .blank { border-color: var(--good); }
.chart svg { width: 100%; height: auto; } code { font-size: .85em; } footer { margin-top: 3rem; color: var(--soft);
  font-size: .85rem; }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A complete document; `body` is markup."""
    # no script may run and nothing may be fetched, whatever a page of a document holds
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def text(value: object) -> str:
    """Any value as text that cannot be taken for markup."""
    return html.escape(str(value), quote=True)


def table(header: Iterable[str], rows: Iterable[str]) -> str:
    """A table that scrolls by itself where it is too wide; `header` and `rows` are markup."""
    return (
        f'<div class="scroll"><table><thead><tr>{"".join(header)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def percent_cell(value: float | None, *, is_own: bool = False) -> str:
    """A score in percent as a table cell with a bar behind it."""
    if value is None:
        return '<td class="n soft">–</td>'
    return f'<td class="n bar{" own" if is_own else ""}" style="--w:{min(max(value, 0), 100):.1f}%">{value:.1f}</td>'


def tile(label: str, value: str, note: str = "") -> str:
    """A number that is read at a glance."""
    soft, strong, below = f'<span class="soft">{text(label)}</span>', f"<b>{text(value)}</b>", text(note)
    return f'<div class="tile">{soft}{strong}<span class="soft">{below}</span></div>'


def image_tag(image: PILImage, *, width_px: int = 360) -> str:
    """An image inside the page, reduced to what is shown."""
    small = image.convert("RGB")
    small.thumbnail((width_px, width_px * 2))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def write(path: Path, document: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document, encoding="utf-8")
    return path
