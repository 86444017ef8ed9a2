"""Which model a collection was built with, by name: written into it, so that nobody has to say it again.

The fingerprint decides whether an encoder fits; this says where to get it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.names import NANO
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection

SETTING = "encoder"


def record_model(collection: Collection, model: str, adapter: str | None = None) -> None:
    """Write the model's hub id or folder, and its adapter's, into a collection."""
    names = {"model": _absolute(model), "adapter": _absolute(adapter) if adapter else None}
    if collection.settings.get(SETTING) != names:
        collection.update_settings({SETTING: names})


def recorded_model(collection: Collection) -> tuple[str, str | None]:
    """The hub id or folder of the model and of its adapter, as `record_model` wrote them.

    Raises:
        InvalidInput: The collection holds words only, or does not say where its model is.
    """
    recorded = collection.settings.get(SETTING)
    if not collection.dim:
        raise InvalidInput(f"the collection {collection.name!r} holds words only and was built without a model")
    if not recorded:
        raise InvalidInput(
            f"the collection {collection.name!r} does not say where its model {collection.fingerprint.model!r} is; "
            "name the model and its adapter"
        )
    return str(recorded["model"]), recorded.get("adapter")


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name != NANO and Path(name).is_dir() else name
