"""Points to fill a collection with, and places to keep one: what the tests of collections share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlm2vec_rag.collection import Collection, Payload, Point, open_collection
from vlm2vec_rag.fingerprint import Fingerprint

DIM = 8
FINGERPRINT = Fingerprint(model="tiny", weights="1111", dim=DIM)


@dataclass
class Place:
    """Somewhere a collection can be opened again and again."""

    kind: str
    location: str
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def open(self, fingerprint: Fingerprint | None = FINGERPRINT, **options: Any) -> Collection:
        return open_collection(self.location, self.name, fingerprint=fingerprint, **options)


def page(number: int, text: str = "", *, source: str = "a.pdf", vector: Any = "random", **values: Any) -> Point:
    """A page of a PDF; the same number gives the same vector."""
    payload = Payload(
        source=source,
        kind="page",
        content_hash=f"content-{number}",
        fragment=f"page={number}",
        page=number,
        text=text,
        **values,
    )
    if isinstance(vector, str):
        vector = np.random.default_rng(number).standard_normal(DIM).astype(np.float32)
    return Point(id=payload.id, payload=payload, vector=vector)


def unit(vector: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
