"""An index that keeps pages, images, clips and texts side by side, on any LlamaIndex vector store."""

from llama_index_vlm2vec.index import VLM2VecIndex

__all__ = ["VLM2VecIndex"]
