"""Points to fill a collection with, and places to keep one: what the tests of collections share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fake_qdrant import FakeQdrant

from vlm2vec_rag.collection import Collection, Payload, Point, open_collection
from vlm2vec_rag.errors import CollectionNotFound
from vlm2vec_rag.fingerprint import Fingerprint

SERVER_URL = os.environ.get("QDRANT_URL")
"""A real server to hold to the same contract, where there is one."""

LASTING_ENGINES = ["embedded", "rest", *(["server"] if SERVER_URL else [])]
ENGINES = [*LASTING_ENGINES, "memory"]

DIM = 8
FINGERPRINT = Fingerprint(model="tiny", weights="1111", dim=DIM)


@dataclass
class CollectionAddress:
    """Somewhere a collection can be opened again and again."""

    kind: str
    location: str
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def open(self, fingerprint: Fingerprint | None = FINGERPRINT, **options: Any) -> Collection:
        return open_collection(self.location, self.name, fingerprint=fingerprint, **options)


@contextmanager
def a_place(kind: str, folder: Path) -> Iterator[CollectionAddress]:
    """An empty place on an engine; `folder` is for the engines that want one."""
    if kind == "embedded":
        yield CollectionAddress(kind, str(folder / "my.vlm2vec"))
    elif kind == "memory":
        yield CollectionAddress(kind, ":memory:")
    elif kind == "rest":
        with FakeQdrant() as fake:
            yield CollectionAddress(kind, fake.url)
    else:
        place = CollectionAddress(kind, str(SERVER_URL))
        yield place
        with suppress(CollectionNotFound):
            place.open(None).drop()


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
