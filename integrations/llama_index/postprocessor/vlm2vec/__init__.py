"""Steps between finding and answering: rerank by words, and make one clip of those that follow each other."""

from llama_index.postprocessor.vlm2vec.merge import MergeClips
from llama_index.postprocessor.vlm2vec.rerank import TextRerank

__all__ = ["MergeClips", "TextRerank"]
