"""Points of a collection as LangChain documents."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document

from vlm2vec_rag.collection import Found, Payload
from vlm2vec_rag.documents import metadata_of, with_description


class FoundDocument(Document):
    """A document that a question found, with its scores.

    They are no metadata and do not count when documents are compared: the same document found by two questions is one
    document, as LangChain's own retrievers expect.
    """

    score: float | None = None
    dense_score: float | None = None
    bm25_score: float | None = None

    @classmethod
    def lc_id(cls) -> list[str]:
        """As what LangChain serialises it: a Document."""
        return Document.lc_id()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and _compared(self) == _compared(other)

    __hash__ = None  # type: ignore[assignment]  # as Document, which can be changed


def document_of(point_id: str, payload: Payload) -> Document:
    """A point as a document: its id and metadata as they came, or those of its file."""
    metadata = metadata_of(payload)
    text = with_description(payload.text, metadata)
    return Document(id=payload.document_id or point_id, page_content=text, metadata=metadata)


def found_document(found: Found) -> FoundDocument:
    """A hit: a document that can be cited, and says how well it matched."""
    payload = found.payload
    document = document_of(found.id, payload)
    cited = {"source": payload.source, "kind": payload.kind, "place": payload.place}
    return FoundDocument(
        id=document.id,
        page_content=document.page_content,
        metadata={**cited, **document.metadata},
        score=found.score,
        dense_score=found.dense_score,
        bm25_score=found.bm25_score,
    )


def _compared(document: Document) -> tuple[Any, ...]:
    return document.id, document.page_content, document.metadata
