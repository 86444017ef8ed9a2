"""Templates to pages. Every value is escaped; what may stay markup is made here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from vlm2vec_rag.serve import markdown, present
from vlm2vec_rag.serve.marks import box, marked

if TYPE_CHECKING:
    from jinja2 import Environment

    from vlm2vec_rag.serve.served import Conversation, Served, Spoken

HERE = Path(__file__).parent
STATIC = HERE / "static"
MOST_TEXT_CHARS = 20_000  # of a page's text below its image


@cache
def environment() -> Environment:
    """The templates, with what they may call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(address=present.address, asset=asset, marked=marked, box=box, kind_names=present.KIND_NAMES)
    made.filters.update(
        clock=present.clock,
        day=present.day,
        counted=present.counted,
        name_of=present.name_of,
        is_here=present.is_here,
        wbr=breakable,
    )
    return made


def render(template: str, **values: Any) -> str:
    """A template with its values."""
    return environment().get_template(template).render(**values)


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the file, so that browsers may keep it."""
    import hashlib

    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


def breakable(name: str) -> Markup:
    """A file name that may break after its separators, and nowhere inside a word."""
    return Markup(re.sub(r"([_\-.])(?=[^_\-.]{3})", r"\1<wbr>", str(escape(name))))  # noqa: S704  escaped before


def answer_html(served: Served, conversation: Conversation, spoken: Spoken) -> Markup:
    """An answer with its citations as links that open what they point at, beside the conversation."""

    def link(number: int, words: str) -> str:
        if not 1 <= number <= len(spoken.hits):
            return ""
        return present.address(
            "/ask",
            collection=served.name,
            conversation=conversation.id,
            open=spoken.hits[number - 1].id,
            quote=words[-300:],
        )

    return Markup(markdown.render(spoken.text, link))  # noqa: S704  rendered without raw HTML


def cited(spoken: Spoken) -> list[int]:
    """The numbers that an answer points at; while none is written yet, of everything that was found."""
    from vlm2vec_rag.chat.citations import cited_numbers

    numbers = [each for each in cited_numbers(spoken.text) if each <= len(spoken.hits)]
    return numbers or (list(range(1, len(spoken.hits) + 1)) if spoken.state == "writing" else [])


def turn_html(served: Served, conversation: Conversation, spoken: Spoken) -> str:
    """One question and its answer, with the evidence beside it."""
    return render("_turn.html", **turn_values(served, conversation, spoken))


def turn_values(served: Served, conversation: Conversation, spoken: Spoken) -> Mapping[str, Any]:
    """What the template of a turn needs."""
    cards = [present.card(hit, spoken.question, has_encoder=False) for hit in spoken.hits]
    return {
        "served": served,
        "conversation": conversation,
        "spoken": spoken,
        "answer": answer_html(served, conversation, spoken),
        "evidence": [(number, cards[number - 1]) for number in cited(spoken)],
    }
