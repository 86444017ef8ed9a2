"""PDFs, pictures, videos and texts to LlamaIndex documents: one for each page, picture, clip and passage."""

from llama_index.readers.vlm2vec.base import MediaReader

__all__ = ["MediaReader"]
