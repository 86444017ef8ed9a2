"""A collection of vlm2vec-rag as a LlamaIndex vector store: the points are those the command line writes and finds."""

from llama_index_vlm2vec.vector_store import VLM2VecVectorStore

__all__ = ["VLM2VecVectorStore"]
