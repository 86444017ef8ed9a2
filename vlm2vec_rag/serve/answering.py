"""Answers as they are written, from a chat model's thread to a client that may go away at any moment."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.serve.jobs import shown_reason
from vlm2vec_rag.serve.served import Conversation, Spoken

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Filter

logger = logging.getLogger(__name__)

MOST_QUESTION_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Written:
    """What has happened: `hits` were found, `text` was added, or it is `over`."""

    event: str
    text: str = ""


async def answer(
    conversation: Conversation,
    question: str,
    *,
    filter: Filter | None = None,
) -> AsyncIterator[tuple[Spoken, Written]]:
    """Ask, and give what is written as it comes. Closing this early ends the answer at its next piece.

    The turn is kept in the conversation from its beginning, so that a page that is opened again shows what there was.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[Written] = asyncio.Queue()
    gone = threading.Event()
    spoken = Spoken(question.strip()[:MOST_QUESTION_CHARS])

    def tell(written: Written) -> None:
        with contextlib.suppress(RuntimeError):  # the server ended, and its loop with it
            loop.call_soon_threadsafe(heard.put_nowait, written)

    def work() -> None:
        try:
            with conversation.turn:
                conversation.turns.append(spoken)
                _write(conversation, spoken, filter, gone, tell)
        except VlmRagError as error:
            spoken.state, spoken.error = "failed", shown_reason(str(error))
        except Exception as error:
            logger.exception("an answer ended with an unexpected error")
            spoken.state, spoken.error = "failed", f"an unexpected error: {type(error).__name__}; ask again"
        finally:
            tell(Written("over"))

    # a thread of its own and no pool's: a model that is silent for minutes must not keep others from being served
    threading.Thread(target=work, name="vlm2vec-answer", daemon=True).start()
    try:
        while True:
            written = await heard.get()
            yield spoken, written
            if written.event == "over":
                return
    finally:
        gone.set()


def _write(
    conversation: Conversation,
    spoken: Spoken,
    filter: Filter | None,
    gone: threading.Event,
    tell: Any,
) -> None:
    reply = conversation.chat.stream(spoken.question, filter=filter)
    spoken.hits = reply.hits
    tell(Written("hits"))
    for piece in reply:
        spoken.text += piece
        tell(Written("text", piece))
        if gone.is_set():
            reply.close()
            spoken.state = "stopped"
            return
    spoken.text, spoken.state = reply.answer.text, "done"


def event(name: str, data: dict[str, Any]) -> bytes:
    """One Server-Sent Event with JSON in it."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
