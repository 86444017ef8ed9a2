"""Search and chat over PDFs, images and videos with VLM2Vec-V2, kept in Qdrant.

`load_encoder` gives vectors; `open_collection`, `index` and `search` do the rest. Nothing heavy is imported until it
is used, and importing changes nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder as Encoder
    from vlm2vec_rag.encoder import load_encoder as load_encoder
    from vlm2vec_rag.items import Clip as Clip
    from vlm2vec_rag.items import Hit as Hit
    from vlm2vec_rag.items import Image as Image
    from vlm2vec_rag.items import Page as Page
    from vlm2vec_rag.items import Query as Query
    from vlm2vec_rag.items import Text as Text

_HOMES = {
    "Encoder": "vlm2vec_rag.encoder",
    "load_encoder": "vlm2vec_rag.encoder",
    "Clip": "vlm2vec_rag.items",
    "Hit": "vlm2vec_rag.items",
    "Image": "vlm2vec_rag.items",
    "Page": "vlm2vec_rag.items",
    "Query": "vlm2vec_rag.items",
    "Text": "vlm2vec_rag.items",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  a test holds it against the imports above
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlm2vec_rag' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
