"""What tells the weights of a local model apart, without loading them."""

from __future__ import annotations

from pathlib import Path


def weights_digest(model: str, adapter: str | None) -> str:
    """A digest over the model's and the adapter's folders; empty for hub ids, whose name and revision say it all.

    A folder that was trained on keeps its name, and a cache that knows only the name would give the old vectors back.
    """
    return "+".join(_digest(Path(each).expanduser()) for each in (model, adapter) if each and Path(each).is_dir())


def _digest(folder: Path) -> str:
    from vlm2vec_rag.encoder.adapter import CONFIG, adapter_digest
    from vlm2vec_rag.encoder.qwen2vl.checkpoint import Checkpoint

    if (folder / CONFIG).is_file():
        return adapter_digest(folder)
    return Checkpoint(name=folder.name, base=folder, adapter=None).weights_digest
