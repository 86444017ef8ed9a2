"""An answer while it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from vlm2vec_rag.chat.answer import Answer, Citation
from vlm2vec_rag.chat.citations import cited_numbers
from vlm2vec_rag.errors import ChatError
from vlm2vec_rag.items import Hit


class Reply(Iterator[str]):
    """Iterate over the text of an answer as it comes, then take `answer`. The hits are there from the start.

    Closing a reply early ends the answer; such a turn is not remembered.
    """

    def __init__(
        self, draft: Answer, pieces: Iterator[str], *, started: float, remember: Callable[[Answer], None]
    ) -> None:
        self._draft, self._pieces, self._started, self._remember = draft, pieces, started, remember
        self._written: list[str] = []
        self._first_word_s = 0.0
        self._answer: Answer | None = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The evidence; number n of the answer is `hits[n - 1]`."""
        return self._draft.hits

    @property
    def search_query(self) -> str:
        """What was searched for."""
        return self._draft.search_query

    @property
    def answer(self) -> Answer:
        """The whole answer; what was not read of it yet is read now.

        Raises:
            ChatError: The model failed or took too long, or the reply was closed before its end.
        """
        for _ in self:
            pass
        if self._answer is None:
            raise ChatError("this answer ended before its time; ask again")
        return self._answer

    def __next__(self) -> str:
        try:
            piece = next(self._pieces)
        except StopIteration:
            if self._answer is None:
                self._answer = self._finished()
                self._remember(self._answer)
            raise
        except BaseException:
            self._pieces = _nothing_more()
            raise
        if not self._written:
            self._first_word_s = time.perf_counter() - self._started
        self._written.append(piece)
        return piece

    def close(self) -> None:
        """End the answer here."""
        if self._answer is None:
            if close := getattr(self._pieces, "close", None):
                close()
            self._pieces = _nothing_more()

    def _finished(self) -> Answer:
        text = "".join(self._written).strip()
        hits = self._draft.hits
        return replace(
            self._draft,
            text=text,
            citations=tuple(
                Citation(number=each, hit=hits[each - 1]) for each in cited_numbers(text) if each <= len(hits)
            ),
            first_word_s=self._first_word_s,
            total_s=time.perf_counter() - self._started,
        )


def _nothing_more() -> Iterator[str]:
    raise ChatError("this answer ended before its time; ask again")
    yield  # a generator, so that the error comes with the next piece that is asked for
