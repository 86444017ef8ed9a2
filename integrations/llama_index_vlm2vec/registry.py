"""`VLM2VecIndex` by a name of its own, so that `load_index_from_storage` gives one back."""

from __future__ import annotations

from typing import Any

from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.data_structs.registry import INDEX_STRUCT_TYPE_TO_INDEX_STRUCT_CLASS
from llama_index.core.indices.registry import INDEX_STRUCT_TYPE_TO_INDEX_CLASS

TYPE = "vlm2vec"


class MediaIndexDict(IndexDict):
    """Which nodes an index holds, as LlamaIndex's vector index keeps it."""

    @classmethod
    def get_type(cls) -> Any:
        """The name it is persisted under."""
        return TYPE


def _index(*args: Any, **settings: Any) -> Any:
    from llama_index_vlm2vec.index import VLM2VecIndex

    return VLM2VecIndex(*args, **settings)


def register() -> None:
    """Tell LlamaIndex what to load for that name, which is the way in that it has; twice is fine."""
    classes: dict[Any, Any] = INDEX_STRUCT_TYPE_TO_INDEX_CLASS
    structs: dict[Any, Any] = INDEX_STRUCT_TYPE_TO_INDEX_STRUCT_CLASS
    classes[TYPE], structs[TYPE] = _index, MediaIndexDict
