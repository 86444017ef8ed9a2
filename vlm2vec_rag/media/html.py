"""Web pages as Markdown: their headings, paragraphs, lists and tables, without scripts, navigation and images.

Nothing is rendered, run or fetched: the markup is parsed with Beautiful Soup and written out with markdownify.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from vlm2vec_rag.media.decode import Decoded, decode

_NO_TEXT = ("script", "style", "noscript", "template", "svg", "iframe", "object", "form", "button")
_NOT_ITS_OWN = ("nav", "footer", "aside")  # of the site, not of the page
_UNMARKED = ("a", "img", "b", "strong", "i", "em")  # their words stay, their marks go
_DECLARED = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
# the converter takes the square of the number of blanks that follow one another
_MANY_BLANKS = re.compile(r"[ \t]{100,}")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def decode_html(data: bytes) -> Decoded:
    """The source of a web page; the encoding that it declares goes before a guess."""
    decoded = decode(data)
    declared = _DECLARED.search(data, 0, 4096)
    if declared is None or decoded.encoding.startswith("utf"):
        return decoded
    try:
        return Decoded(data.decode(declared[1].decode("ascii")), declared[1].decode("ascii").lower())
    except (LookupError, UnicodeDecodeError):
        return decoded


def html_to_markdown(source: str) -> tuple[str, str]:
    """(title, Markdown) of a web page: of its main part where it marks one, else of all of it."""
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XHTML may be read as HTML; a page may look like an address
        soup = BeautifulSoup(_MANY_BLANKS.sub(" " * 100, source), "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    for element in soup(["title", *_NO_TEXT, *_NOT_ITS_OWN]):
        element.decompose()
    body: Any = soup.find("main") or _only(soup, "article") or soup.body or soup
    try:
        markdown = _converter().convert_soup(body)
    except RecursionError:  # thousands of elements in one another
        markdown = body.get_text("\n")
    return title, _BLANK_LINES.sub("\n\n", markdown).strip() + "\n"


def _only(soup: Any, name: str) -> Any:
    found = soup.find_all(name, limit=2)
    return found[0] if len(found) == 1 else None


def _converter() -> Any:
    from markdownify import MarkdownConverter

    return MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        strip=list(_UNMARKED),
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
    )
