"""An index that keeps pages, pictures, clips and texts side by side, on any LlamaIndex vector store."""

from llama_index.indices.vlm2vec.base import VLM2VecIndex

__all__ = ["VLM2VecIndex"]
