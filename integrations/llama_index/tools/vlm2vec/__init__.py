"""Search in one's own files as a tool for LlamaIndex agents."""

from llama_index_vlm2vec.tools import VLM2VecToolSpec

__all__ = ["VLM2VecToolSpec"]
