"""EmbeddingGemma 2: small enough for a laptop, and sees print, photographs and video."""
