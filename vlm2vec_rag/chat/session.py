"""A conversation over one collection: question, search, answer with citations, and follow-ups that remember."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from vlm2vec_rag.chat.answer import Answer
from vlm2vec_rag.chat.citations import stream_known
from vlm2vec_rag.chat.evidence import EvidenceLimits, check_least, fit, gather
from vlm2vec_rag.chat.extractive import extract
from vlm2vec_rag.chat.messages import ChatModel, Message
from vlm2vec_rag.chat.prompt import MAX_QUERY_CHARS, Turn, answer_prompt, first_line, joined, rewrite_prompt
from vlm2vec_rag.chat.reply import Reply
from vlm2vec_rag.chat.watch import watched
from vlm2vec_rag.errors import ChatError, EmptyInput, InvalidInput
from vlm2vec_rag.items import Hit, Query
from vlm2vec_rag.retrieval import NOTHING_FOUND

if TYPE_CHECKING:
    from vlm2vec_rag.collection.filters import Filter
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.retrieval import Retriever

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings(EvidenceLimits):
    """How much a chat model is told and shown, and how long it may be silent.

    Raises:
        InvalidInput: A value makes no sense.
    """

    limit: int = 6  # hits that become evidence
    turns: int = 6  # earlier questions and answers that are told again
    timeout_s: float | None = 120.0  # longest silence of a chat model; None waits for ever

    def __post_init__(self) -> None:
        # not super(): `slots` makes the class anew, and on Python 3.10 to 3.13 super() looks for the old one
        EvidenceLimits.__post_init__(self)
        check_least(self, limit=1, turns=0)
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise InvalidInput(f"timeout_s is {self.timeout_s}; expected more than 0 seconds, or None")


class Chat:
    """One conversation. Retriever, model and reader may be shared by many; a `Chat` is cheap, one for each person.

    >>> chat = Chat(Retriever(collection, encoder), open_chat_model("openai:gpt-4o"))
    >>> for piece in (reply := chat.stream("What grew in the second quarter?")):
    ...     print(piece, end="")
    >>> reply.answer.citations[0].place
    'report.pdf#page=12'
    """

    def __init__(
        self,
        retriever: Retriever,
        model: ChatModel | None = None,
        *,
        reader: MediaReader | None = None,
        settings: ChatSettings = ChatSettings(),
    ) -> None:
        """Begin a conversation.

        Args:
            retriever: Searches the collection.
            model: From `open_chat_model`; None answers with quotations of what was found.
            reader: Reads pages and frames again for the model to see; None opens one when it is first needed.
            settings: How much the model is told.
        """
        self.retriever, self.model, self.settings = retriever, model, settings
        self.turns: list[Turn] = []
        self._reader, self._owns_reader = reader, False

    def ask(
        self, question: Query | str, *, filter: Filter | None = None, mode: Mode = "hybrid", limit: int | None = None
    ) -> Answer:
        """Answer a question, or a follow-up to the one before: `stream`, read to its end."""
        return self.stream(question, filter=filter, mode=mode, limit=limit).answer

    def stream(
        self, question: Query | str, *, filter: Filter | None = None, mode: Mode = "hybrid", limit: int | None = None
    ) -> Reply:
        """Search, and begin to answer.

        Args:
            question: Words, or a `Query` with an image or frames. A string is always words, never a path.
            filter: Which items may serve as evidence.
            mode: hybrid, dense or bm25.
            limit: Hits that become evidence; None takes the settings' own.

        Returns:
            The answer as it is written, with its hits.

        Raises:
            EmptyInput: The question has neither words nor pixels.
            InvalidInput: As for `Retriever.search`.
            ChatError: While the reply is read: the model failed or took too long. The conversation can go on.
        """
        started = time.perf_counter()
        asked = Query(text=question) if isinstance(question, str) else question
        if asked.is_empty:
            raise EmptyInput("the question is empty; ask with words, or with an image or clip")
        words = asked.text.strip()
        query = self._stand_alone(words) if words else ""
        searched = Query(text=query, image=asked.image, frames=asked.frames, instruction=asked.instruction)
        hits = self.retriever.search(searched, mode=mode, limit=limit or self.settings.limit, filter=filter)
        is_written = self.model is not None and bool(hits)
        draft = Answer(
            question=words,
            text="",
            hits=tuple(hits),
            search_query=query,
            model=self.model.name if self.model is not None and is_written else "",
            is_extractive=not is_written,
        )
        pieces = self._pieces(asked, query, hits)
        return Reply(draft, pieces, started=started, remember=lambda answer: self.turns.append(Turn(words, answer)))

    def forget(self) -> None:
        """Begin a new conversation over the same collection."""
        self.turns.clear()

    def close(self) -> None:
        """End the process that reads files, if this conversation started one."""
        if self._reader is not None and self._owns_reader:
            self._reader.close()

    def __enter__(self) -> Chat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pieces(self, asked: Query, query: str, hits: Sequence[Hit]) -> Iterator[str]:
        """The text of the answer."""
        if not hits:
            yield NOTHING_FOUND
            return
        if self.model is None:
            yield from extract(query, hits)
            return
        settings = self.settings
        reader = self._open_reader() if self.model.sees_images and settings.max_images else None
        evidence = gather(hits, query, reader, settings)
        shown = [asked.image] if asked.image is not None else list(asked.frames)
        fitted = [fit(each, settings.max_pixels) for each in shown] if self.model.sees_images else []
        messages = answer_prompt(asked.text.strip(), fitted, evidence, self._recent())
        yield from stream_known(watched(self.model, messages, settings.timeout_s), len(hits))

    def _stand_alone(self, question: str) -> str:
        """A follow-up completed from the conversation, so that it can be searched for."""
        turns = self._recent()
        if not turns:
            return question
        if self.model is not None:
            query = first_line(self._short_answer(self.model, rewrite_prompt(question, turns)))
            if query:
                return query
        return joined(question, turns)

    def _short_answer(self, model: ChatModel, messages: Sequence[Message]) -> str:
        """What a model writes, up to the length of a query; nothing where it fails, since the words can be joined."""
        text = ""
        pieces = watched(model, messages, self.settings.timeout_s)
        try:
            for piece in pieces:
                text += piece
                if len(text) > MAX_QUERY_CHARS:
                    break
        except ChatError as error:
            logger.warning("the follow-up is searched for together with the question before it: %s", error)
            return ""
        return text

    def _recent(self) -> list[Turn]:
        return self.turns[-self.settings.turns :] if self.settings.turns else []

    def _open_reader(self) -> MediaReader:
        if self._reader is None:
            from vlm2vec_rag.media import MediaReader

            self._reader, self._owns_reader = MediaReader(), True
        return self._reader


def ask(
    question: Query | str,
    retriever: Retriever,
    model: ChatModel | None = None,
    *,
    filter: Filter | None = None,
    settings: ChatSettings = ChatSettings(),
) -> Answer:
    """Answer a single question: a `Chat` of one turn."""
    with Chat(retriever, model, settings=settings) as chat:
        return chat.ask(question, filter=filter)
