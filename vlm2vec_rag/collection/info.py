"""What there is to know about a collection at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlm2vec_rag.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo:
    """What `Collection.info` tells."""

    name: str
    location: str
    engine: str  # "embedded", "in memory" or "server"
    points: int
    is_exact: bool  # False where the server gives about so many points only (strict mode)
    # about so many dense vectors are in the search index, the rest are compared one by one; None: words only
    indexed_vectors: int | None
    shards: int  # parts that a server cut it into
    copies: int  # of each part
    fingerprint: Fingerprint
    language: str
    settings: Mapping[str, Any]
    size_bytes: int | None  # on this machine's disk; None for a server

    @property
    def dim(self) -> int:
        return self.fingerprint.dim
