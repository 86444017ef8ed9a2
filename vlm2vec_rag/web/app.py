"""The three tabs, drawn with Gradio: Search, Chat, Library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm2vec_rag.web import chat_tab, library_tab, search_tab
from vlm2vec_rag.web.pages import STYLE

if TYPE_CHECKING:
    from vlm2vec_rag.web.download import DownloadLimits
    from vlm2vec_rag.web.library import Library

CSS = (
    STYLE
    + """
.gradio-container { max-width: 1200px !important; margin: 0 auto; }
#hits .grid-wrap { max-height: none; }
#hits img { object-fit: cover; object-position: top; }
#hits .caption-label { font-size: .72rem; line-height: 1.25; white-space: normal; overflow-wrap: anywhere; }
@media (max-width: 640px) { #hits .grid-container { grid-template-columns: repeat(2, 1fr) !important; } }
"""
)


def theme() -> Any:
    """Calm in light and dark; system fonts, so that nothing is fetched from elsewhere."""
    return gr.themes.Soft(
        primary_hue="indigo",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def ui(library: Library, downloads: DownloadLimits | None) -> Any:
    """All tabs over one library."""
    with gr.Blocks(title="vlm2vec-rag", analytics_enabled=False) as blocks:
        gr.Markdown("## vlm2vec-rag · find the page, the image, the second")
        with gr.Tabs():
            with gr.Tab("Search", id="search"):
                search_tab.build(library)
            with gr.Tab("Chat", id="chat"):
                chat_tab.build(library)
            with gr.Tab("Library", id="library"):
                library_tab.build(library, downloads)
    return blocks
