"""A collection of vlm2vec-rag as a LlamaIndex vector store: the points are those the command line writes and finds."""

from llama_index.vector_stores.vlm2vec.base import VLM2VecVectorStore

__all__ = ["VLM2VecVectorStore"]
