"""VLM2Vec-V2 as a LlamaIndex embedding: text, pictures, videos and questions about them in one vector space."""

from llama_index.embeddings.vlm2vec.base import VLM2VecEmbedding

__all__ = ["VLM2VecEmbedding"]
