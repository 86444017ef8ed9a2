"""`MediaNodeParser`: the step between loading and embedding, for media and texts together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field, SerializeAsAny
from llama_index.core.node_parser import NodeParser, SentenceSplitter
from llama_index.core.schema import BaseNode
from llama_index.core.utils import get_tqdm_iterable

from llama_index_vlm2vec.nodes import shown_file, stands_for_file, to_media_node


class MediaNodeParser(NodeParser):
    """Keeps each page, image, clip and passage whole, and splits other documents with a text splitter.

    A text splitter alone would cut a page into pieces of text and lose its image.

    >>> IngestionPipeline(transformations=[MediaNodeParser(), embed_model], vector_store=store).run(documents=documents)
    """

    splitter: SerializeAsAny[NodeParser] | None = Field(
        default=None, description="Splits the texts that are not from a media reader; None: LlamaIndex's own default."
    )

    @classmethod
    def class_name(cls) -> str:
        return "MediaNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        splitter = self.splitter or _sentence_splitter()
        parsed: list[BaseNode] = []
        for node in get_tqdm_iterable(nodes, show_progress, "Parsing nodes"):
            if stands_for_file(node):
                parsed.append(to_media_node(node))
            elif shown_file(node):
                parsed.append(node)
            else:
                parsed += splitter._parse_nodes([node], **kwargs)
        return parsed


@functools.cache
def _sentence_splitter() -> SentenceSplitter:
    """LlamaIndex's default. Not a field: its tokenizer, unpickled in a worker, is fetched from the network."""
    return SentenceSplitter()
