"""A stamp on a node: that its embedding was made of exactly its content, by a model that is named.

A store cannot tell by looking at numbers what they were made of. LlamaIndex's own indexes embed the words of a node
where its pixels are meant, and nodes travel through caches, processes and other people's code before they are stored.
So `VLM2VecEmbedding` stamps what it embeds, and `VLM2VecVectorStore` embeds again whatever has no stamp that fits.
It guards against mistakes, not against forgers.
"""

from __future__ import annotations

import hashlib

import numpy as np
from llama_index.core.schema import BaseNode

from vlm2vec_rag.fingerprint import Fingerprint

STAMP = "vlm2vec_stamp"
"""The metadata field; neither models nor collections are given it."""


def stamp(node: BaseNode, content_hash: str, fingerprint: Fingerprint) -> None:
    """Mark the node's embedding as made of this content."""
    node.metadata[STAMP] = _digest(node, content_hash, fingerprint)
    # new lists: LlamaIndex lets nodes of one document share them
    for hidden in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):
        names = getattr(node, hidden)
        setattr(node, hidden, names if STAMP in names else [*names, STAMP])


def is_stamped(node: BaseNode, content_hash: str, fingerprint: Fingerprint) -> bool:
    """Whether the node's embedding was made of this content, with this model."""
    return node.embedding is not None and node.metadata.get(STAMP) == _digest(node, content_hash, fingerprint)


def _digest(node: BaseNode, content_hash: str, fingerprint: Fingerprint) -> str:
    vector = np.asarray(node.embedding, dtype=np.float32).tobytes()
    return hashlib.sha256(b"\0".join([content_hash.encode(), fingerprint.digest.encode(), vector])).hexdigest()[:32]
