"""`VLM2VecRetriever`: a question of words or pixels to documents, as a LangChain runnable."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

from typing import Any, Literal, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.questions import ImageInput, Video
from langchain_vlm2vec.searching import document_of
from langchain_vlm2vec.vectorstore import VLM2VecVectorStore
from vlm2vec_rag.collection import Found

Mode: TypeAlias = Literal["hybrid", "dense", "bm25"]


class VLM2VecRetriever(BaseRetriever):
    """Finds pages, images, clips and texts in a vector store.

    Each document's metadata says where it is (`source`, `place`), what it is (`kind`), and how well it matched:
    `score`, and `dense_score` and `bm25_score` where that side of the search found it. Callbacks see the retrieval,
    and below it the embedding of the question.

    >>> retriever = VLM2VecRetriever(vectorstore=store, k=5, filter={"kind": "page"})
    >>> retriever.invoke("where is the falling line explained?")
    >>> retriever.invoke("the same, at night", image="street.png", k=2)
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    vectorstore: VLM2VecVectorStore
    k: int = Field(default=4, ge=1, description="At most so many documents.")
    filter: Any = Field(default=None, description="A Filter, a qdrant_client Filter, or a dict of metadata.")
    mode: Mode | None = Field(default=None, description="hybrid, dense or bm25; None takes the store's own.")

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Wanted = None,
        mode: Mode | None = None,
        image: ImageInput | None = None,
        clip: Video | None = None,
    ) -> list[Document]:
        asked = self._asked(k, filter, mode, image, clip)
        return [_hit(each) for each in self.vectorstore.find(query, **asked, callbacks=run_manager.get_child())]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Wanted = None,
        mode: Mode | None = None,
        image: ImageInput | None = None,
        clip: Video | None = None,
    ) -> list[Document]:
        asked = self._asked(k, filter, mode, image, clip)
        callbacks = run_manager.get_sync().get_child()
        found = await run_in_executor(None, self.vectorstore.find, query, **asked, callbacks=callbacks)
        return [_hit(each) for each in found]

    def _asked(
        self, k: int | None, filter: Wanted, mode: Mode | None, image: ImageInput | None, clip: Video | None
    ) -> dict[str, Any]:
        return {
            "k": self.k if k is None else k,
            "filter": self.filter if filter is None else filter,
            "mode": mode or self.mode,
            "image": image,
            "clip": clip,
        }

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        embedding = self.vectorstore.embeddings
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = type(self.vectorstore).__name__
        if embedding is not None:
            params["ls_embedding_provider"] = type(embedding).__name__
        return params


def _hit(found: Found) -> Document:
    """A document that can be cited, and says how well it matched."""
    payload = found.payload
    document = document_of(found.id, payload)
    cited = {"source": payload.source, "kind": payload.kind, "place": payload.place}
    scores = {"score": found.score, "dense_score": found.dense_score, "bm25_score": found.bm25_score}
    document.metadata = {
        **cited,
        **document.metadata,
        **{name: score for name, score in scores.items() if score is not None},
    }
    return document
