"""Vectors to and from Qdrant: one schema and one `Collection`, embedded, in memory, on a server or on a cluster.

>>> with open_collection("./my.vlm2vec", fingerprint=encoder.fingerprint) as collection:
...     collection.upsert(points)
...     found = collection.search(vector, "total amount due", filter=Filter(kinds=("page",)))

Importing this is quick: qdrant-client is loaded when the first collection is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.collection.manifest import Source
from vlm2vec_rag.collection.open import open_collection, repair_collection
from vlm2vec_rag.collection.points import Found, Payload, Point, point_id

if TYPE_CHECKING:
    from vlm2vec_rag.collection.collection import Collection
    from vlm2vec_rag.collection.info import CollectionInfo
    from vlm2vec_rag.collection.schema import Cluster

__all__ = [
    "Cluster",
    "Collection",
    "CollectionInfo",
    "Filter",
    "Found",
    "Payload",
    "Point",
    "Source",
    "open_collection",
    "point_id",
    "repair_collection",
]

_LATER = {
    "Cluster": "vlm2vec_rag.collection.schema",
    "Collection": "vlm2vec_rag.collection.collection",
    "CollectionInfo": "vlm2vec_rag.collection.info",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
