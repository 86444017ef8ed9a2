"""Notes on a file that was read, but not quite as it stands: a guessed encoding, an image that is cut off.

Whatever opens a file calls `note`; whoever asked for the file collects what was said meanwhile. A note is a sentence
for the report of a run, without the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTES: ContextVar[list[str] | None] = ContextVar("vlm2vec_rag_media_notes", default=None)


def note(text: str) -> None:
    """Say something of the file that is being read; heard where somebody collects, and each sentence once."""
    notes = _NOTES.get()
    if notes is not None and text not in notes:
        notes.append(text)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """The list that fills with what is noted inside the block."""
    notes: list[str] = []
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)
