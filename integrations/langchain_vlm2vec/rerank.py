"""`VisualRerank`: what was found in a new order, by any model that looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field

from langchain_vlm2vec.content import hit_of
from vlm2vec_rag.reranking import Score, rerank


class VisualRerank(BaseDocumentCompressor):
    """Reorders documents by how well they answer, seen and read; for LangChain's ContextualCompressionRetriever.

    `score` is any model: a function of the question and candidates, which have words, images or both, to one number
    each, more is better. See `vlm2vec_rag.reranking.Candidate`. The number stands in the metadata as `relevance_score`.

    Setup:
        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]" langchain-classic

    Instantiate:
        .. code-block:: python

            def look(question, candidates):
                return [my_model(question, each.images, each.text) for each in candidates]

            reranker = VisualRerank(score=look, top_n=3)

    Usage:
        .. code-block:: python

            ContextualCompressionRetriever(base_compressor=reranker, base_retriever=retriever).invoke("something red")
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    score: Score
    top_n: int | None = Field(default=None, ge=1, description="At most so many documents; None keeps all.")
    max_pixels: int = Field(default=640 * 28 * 28, description="Budget of each image that is looked at.")
    frames: int = Field(default=3, description="Images of each clip.")

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> Sequence[Document]:
        """The documents, best first.

        Raises:
            InvalidInput: The model gives no number for each.
        """
        order = rerank(
            query, [hit_of(each) for each in documents], self.score, max_pixels=self.max_pixels, frames=self.frames
        )
        made: list[Document] = []
        for at, score in order[: self.top_n]:
            told: dict[str, Any] = {**documents[at].metadata, "relevance_score": score}
            made.append(documents[at].model_copy(update={"metadata": told}))
        return made
