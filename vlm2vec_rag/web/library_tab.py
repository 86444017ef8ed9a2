"""The Library tab: upload files or fetch a video, watch them come in, see what is indexed, remove, index again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.media import SUPPORTED
from vlm2vec_rag.web.library import Step

if TYPE_CHECKING:
    from vlm2vec_rag.web.download import DownloadLimits
    from vlm2vec_rag.web.library import Library

HEADINGS = ["file", "kind", "items", "indexed"]


def build(library: Library, downloads: DownloadLimits | None) -> None:
    """Draw the tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            files = gr.File(
                label="Files: PDF, images, videos, text, subtitles",
                file_count="multiple",
                type="filepath",
                file_types=sorted({*SUPPORTED, ".srt", ".vtt"}),
                elem_id="upload",
                height=160,
            )
            add = gr.Button("Index these files", variant="primary", elem_id="index-files")
        with gr.Column(min_width=300):
            address = gr.Textbox("", label="Video address", placeholder="https://…", elem_id="address")
            fetch = gr.Button("Fetch and index", elem_id="fetch")
    progress = gr.HTML(elem_id="progress")
    table = gr.Dataframe(rows(library), headers=HEADINGS, interactive=False, wrap=True, elem_id="indexed")
    with gr.Row():
        chosen = gr.Dropdown(names(library), label="Files", multiselect=True, scale=4, elem_id="chosen")
        again = gr.Button("Index again", scale=1, min_width=110)
        remove = gr.Button("Remove", variant="stop", scale=1, min_width=110, elem_id="remove")

    def refreshed(status: str) -> tuple[str, list[list[str]], Any]:
        return status, rows(library), gr.update(choices=names(library), value=[])

    def watch(paths: Sequence[Path]) -> Iterator[tuple[str, Any, Any]]:
        try:
            for steps in library.index(paths):
                yield steps_html(steps), gr.skip(), gr.skip()
            yield refreshed(steps_html(steps))
        except VlmRagError as error:
            yield refreshed(f"<p>⚠ {escape(str(error))}</p>")

    def upload(files: list[str] | None) -> Iterator[tuple[str, Any, Any]]:
        if not files:
            gr.Warning("No files are chosen; drop some into the box first.")
            return
        kept = library.take_in(files)
        # subtitles are read with the video beside them
        yield from watch([path for path in kept if path.suffix.lower() in SUPPORTED] or kept)

    def download(address: str) -> Iterator[tuple[str, Any, Any]]:
        from vlm2vec_rag.web.download import DownloadLimits, download_video

        try:
            paths: list[Path] = []
            for message in download_video(address, library.uploads, downloads or DownloadLimits()):
                if isinstance(message, Path):
                    paths.append(message)
                else:
                    yield f"<p>{escape(message)}</p>", gr.skip(), gr.skip()
        except VlmRagError as error:
            yield refreshed(f"<p>⚠ {escape(str(error))}</p>")
            return
        yield from watch(paths)

    def take_out(chosen: list[str]) -> tuple[str, list[list[str]], Any]:
        library.remove(chosen)
        return refreshed(f"<p>{len(chosen)} removed</p>")

    outputs = [progress, table, chosen]
    add.click(upload, files, outputs, api_visibility="private")
    gr.on([fetch.click, address.submit], download, address, outputs, api_visibility="private")
    again.click(
        lambda chosen: (yield from watch([Path(each) for each in chosen])), chosen, outputs, api_visibility="private"
    )
    remove.click(take_out, chosen, outputs, api_visibility="private")


def rows(library: Library) -> list[list[str]]:
    """What is indexed, as the table shows it."""
    return [
        [
            Path(each.source).name,
            each.kind,
            f"{each.points}" if each.is_complete else f"{each.points} of {each.file_points}",
            each.indexed_at.astimezone().strftime("%Y-%m-%d %H:%M") if each.indexed_at else "",
        ]
        for each in library.sources().values()
    ]


def names(library: Library) -> list[tuple[str, str]]:
    """Name and source of every file, for choosing."""
    return [(Path(source).name, source) for source in library.sources()]


def steps_html(steps: Sequence[Step]) -> str:
    """Every file with how far it is."""
    signs = {"waiting": "⏳", "done": "✓"}
    lines = []
    for step in steps:
        reason = f" {escape(step.state)}" if step.is_error else ""
        lines.append(f"<li>{signs.get(step.state, '⚠')} <b>{escape(step.name)}</b>{reason}</li>")
    return f"<ul style='list-style:none;padding:0'>{''.join(lines)}</ul>"
