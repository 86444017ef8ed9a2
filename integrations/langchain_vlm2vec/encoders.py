"""Any LangChain embeddings as an encoder of the library: VLM2Vec's own, or others, which know texts only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.items import Item, Kind, Query

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Progress, Vectors, Visual

_OF_A_RUN = (
    "api_key api_token token secret password client async_client http_client http_async_client callbacks callback "
    "verbose show_progress show_progress_bar progress request_timeout timeout max_retries retry_min_seconds "
    "retry_max_seconds batch_size chunk_size max_concurrency num_workers multi_process cache_folder headers "
    "default_headers proxy proxies device document_embedding_store query_embedding_store"
)
_NOT_IDENTIFYING = frozenset(_OF_A_RUN.split())


class EmbeddingsEncoder(Encoder):
    """LangChain embeddings of any maker. They know texts only: an image, a page or a clip is refused."""

    sees = frozenset()
    max_pixels = 0
    frames = 0
    runs_on = "LangChain embeddings"

    def __init__(self, embedding: Embeddings) -> None:
        """Asks for one vector, to learn how wide they are."""
        self.embedding = embedding
        told = identity_of(embedding)
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()
        self.fingerprint = Fingerprint(
            model=_name_of(embedding),
            weights=digest[:16],
            dim=len(embedding.embed_query("how wide is a vector?")),
        )

    def encode_prompts(
        self, prompts: Sequence[str], visuals: Sequence[Visual], *, progress: Progress | None = None
    ) -> Vectors:
        """(B, D) float32, of texts."""
        return np.asarray(self.embedding.embed_documents(list(prompts)), dtype=np.float32)

    def encode_items(self, items: Sequence[Item | str], **settings: Any) -> Vectors:
        """(B, D) float32.

        Raises:
            InvalidInput: An item is no text.
            EmptyInput: A text without a word.
        """
        texts: list[str] = []
        for at, item in enumerate(items):
            if not isinstance(item, str) and item.kind != "text":
                raise InvalidInput(
                    f"{_name_of(self.embedding)} embeds texts only and cannot see {item.source or 'this'} "
                    f"({item.kind}); open the store with VLM2VecEmbeddings"
                )
            text = item if isinstance(item, str) else item.text
            if not text.strip():
                raise EmptyInput(f"item {at} is a text without a word; drop empty texts before encoding")
            texts.append(text)
        return self.encode_prompts(texts, [None] * len(texts))

    def encode_queries(self, queries: Sequence[Query | str], *, target: Kind | None = None, **settings: Any) -> Vectors:
        """(B, D) float32.

        Raises:
            InvalidInput: A question shows an image or a clip.
        """
        asked = [each if isinstance(each, Query) else Query(text=each) for each in queries]
        if any(each.image is not None or each.frames for each in asked):
            raise InvalidInput(
                f"{_name_of(self.embedding)} embeds texts only and cannot see the image or clip of this question; "
                "open the store with VLM2VecEmbeddings"
            )
        return np.asarray([self.embedding.embed_query(each.text) for each in asked], dtype=np.float32)


def identity_of(value: Any) -> Any:
    """All that tells embeddings apart, as JSON: class and settings, those of embeddings inside them, and no secrets.

    What only says how they run (keys, time limits, sizes of batches, devices) is left out: it changes no vector.
    """
    if isinstance(value, Embeddings):
        settings = {**_fields_of(value)}
        told = {
            name.lstrip("_"): identity_of(each)
            for name, each in settings.items()
            if name.lstrip("_") not in _NOT_IDENTIFYING and _tells(each)
        }
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", **told}
    if isinstance(value, Mapping):
        return {str(name): identity_of(each) for name, each in value.items() if str(name) not in _NOT_IDENTIFYING}
    if isinstance(value, list | tuple | set | frozenset):
        return [identity_of(each) for each in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _fields_of(embedding: Embeddings) -> dict[str, Any]:
    fields = getattr(type(embedding), "model_fields", None)
    return {name: getattr(embedding, name) for name in fields} if fields else dict(vars(embedding))


def _tells(value: Any) -> bool:
    """Whether a setting has a value that can be compared; a client or a lock is another one in every process."""
    if isinstance(value, Mapping):
        return all(_tells(each) for each in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return all(_tells(each) for each in value)
    return value is None or isinstance(value, str | int | float | bool | Embeddings)


def _name_of(embedding: Embeddings) -> str:
    named = getattr(embedding, "model", None) or getattr(embedding, "model_name", None)
    kind = type(embedding).__qualname__
    return f"{kind}({named})" if isinstance(named, str) else kind
