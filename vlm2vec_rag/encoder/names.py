"""The models' names and what they read by default: known without loading anything."""

DEFAULT_MODEL = "VLM2Vec/VLM2Vec-V2.0"
GEMMA = "google/embeddinggemma-2"  # the laptop's
NANO = "nano"  # the small model that comes with the package
FRAMES = 8  # of a clip
