"""The Chat tab: streamed answers whose citations open the page or the clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm2vec_rag.chat import Chat, Turn
from vlm2vec_rag.chat.citations import replace_citations
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.items import Hit
from vlm2vec_rag.web.pages import view_address
from vlm2vec_rag.web.search_tab import plain, where

if TYPE_CHECKING:
    from vlm2vec_rag.web.library import Library


def build(library: Library) -> None:
    """Draw the tab."""
    model = library.chat_model
    who = f"Answers by {plain(model.name)}." if model else "No chat model: answers are quotations of what was found."
    gr.Markdown(who)
    turns = gr.State([])
    conversation = gr.Chatbot(
        show_label=False,
        height="62vh",
        elem_id="conversation",
        feedback_options=None,
        buttons=[],
        allow_file_downloads=False,
        placeholder="Ask about what is in the collection.",
    )
    with gr.Row():
        words = gr.Textbox(
            "", show_label=False, placeholder="Ask a question, then a follow-up", scale=6, elem_id="chat-question"
        )
        send = gr.Button("Ask", variant="primary", scale=1, min_width=100, elem_id="chat-ask")
        clear = gr.Button("New", scale=1, min_width=80)

    def answer(
        question: str, shown: list[dict[str, Any]], turns: list[Turn]
    ) -> Iterator[tuple[str, list[dict[str, Any]], list[Turn]]]:
        if not question.strip():
            gr.Warning("The question is empty; ask with words.")
            yield "", shown, turns
            return
        shown = [*shown, {"role": "user", "content": plain(question)}]
        chat = Chat(library.retriever, model, reader=library.reader)
        chat.turns = list(turns)
        text = ""
        try:
            yield "", [*shown, _said("…")], turns
            reply = chat.stream(question)
            for piece in reply:
                text += piece
                yield "", [*shown, _said(written(text, reply.hits, question))], turns
            done = reply.answer
            body = written(done.text, done.hits, question) + evidence([each.hit for each in done.citations], question)
            yield "", [*shown, _said(body)], chat.turns
        except VlmRagError as error:
            yield "", [*shown, _said(f"{plain(text)}\n\n⚠ {plain(str(error))}")], turns

    inputs, outputs = [words, conversation, turns], [words, conversation, turns]
    gr.on([words.submit, send.click], answer, inputs, outputs, api_visibility="private")
    clear.click(lambda: ("", [], []), None, outputs, api_visibility="private")


def written(text: str, hits: Sequence[Hit], question: str) -> str:
    """An answer as Markdown: its own words as plain text, its citations as links to what they point at."""
    links: list[str] = []

    def link(number: int) -> str:
        links.append(f"[[{number}]]({view_address(hits[number - 1].id, question)})")
        return f"\0{len(links) - 1}\0"

    pieces = plain(replace_citations(text.replace("\0", ""), link)).split("\0")
    return "".join(links[int(piece)] if index % 2 else piece for index, piece in enumerate(pieces))


def evidence(hits: Sequence[Hit], question: str) -> str:
    """The cited places, one a line, each a link."""
    lines = [f"- [{plain(where(hit))}]({view_address(hit.id, question)})" for hit in hits]
    return "\n\n" + "\n".join(lines) if lines else ""


def _said(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}
