"""One loaded encoder for all who ask for the same one: a model of 4.4 GB is in memory once, not once per component.

Frameworks make many small objects that each name a model (an embedding for the store, another for a splitter, a copy
in a worker). Those in one process share the encoder as long as any of them holds it.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.encoder.load import load_encoder
from vlm2vec_rag.encoder.names import DEFAULT_MODEL

_loaded: weakref.WeakValueDictionary[tuple[tuple[str, str], ...], Encoder] = weakref.WeakValueDictionary()
_turn = threading.Lock()


def shared_encoder(**settings: Any) -> Encoder:
    """The encoder that `load_encoder` gives for these settings, loaded once and shared.

    Nobody should close it: it goes when the last one who holds it does.

    Raises:
        ModelNotFound: The model or adapter cannot be reached.
        InvalidInput: A setting makes no sense.
    """
    settings["model"] = settings.get("model") or DEFAULT_MODEL
    key = tuple(sorted((name, str(value)) for name, value in settings.items()))
    with _turn:  # a second caller waits for the first one's model instead of loading it as well
        encoder = _loaded.get(key)
        if encoder is None:
            encoder = _loaded[key] = load_encoder(**settings)
        return encoder
