"""Items and questions to vectors, with VLM2Vec or with any other LangChain embeddings.

Other embeddings know texts only; an image or a clip given to them is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.callbacks import Callbacks
from langchain_core.embeddings import Embeddings

from langchain_vlm2vec.embeddings import VLM2VecEmbeddings
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.items import Item, Kind, Query

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Vectors

WORDS_ONLY = Fingerprint(model="words only")


def fingerprint_of(embedding: Embeddings | None) -> Fingerprint:
    """What vectors of these embeddings are made with: the encoder's own fingerprint, or the class and its model's name.

    Embeddings that are not VLM2Vec are asked for one vector, to learn its width.

    Raises:
        InvalidInput: It is no LangChain embeddings.
    """
    if embedding is None:
        return WORDS_ONLY
    if not isinstance(embedding, Embeddings):
        raise InvalidInput(f"embedding is a {type(embedding).__name__}; expected VLM2VecEmbeddings or other Embeddings")
    if isinstance(embedding, VLM2VecEmbeddings):
        return embedding.load().fingerprint
    named = getattr(embedding, "model", None) or getattr(embedding, "model_name", None)
    name = f"{type(embedding).__qualname__}({named})" if isinstance(named, str) else type(embedding).__qualname__
    digest = hashlib.sha256(f"{type(embedding).__module__}.{name}".encode()).hexdigest()
    return Fingerprint(model=name, weights=digest[:16], dim=len(embedding.embed_query("how wide is a vector?")))


def encode_items(embedding: Embeddings, items: Sequence[Item], callbacks: Callbacks = None) -> Vectors:
    """(B, D) float32.

    Raises:
        InvalidInput: The embeddings cannot see pixels, and an item has some.
        EmptyInput: A text without a word.
    """
    if isinstance(embedding, VLM2VecEmbeddings):
        return embedding.encode_items(items, callbacks=callbacks)
    return np.asarray(embedding.embed_documents(_texts(embedding, items)), dtype=np.float32)


def encode_query(
    embedding: Embeddings, query: Query, target: Kind | None = None, callbacks: Callbacks = None
) -> Vectors:
    """(D,) float32.

    Raises:
        InvalidInput: The embeddings cannot see pixels, and the question shows some.
        EmptyInput: The question is empty.
    """
    if isinstance(embedding, VLM2VecEmbeddings):
        return embedding.encode_query(query, target=target, callbacks=callbacks)
    return np.asarray(embedding.embed_query(_words(embedding, query)), dtype=np.float32)


def _texts(embedding: Embeddings, items: Sequence[Item]) -> list[str]:
    for item in items:
        if item.kind != "text":
            raise InvalidInput(
                f"{type(embedding).__name__} embeds texts only and cannot see {item.source or 'this'} ({item.kind}); "
                "open the store with VLM2VecEmbeddings"
            )
    return [item.text for item in items]


def _words(embedding: Embeddings, query: Query) -> str:
    if query.image is not None or query.frames:
        raise InvalidInput(
            f"{type(embedding).__name__} embeds texts only and cannot see the image or clip of this question; "
            "open the store with VLM2VecEmbeddings"
        )
    return query.text
