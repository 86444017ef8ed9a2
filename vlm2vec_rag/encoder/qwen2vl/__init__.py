"""Qwen2-VL checkpoints: VLM2Vec-V2, its adapters, and nano."""
