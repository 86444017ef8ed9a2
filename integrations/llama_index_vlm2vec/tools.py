"""`VLM2VecToolSpec`: search in one's files as a tool for LlamaIndex agents, with page images and places."""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.base.llms.types import ContentBlock, TextBlock
from llama_index.core.schema import MetadataMode
from llama_index.core.tools.tool_spec.base import BaseToolSpec

from llama_index_vlm2vec.images import ImageBudget
from llama_index_vlm2vec.retriever import VLM2VecRetriever
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.library import Library, open_library


class VLM2VecToolSpec(BaseToolSpec):
    """Lets an agent search a library. What it gets are content blocks: the place, the words, the page or frames.

    >>> FunctionAgent(tools=VLM2VecToolSpec("./my.vlm2vec").to_tool_list(), llm=llm)
    """

    spec_functions = ["search_files"]  # noqa: RUF012  as LlamaIndex has it

    def __init__(
        self,
        library: Library | str | os.PathLike[str],
        *,
        similarity_top_k: int = 4,
        images: ImageBudget | None = None,
        **settings: Any,
    ) -> None:
        """Search an open library, a folder, or the address of a Qdrant server; settings as for `VLM2VecRetriever`."""
        self._library = library if isinstance(library, Library) else open_library(library, create=False)
        self._settings = {"similarity_top_k": similarity_top_k, "images": images, **settings}

    def search_files(self, query: str, kind: str = "", source: str = "") -> list[ContentBlock]:
        """Search the user's own files: PDF pages, images, video clips and texts.

        Args:
            query: What to look for, in words: what is to be seen or read.
            kind: Only this kind: page, image, clip or text. Empty for any.
            source: Only this file, folder/ or pattern such as *.pdf. Empty for any.

        Returns:
            For each hit its place (`report.pdf#page=12`, `talk.mp4#t=83,97`), its words and its images.
        """
        asked = {name: value for name, value in (("kind", kind), ("source", source)) if value}
        try:
            found = VLM2VecRetriever(self._library, **{**self._settings, **asked}).retrieve(query)
        except VlmRagError as error:
            return [TextBlock(text=f"The search was refused: {error}")]
        blocks: list[ContentBlock] = []
        for each in found:
            place = each.node.metadata.get("place", each.node_id)
            blocks.append(TextBlock(text=f"[{place}]"))
            blocks += each.node.get_content_blocks(MetadataMode.NONE)  # type: ignore[arg-type]
        return blocks or [TextBlock(text="Nothing was found.")]
