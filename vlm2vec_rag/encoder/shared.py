"""One loaded encoder for all who ask for the same one: a model of 4.4 GB is in memory once, not once per component.

Frameworks make many small objects that each name a model (an embedding for the store, another for a splitter, a copy
in a worker). Those in one process share the encoder as long as any of them holds it.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.encoder.load import find_model, load_encoder

_loaded: weakref.WeakValueDictionary[tuple[str, ...], Encoder] = weakref.WeakValueDictionary()
_turn = threading.Lock()


def shared_encoder(**settings: Any) -> Encoder:
    """The encoder that `load_encoder` gives for these settings, loaded once and shared.

    Nobody should close it: it goes when the last one who holds it does. Settings that come to the same are the same, a
    default and its value among them; a folder that was trained on meanwhile is another model.

    Raises:
        ModelNotFound: The model or adapter cannot be reached.
        InvalidInput: A setting makes no sense.
    """
    named = {name: settings.get(name) for name in ("model", "adapter", "revision")}
    made_with = find_model(**named).fingerprint(*(settings.get(name) for name in ("max_pixels", "frames", "dim")))
    loading = [settings.get(name) for name in ("device", "dtype", "batch_tokens")]
    key = (made_with.digest, *map(str, (*named.values(), *loading)))
    with _turn:  # a second caller waits for the first one's model instead of loading it as well
        encoder = _loaded.get(key)
        if encoder is None:
            encoder = _loaded[key] = load_encoder(**settings)
        return encoder
