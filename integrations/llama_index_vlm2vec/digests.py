"""What tells the weights and prompts of a model apart, without loading or downloading it."""

from __future__ import annotations

import hashlib
from pathlib import Path


def weights_digest(model: str, adapter: str | None) -> str:
    """A digest over the model's and the adapter's folders; empty for hub ids, whose name and revision say it all.

    A folder that was trained on keeps its name, and a cache that knows only the name would give the old vectors back.
    """
    return "+".join(_digest(Path(each).expanduser()) for each in (model, adapter) if each and Path(each).is_dir())


def prompts_digest() -> str:
    """A digest over the prompts of every family: which one a hub id is of may not be known before it is downloaded."""
    from vlm2vec_rag.encoder.load import families

    digests = [f"{each.model_type} {each.prompts.digest}" for each in families()]
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:16]


def _digest(folder: Path) -> str:
    from vlm2vec_rag.encoder import adapter, family

    is_adapter = (folder / adapter.CONFIG).is_file()
    return adapter.adapter_digest(folder) if is_adapter else family.weights_digest(folder)
