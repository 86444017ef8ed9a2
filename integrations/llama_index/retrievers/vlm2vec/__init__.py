"""Retrievers that answer questions of words, pictures and videos with pages, pictures, clips and texts."""

from llama_index.retrievers.vlm2vec.base import VLM2VecRetriever
from llama_index.retrievers.vlm2vec.index import VLM2VecIndexRetriever

__all__ = ["VLM2VecIndexRetriever", "VLM2VecRetriever"]
