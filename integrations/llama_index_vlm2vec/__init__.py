"""VLM2Vec-V2 for LlamaIndex: embedding, reader, node parser, index, retrievers, vector store and postprocessors.

LlamaIndex imports integrations as `llama_index.<kind>.vlm2vec`; those packages only re-export what is here.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ImageBudget": "images",
    "MediaDocument": "nodes",
    "MediaNode": "nodes",
    "MediaNodeParser": "node_parser",
    "MergeClips": "merge_clips",
    "TextRerank": "text_rerank",
    "VLM2VecEmbedding": "embedding",
    "VLM2VecIndex": "index",
    "VLM2VecIndexRetriever": "index",
    "VLM2VecReader": "reader",
    "VLM2VecRetriever": "retriever",
    "VLM2VecToolSpec": "tools",
    "VLM2VecVectorStore": "vector_store",
    "VisualRerank": "visual_rerank",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  a test looks each of them up


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
