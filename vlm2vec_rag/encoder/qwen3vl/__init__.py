"""Qwen3-VL-Embedding: the strongest of the models that are known by name."""
