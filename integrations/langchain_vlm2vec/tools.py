"""`vlm2vec_tool`: search in one's files as a tool for LangChain and LangGraph agents, with page images and places."""

from __future__ import annotations

import os
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

from langchain_vlm2vec.content import documents_to_content_blocks
from langchain_vlm2vec.retriever import VLM2VecRetriever
from langchain_vlm2vec.vectorstore import VLM2VecVectorStore
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.library import Library

DESCRIPTION = (
    "Searches the user's own files: PDF pages, images, video clips and texts. Returns numbered evidence with the place "
    "of each (`report.pdf#page=12`, `talk.mp4#t=83,97`) and its images. Ask in words for what is to be seen or read."
)


class Search(BaseModel):
    """What an agent may ask."""

    query: str = Field(description="What to look for, in words.")
    kind: Literal["page", "image", "clip", "text"] | None = Field(default=None, description="Only this kind.")
    source: str | None = Field(default=None, description="Only this file, folder/ or pattern such as *.pdf.")


def vlm2vec_tool(
    library: Library | VLM2VecVectorStore | str | os.PathLike[str],
    *,
    name: str = "search_files",
    description: str = DESCRIPTION,
    k: int = 4,
    max_images: int = 4,
    **settings: Any,
) -> BaseTool:
    """A tool that searches a library. Its messages hold content blocks: quoted text, page images and clip frames.

    Whatever an agent asks ends in a message: an empty question finds nothing, and what makes no sense is explained.

    Args:
        library: An open library or store, a folder, or the address of a Qdrant server.
        name: As the agent knows it.
        description: As the agent knows it.
        k: Hits of a call, at most.
        max_images: Images of a call, at most; 0 for a model that sees none.
        settings: More for `VLM2VecRetriever`: `filter`, `mode`, `pages`, ...

    Returns:
        A tool whose artifact is the list of documents.
    """
    if isinstance(library, VLM2VecVectorStore):
        store = library
    else:
        store = (
            VLM2VecVectorStore(library)
            if isinstance(library, Library)
            else VLM2VecVectorStore.open(library, create=False)
        )
    retriever = VLM2VecRetriever(vectorstore=store, k=k, **settings)

    def search(
        query: str, kind: str | None = None, source: str | None = None
    ) -> tuple[str | list[Any], list[Document]]:
        typed: dict[str, Any] = {name: value for name, value in (("kind", kind), ("source", source)) if value}
        try:
            hits = retriever.invoke(query, **typed)
        except VlmRagError as error:
            return f"The search was refused: {error}", []
        if not hits:
            return "Nothing was found.", []
        return list(documents_to_content_blocks(hits, query, max_images=max_images)), hits

    return StructuredTool.from_function(
        search, name=name, description=description, args_schema=Search, response_format="content_and_artifact"
    )
