"""The Search tab: a question of words, an image or a clip; filters; a gallery of hits; one hit large."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm2vec_rag.collection import Filter
from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.items import KINDS, Hit, Query
from vlm2vec_rag.library.asking import span
from vlm2vec_rag.web.pages import clock, hit_html

if TYPE_CHECKING:
    from vlm2vec_rag.web.library import Library

HINT = "<p style='opacity:.7'>Choose a hit to open it here.</p>"


def build(library: Library) -> None:
    """Draw the tab."""
    has_encoder = library.encoder is not None
    found = gr.State([])
    with gr.Row(equal_height=True):
        words = gr.Textbox(
            "", label="Question", placeholder="What do you look for?", scale=5, elem_id="question", autofocus=True
        )
        button = gr.Button("Search", variant="primary", scale=1, min_width=120, elem_id="search")
    with gr.Accordion("Filters" + (", image or clip as the question" if has_encoder else ""), open=False):
        with gr.Row():
            kinds = gr.CheckboxGroup(list(KINDS), label="Kinds", min_width=220)
            sources = gr.Textbox("", label="Files", placeholder="report.pdf, *.mp4", min_width=160)
            pages = gr.Textbox("", label="Pages", placeholder="12 or 3-9", min_width=120)
            since = gr.Textbox("", label="Written since", placeholder="2026-01-31", min_width=120)
            until = gr.Textbox("", label="Written until", placeholder="2026-12-31", min_width=120)
            mode = gr.Radio(
                ["hybrid", "dense", "bm25"] if has_encoder else ["bm25"],
                value="hybrid" if has_encoder else "bm25",
                label="Search by",
                min_width=200,
            )
            limit = gr.Slider(4, 48, value=12, step=4, label="Hits", min_width=160)
        with gr.Row(visible=has_encoder):
            image = gr.File(label="Ask with an image", type="filepath", file_types=["image"], height=110)
            clip = gr.File(label="Ask with a clip", type="filepath", file_types=["video"], height=110)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            status = gr.Markdown(elem_id="status")
            gallery = gr.Gallery(
                label="Hits",
                show_label=False,
                columns=3,
                allow_preview=False,
                object_fit="contain",
                elem_id="hits",
                interactive=False,
                buttons=[],
            )
        with gr.Column(scale=4, min_width=320):
            opened = gr.HTML(HINT, elem_id="opened")

    def run(
        words: str,
        kinds: list[str],
        sources: str,
        pages: str,
        since: str,
        until: str,
        mode: Any,
        limit: int,
        image: str | None,
        clip: str | None,
    ) -> tuple[list[Hit], list[tuple[Any, str]], str, str]:
        try:
            wanted = build_filter(kinds, sources, pages, since, until)
            query = build_query(library, words, image, clip)
            hits = library.search(query, mode=mode, limit=int(limit), filter=wanted)
        except VlmRagError as error:
            gr.Warning(str(error), title="Not searched")
            return [], [], f"⚠ {plain(str(error))}", HINT
        entries = [(card(hit), caption(hit)) for hit in hits]
        status = f"{len(hits)} hits" if hits else "Nothing found. Ask with other words, or loosen the filters."
        return hits, entries, status, HINT

    def open_hit(hits: list[Hit], words: str, event: gr.SelectData) -> str:
        return hit_html(hits[event.index], words) if 0 <= event.index < len(hits) else HINT

    inputs = [words, kinds, sources, pages, since, until, mode, limit, image, clip]
    gr.on([words.submit, button.click], run, inputs, [found, gallery, status, opened], api_visibility="private")
    opening = gallery.select(open_hit, [found, words], opened, api_visibility="private")
    # on a phone the opened hit stands below the gallery
    opening.then(
        None, js="() => document.getElementById('opened').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
    )


def build_query(library: Library, words: str, image: str | None, clip: str | None) -> Query:
    """The question, its pixels read in the guarded way."""
    if image and clip:
        raise InvalidInput("both an image and a clip are given; the model takes one of them")
    if image:
        return Query(text=words, image=library.reader.image(image).image)
    if clip:
        duration_s = library.reader.probe(clip).duration_s or 0.0
        return Query(text=words, frames=library.reader.clip(clip, 0.0, duration_s).frames)
    return Query(text=words)


def build_filter(kinds: list[str], sources: str, pages: str, since: str, until: str) -> Filter | None:
    """The filters as given; None where all are empty."""
    patterns = [each.strip() for each in sources.split(",") if each.strip()]
    ends = span(pages, "Pages") if pages.strip() else None
    if not (kinds or patterns or ends or since.strip() or until.strip()):
        return None
    before = _day(until)
    return Filter(
        kinds=tuple(kinds),  # type: ignore[arg-type]  # the filter checks them
        sources=[each if each.startswith(("*", "/")) else f"*/{each}" for each in patterns],
        pages=None if ends is None else tuple(None if end is None else int(end) for end in ends),  # type: ignore[arg-type]
        modified_after=_day(since),
        modified_before=before + timedelta(days=1) if before else None,  # the day itself is meant as well
    )


def caption(hit: Hit) -> str:
    """Score and place, short enough for a card."""
    return f"{where(hit)} · {hit.score:.3f}"


def where(hit: Hit) -> str:
    """File and page or time, without folders: `report.pdf p. 12`, `talk.mp4 1:23–1:37`."""
    name = hit.source.rpartition("/")[2]
    part = {"page": f"p. {hit.page}", "clip": f"{clock(hit.start_s or 0)}–{clock(hit.end_s or 0)}"}.get(hit.kind, "")
    return f"{name} {part}".strip()


def card(hit: Hit) -> Any:
    """The small image of a hit; for a text, its first words on a card."""
    if hit.thumbnail:
        return hit.thumbnail
    from textwrap import wrap

    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (360, 270), "#f4f4f8")
    lines = wrap(hit.snippet(240) or hit.title or hit.kind, 34)[:9]
    ImageDraw.Draw(image).multiline_text(
        (18, 18), "\n".join(lines), fill="#222233", font=ImageFont.load_default(17), spacing=7
    )
    return image


def plain(text: str) -> str:
    """Text that Markdown and HTML leave alone."""
    return "".join(f"&#{ord(character)};" if character in "<>&*_`[]()!#|~\\$" else character for character in text)


def _day(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no date; expected for example 2026-01-31") from error
