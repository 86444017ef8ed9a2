"""`ask`: a question to an answer with citations, once or in a conversation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli.console import complain, err, note, out, print_json, printable, short
from vlm2vec_rag.cli.options import FilterOptions, LibraryOptions, QuestionOptions, with_options
from vlm2vec_rag.errors import EmptyInput, VlmRagError
from vlm2vec_rag.interrupts import forgive

if TYPE_CHECKING:
    from vlm2vec_rag.chat import Answer, Chat
    from vlm2vec_rag.collection.filters import Filter
    from vlm2vec_rag.items import Query

HELP = "Ask on, or: /forget begins anew, /quit (or Ctrl-D) ends."

ChatOption = Annotated[
    str,
    typer.Option(
        "--chat",
        envvar="VLM2VEC_CHAT",
        help="Who answers: none (quotes), local (Qwen2-VL), or LangChain's provider:model, such as openai:gpt-4o.",
    ),
]


@with_options
def ask_command(
    which: LibraryOptions,
    asked: QuestionOptions,
    filters: FilterOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help="In words; none begins a conversation.", show_default=False),
    ] = None,
    chat: ChatOption = "none",
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Go on with follow-up questions.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Hits that become evidence.")] = 6,
    images: Annotated[int, typer.Option("--images", min=0, help="Images shown to the chat model at most.")] = 6,
    timeout: Annotated[float, typer.Option("--timeout", help="Longest silence of a chat model, in seconds.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an answer, for programs.")] = False,
) -> None:
    """Ask a collection: an answer with citations, from a chat model or made of quotations."""
    from vlm2vec_rag.chat import ChatSettings

    question = " ".join(words or ())
    talks = interactive or not (question.strip() or asked.image or asked.clip)
    if as_json and not question.strip():
        raise EmptyInput("--json answers a question that is given; there is none")
    wanted = filters.filter()
    # a model on this machine is slow at times, and never out of reach
    settings = ChatSettings(
        limit=limit, max_images=images, timeout_s=None if chat.split(":")[0] == "local" else timeout
    )
    with which.open() as library, library.chat(chat, mode=asked.mode, settings=settings) as session:  # type: ignore[arg-type]  # checked there
        if question.strip() or asked.image or asked.clip:
            query = library.query(question, image=asked.image, clip=asked.clip, anyway=asked.anyway)
            _one(session, query, wanted, asked.mode, as_json=as_json, goes_on=talks)
        if talks:
            _conversation(session, wanted, asked.mode, as_json=as_json)


def _conversation(session: Chat, wanted: Filter | None, mode: str, *, as_json: bool) -> None:
    """Questions from the terminal until it ends."""
    note(HELP)
    for line in _lines():
        match line.strip():
            case "":
                continue
            case "/quit" | "/exit":
                return
            case "/forget":
                session.forget()
                note("forgotten; the next question stands alone")
            case other if other.startswith("/"):
                note(f"no command {other.split()[0]}. {HELP}")
            case words:
                _one(session, words, wanted, mode, as_json=as_json, goes_on=True)


def _one(
    session: Chat, question: Query | str, wanted: Filter | None, mode: str, *, as_json: bool, goes_on: bool
) -> None:
    """One answer; in a conversation an error or Ctrl-C ends it and no more."""
    try:
        reply = session.stream(question, filter=wanted, mode=mode)  # type: ignore[arg-type]  # checked there
        if as_json:
            print_json(_as_dict(reply.answer))
            return
        if session.turns and reply.search_query != question:
            note(f"searching for: {printable(reply.search_query)}")
        for piece in reply:
            out.print(escape(printable(piece)), end="")
        out.print()
        _print_citations(reply.answer)
    except VlmRagError as error:
        if not goes_on:
            raise
        out.print()
        complain(str(error))
    except KeyboardInterrupt as error:
        if not goes_on:
            raise
        forgive(error)
        out.print()
        note("stopped")


def _print_citations(answer: Answer) -> None:
    """The places that the answer points at, or those that were found where it points at none."""
    if answer.hits and not answer.citations:
        note("the answer cites nothing; it was given:")
    cited = [(each.number, each.hit) for each in answer.citations] or list(enumerate(answer.hits, start=1))
    if cited:
        out.print()
    for number, hit in sorted(cited, key=lambda pair: pair[0]):
        source, mark, fragment = hit.place.partition("#")
        place = f"[bold]{escape(printable(short(source)))}[/bold]{escape(mark + fragment)}"
        out.print(f"[dim]{escape(f'[{number}]')}[/dim] {place}")
    if answer.model:
        note(f"{answer.model}: first word after {answer.first_word_s:.1f} s, {answer.total_s:.1f} s in all")


def _as_dict(answer: Answer) -> dict[str, object]:
    values = dataclasses.asdict(answer)
    values["citations"] = [{"number": each.number, "place": each.place} for each in answer.citations]
    return values


def _lines() -> Iterator[str]:
    while True:
        try:
            yield err.input("[bold]> [/bold]")
        except EOFError:
            err.print()
            return
