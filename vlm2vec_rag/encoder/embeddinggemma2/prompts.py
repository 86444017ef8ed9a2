"""The prompts of EmbeddingGemma 2: a task in front of questions, a title in front of documents, pixels behind both.

Texts have the published prompts (config_sentence_transformers.json). For pixels the author's own settings decide
(`google_embeddinggemma.py` of mteb 2.26.24): pixels stand behind the prompt; pages and clips have the document's in
most tasks of their kind; photographs have none in most of theirs, and are encoded bare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from vlm2vec_rag.encoder.base import SHOWN_BY, Prompts, Shown
from vlm2vec_rag.items import Kind

IMAGE_TOKEN = "<|image|>"  # noqa: S105  a token of the vocabulary, not a secret
VIDEO_TOKEN = "<|video|>"  # noqa: S105
VISUALS: Mapping[Shown, str] = MappingProxyType({"": "", "image": IMAGE_TOKEN, "video": VIDEO_TOKEN})

QUERY_TASK = "search result"
SPECIAL = re.compile(r"<(?=(?:\|[a-z_]+\|?|[a-z_]+\||bos|eos|pad|unk|mask|(?:start|end)_of_(?:turn|image))>)")


class EmbeddingGemma2Prompts(Prompts):
    """The prompts of EmbeddingGemma 2; an instruction is the name of a task, such as `classification`."""

    def query(self, text: str, shown: Shown, *, target: Kind, instruction: str | None = None) -> str:
        """See `Prompts.query`; the task does not depend on what is looked for."""
        return f"task: {plain(instruction or QUERY_TASK)} | query: {plain(text)}{VISUALS[shown]}"

    def item(self, kind: Kind, text: str, *, instruction: str | None = None) -> str:
        """See `Prompts.item`."""
        visual = VISUALS[SHOWN_BY[kind]]
        if instruction:
            return f"task: {plain(instruction)} | query: {plain(text)}{visual}"
        if kind == "image" and not text:
            return visual
        return f"title: none | text: {plain(text)}{visual}"


PROMPTS = EmbeddingGemma2Prompts()


def plain(text: str) -> str:
    """Break every special token in text from outside, so that words never pass for pixels or for an end."""
    return SPECIAL.sub("< ", text)
