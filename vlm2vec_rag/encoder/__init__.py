"""Items and queries to vectors in one space. `load_encoder` is the way in.

An encoder gives float32 rows of unit length, the same for the same input whatever the batch it came in.
"""

from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.encoder.load import find_model, load_encoder
from vlm2vec_rag.encoder.names import DEFAULT_MODEL

__all__ = ["DEFAULT_MODEL", "Encoder", "find_model", "load_encoder"]
