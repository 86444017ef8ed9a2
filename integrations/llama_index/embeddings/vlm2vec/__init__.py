"""VLM2Vec-V2 as a LlamaIndex embedding: text, images, videos and questions about them in one vector space."""

from llama_index_vlm2vec.embedding import VLM2VecEmbedding

__all__ = ["VLM2VecEmbedding"]
