"""Retrievers that answer questions of words, images and videos with pages, images, clips and texts."""

from llama_index_vlm2vec.index import VLM2VecIndexRetriever
from llama_index_vlm2vec.retriever import VLM2VecRetriever

__all__ = ["VLM2VecIndexRetriever", "VLM2VecRetriever"]
