"""PDFs, images, videos and texts to LlamaIndex documents: one for each page, image, clip and passage."""

from llama_index_vlm2vec.reader import VLM2VecReader

__all__ = ["VLM2VecReader"]
