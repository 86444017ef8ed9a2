"""An answer without a chat model: the passages and pages that were found, quoted, and said to be so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm2vec_rag.items import Hit

NOTICE = "No chat model is set, so here is what was found, quoted and not summed up:"
QUOTE_CHARS = 320
MOST = 3  # the first answers or none does; what comes after is a list of results, which search shows better

_WITHOUT_WORDS = {"image": "an image", "clip": "a clip", "page": "a page", "text": "a text"}


def extract(question: str, hits: Sequence[Hit]) -> Iterator[str]:
    """The best hits as a text with citations, line by line.

    Args:
        question: Decides which stretch of each text is quoted.
        hits: Best first; number n cites `hits[n - 1]`.
    """
    yield NOTICE
    for number, hit in enumerate(hits[:MOST], start=1):
        words = hit.snippet(QUOTE_CHARS, question)
        said = f"“{words}”" if words else hit.title or f"{_WITHOUT_WORDS[hit.kind]} without words to quote"
        yield f"\n\n{said} [{number}]"
