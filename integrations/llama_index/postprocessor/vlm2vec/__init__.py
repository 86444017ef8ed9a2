"""Steps between finding and answering: rerank by words, and make one clip of those that follow each other."""

from llama_index_vlm2vec.merge_clips import MergeClips
from llama_index_vlm2vec.text_rerank import TextRerank
from llama_index_vlm2vec.visual_rerank import VisualRerank

__all__ = ["MergeClips", "TextRerank", "VisualRerank"]
