"""`VLM2VecRetriever`: a question of words or pixels to documents, as a LangChain runnable."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field

from langchain_vlm2vec.filters import Wanted
from langchain_vlm2vec.found import found_document
from langchain_vlm2vec.vectorstore import VLM2VecVectorStore
from vlm2vec_rag.library.asking import ClipInput, ImageInput

Mode: TypeAlias = Literal["hybrid", "dense", "bm25"]
_TYPED = ("kind", "source", "pages", "time", "since", "until")


class VLM2VecRetriever(BaseRetriever):
    """LangChain retriever of PDF pages, images, video clips and texts.

    Setup:
        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]"

    Instantiate:
        .. code-block:: python

            from langchain_vlm2vec import VLM2VecRetriever

            retriever = VLM2VecRetriever("./my.vlm2vec", k=5, kind="page")  # what the command line or anyone indexed

        or over a store: `VLM2VecRetriever(vectorstore=store)`.

    Usage:
        .. code-block:: python

            retriever.invoke("where is the falling line explained?")
            retriever.invoke("the same, at night", image="street.png", k=2)

    Use within a chain:
        .. code-block:: python

            from langchain_core.runnables import RunnablePassthrough
            from langchain_vlm2vec import documents_to_content_blocks

            {"hits": retriever | documents_to_content_blocks, "question": RunnablePassthrough()} | prompt | model

    Each document's metadata says where it is (`source`, `place`) and what it is (`kind`); `document.score` says how
    well it matched, `dense_score` and `bm25_score` where that side of the search found it. Callbacks see the retrieval,
    and below it the embedding of the question. A question is words, also where it looks like a path; an empty one
    finds nothing.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    vectorstore: VLM2VecVectorStore
    k: int = Field(default=4, ge=1, description="At most so many documents.")
    filter: Any = Field(default=None, description="A Filter, a qdrant_client Filter, or a dict of metadata.")
    mode: Mode | None = Field(default=None, description="hybrid, dense or bm25; None takes the store's own.")
    kind: Any = Field(default=None, description="page, image, clip or text, one or several.")
    source: Any = Field(default=None, description="A file, all below a folder/, or a pattern such as *.pdf.")
    pages: Any = Field(default=None, description="12, 3-9, 40- or -9.")
    time: Any = Field(default=None, description="Clips that overlap these seconds: 60-90, 1:00-1:30.")
    since: Any = Field(default=None, description="Files written on this day or later: 2026-01-31.")
    until: Any = Field(default=None, description="Files written on this day or earlier.")

    def __init__(
        self, place: str | os.PathLike[str] | None = None, /, *, name: str = "default", **settings: Any
    ) -> None:
        """Open the collection at a place, with the model that built it; or take an open `vectorstore`.

        Raises:
            CollectionNotFound: It is not there.
        """
        if place is not None:
            settings["vectorstore"] = VLM2VecVectorStore.open(place, name=name, create=False)
        super().__init__(**settings)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Wanted = None,
        mode: Mode | None = None,
        image: ImageInput | None = None,
        clip: ClipInput | None = None,
        **typed: Any,
    ) -> list[Document]:
        asked = self._asked(typed, k=k, filter=filter, mode=mode, image=image, clip=clip)
        found = self.vectorstore.find(query, **asked, callbacks=run_manager.get_child())
        return [found_document(each) for each in found]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Wanted = None,
        mode: Mode | None = None,
        image: ImageInput | None = None,
        clip: ClipInput | None = None,
        **typed: Any,
    ) -> list[Document]:
        asked = self._asked(typed, k=k, filter=filter, mode=mode, image=image, clip=clip)
        callbacks = run_manager.get_sync().get_child()
        found = await run_in_executor(None, self.vectorstore.find, query, **asked, callbacks=callbacks)
        return [found_document(each) for each in found]

    def _asked(self, typed: dict[str, Any], **given: Any) -> dict[str, Any]:
        """What is asked: each setting of this question, or else the retriever's own."""
        own = {name: getattr(self, name) for name in ("k", "filter", "mode", *_TYPED)}
        asked = {**own, **{name: value for name, value in {**given, **typed}.items() if value is not None}}
        return {name: value for name, value in asked.items() if value is not None}

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        embedding = self.vectorstore.embeddings
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = type(self.vectorstore).__name__
        params["ls_embedding_model"] = self.vectorstore.library.fingerprint.model
        if embedding is not None:
            params["ls_embedding_provider"] = type(embedding).__name__
        return params
