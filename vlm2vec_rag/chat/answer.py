"""An answer, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from vlm2vec_rag.items import Hit
from vlm2vec_rag.notebook import prose


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A number in an answer's text, and the hit it points at."""

    number: int  # from 1, as in `[1]`
    hit: Hit

    @property
    def place(self) -> str:
        """Where it stands: `report.pdf#page=12`, `talk.mp4#t=83,97`."""
        return self.hit.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered. The text is a model's or a file's own words: show it as text, never as HTML."""

    question: str
    text: str
    citations: tuple[Citation, ...] = ()  # those that the text points at, in the order in which it does
    hits: tuple[Hit, ...] = ()  # all evidence; number n is hits[n - 1]
    search_query: str = ""  # what was searched for: a follow-up is completed from the conversation first
    model: str = ""  # the chat model's name; empty where none wrote the text
    is_extractive: bool = False  # the text is made of quotations, no model wrote it
    first_word_s: float = 0.0  # from the question to the first piece of text
    total_s: float = 0.0

    def _repr_html_(self) -> str:
        """A notebook's card of the answer, all of it escaped."""
        cited = sorted(self.citations, key=lambda each: each.number)
        return prose(self.text, [f"<small>[{each.number}]</small>{each.hit._repr_html_()}" for each in cited])
