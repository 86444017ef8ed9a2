"""Search and chat over PDFs, images and videos with VLM2Vec-V2, kept in Qdrant.

`open` gives a library: `index` fills it, `search` and `ask` answer from it. Nothing heavy is imported until it is
used, and importing changes nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection as Collection
    from vlm2vec_rag.collection import Filter as Filter
    from vlm2vec_rag.collection import open_collection as open_collection
    from vlm2vec_rag.encoder import Encoder as Encoder
    from vlm2vec_rag.encoder import load_encoder as load_encoder
    from vlm2vec_rag.encoder.models import models as models
    from vlm2vec_rag.errors import VlmRagError as VlmRagError
    from vlm2vec_rag.items import Clip as Clip
    from vlm2vec_rag.items import Hit as Hit
    from vlm2vec_rag.items import Image as Image
    from vlm2vec_rag.items import Page as Page
    from vlm2vec_rag.items import Query as Query
    from vlm2vec_rag.items import Text as Text
    from vlm2vec_rag.library import IndexReport as IndexReport
    from vlm2vec_rag.library import Library as Library
    from vlm2vec_rag.library import open as open  # noqa: A004  as in PIL.Image.open
    from vlm2vec_rag.media import MediaReader as MediaReader
    from vlm2vec_rag.media import MediaSettings as MediaSettings
    from vlm2vec_rag.retrieval import Retriever as Retriever
    from vlm2vec_rag.thumbnails import Thumbnails as Thumbnails

_HOMES = {
    "Clip": "items",
    "Collection": "collection",
    "Encoder": "encoder",
    "Filter": "collection",
    "Hit": "items",
    "Image": "items",
    "IndexReport": "library",
    "Library": "library",
    "MediaReader": "media",
    "MediaSettings": "media",
    "Page": "items",
    "Query": "items",
    "Retriever": "retrieval",
    "Text": "items",
    "Thumbnails": "thumbnails",
    "VlmRagError": "errors",
    "load_encoder": "encoder",
    "models": "encoder.models",
    "open": "library",
    "open_collection": "collection",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  a test looks each of them up
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlm2vec_rag' has no attribute {name!r}")
    return getattr(import_module(f"vlm2vec_rag.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
