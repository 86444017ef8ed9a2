"""Keep watch over a model that answers: whatever it raises, and too long a silence, becomes one clear error."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from vlm2vec_rag.chat.messages import ChatModel, Message
from vlm2vec_rag.errors import ChatError, VlmRagError

_End: TypeAlias = tuple[Exception | None]


def watched(model: ChatModel, messages: Sequence[Message], timeout_s: float | None) -> Iterator[str]:
    """What the model answers, piece by piece.

    The model runs in a thread of its own, since no library lets go of a connection that hangs. A thread that was given
    up ends with its next piece.

    Args:
        model: May raise anything.
        messages: The conversation.
        timeout_s: Longest silence; None waits for ever.

    Raises:
        ChatError: The model failed, was silent for too long, or gave no text at all.
    """
    pieces: queue.Queue[str | _End] = queue.Queue()
    given_up = threading.Event()

    def run() -> None:
        error: Exception | None = None
        try:
            stream = model.stream(messages)
            try:
                for piece in stream:
                    if given_up.is_set():
                        break
                    pieces.put(piece)
            finally:
                if close := getattr(stream, "close", None):
                    close()
        except Exception as raised:  # providers raise whatever they like; all of it ends this answer and no more
            error = raised
        pieces.put((error,))

    # the caller's context goes along: tracing of LangChain and LlamaIndex hangs on it
    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True, name="chat model").start()
    written = 0
    try:
        while True:
            try:
                piece = pieces.get(timeout=timeout_s)
            except queue.Empty:
                raise ChatError(
                    f"the chat model {model.name} {_so_far(written)} and then nothing for {timeout_s:g} s; ask again, "
                    "or allow it more with timeout_s"
                ) from None
            if isinstance(piece, tuple):
                break
            if piece:
                written += len(piece)
                yield piece
    finally:
        given_up.set()
    [error] = piece
    if error is not None:
        raise _explained(error, model.name, written) from error
    if not written:
        raise ChatError(f"the chat model {model.name} gave no text; ask again, or choose another model")


def _explained(error: Exception, name: str, written: int) -> VlmRagError:
    if isinstance(error, VlmRagError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ChatError(
        f"the chat model {name} {_so_far(written)} and failed ({reason[:400]}); ask again, or choose another model"
    )


def _so_far(written: int) -> str:
    return f"gave {written} characters" if written else "gave no answer"
