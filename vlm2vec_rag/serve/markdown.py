"""A model's Markdown as HTML that cannot hurt: no raw HTML, no images, no links but its citations.

What a model writes may have been dictated by a file it read. So nothing in it becomes a tag except the few that
Markdown itself makes, and an address in it stays text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from vlm2vec_rag.chat.citations import replace_citations

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FENCE = "\ue000"  # a private character: it stands around a citation's number while the text is rendered


def render(text: str, link: Callable[[int, str], str]) -> str:
    """Markdown as HTML.

    Args:
        text: As a model wrote it.
        link: The address that a citation opens: its number, and the words before it that it supports.

    Returns:
        HTML whose only links are `link`'s.
    """
    tokens = _parser().parse(text.replace(_FENCE, ""))
    for token in tokens:
        if token.type == "inline" and token.children:
            _cite(token.children, link)
    return str(_parser().renderer.render(tokens, _parser().options, {}))


def _cite(children: list[Token], link: Callable[[int, str], str]) -> None:
    """Turn the citations in the text of a paragraph into links, in place."""
    from markdown_it.token import Token

    before = ""
    made: list[Token] = []
    for child in children:
        if child.type != "text":
            before += " " if child.type.endswith("break") else child.content
            made.append(child)
            continue
        pieces = replace_citations(child.content, lambda number: f"{_FENCE}{number}{_FENCE}").split(_FENCE)
        for index, piece in enumerate(pieces):
            if index % 2:
                html = Token("html_inline", "", 0)
                address = link(int(piece), _last_sentence(before))
                html.content = (
                    f'<a class="cite" href="{escape(address)}" data-n="{int(piece)}" '
                    f'aria-label="Evidence {int(piece)}">{int(piece)}</a>'
                    if address
                    else ""
                )
                made.append(html)
            elif piece:
                words = Token("text", "", 0)
                words.content = piece
                before += piece
                made.append(words)
    children[:] = made


def _last_sentence(text: str) -> str:
    """The sentence, or the quotation, that a citation at the end of a text stands behind."""
    text = " ".join(text.split()).rstrip()
    if text.endswith(("”", '"')) and (start := max(text.rfind("“"), text[:-1].rfind('"'))) >= 0:
        return text[start + 1 : -1]
    body = text.rstrip(".!?")
    return text[max(body.rfind(". "), body.rfind("! "), body.rfind("? ")) + 1 :].strip()


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    # what would make a tag, a load or a way out of a text; an address stays what it is: words
    return parser.disable(["html_block", "html_inline", "image", "link", "autolink", "reference", "entity"])
