"""Which model to take when none is named: the best whose weights are at hand. One that was named is never replaced."""

from __future__ import annotations

import json
from pathlib import Path

from vlm2vec_rag.encoder.names import DEFAULT_MODEL, NANO


def choose_model() -> tuple[str, str]:
    """A model, and one line that says which was taken and how to choose another."""
    if is_on_disk(DEFAULT_MODEL):
        return DEFAULT_MODEL, f"model: {DEFAULT_MODEL}, from the hub's cache; choose another with --model"
    if _has_gpu_and_hub():
        return DEFAULT_MODEL, f"model: {DEFAULT_MODEL}, to be downloaded once (4.4 GB); choose another with --model"
    return NANO, (
        f"model: {NANO}, which comes with the package and reads printed pages; "
        f"--model {DEFAULT_MODEL} (4.4 GB, better on a GPU) knows the world too, --model none takes words only"
    )


def is_on_disk(hub_id: str) -> bool:
    """Whether a hub model, and the base it names if it is an adapter, are whole in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    def cached(name: str, file: str) -> Path | None:
        path = try_to_load_from_cache(name, file)
        return Path(path) if isinstance(path, str) else None

    adapter = cached(hub_id, "adapter_config.json")
    if adapter is None:
        return any(cached(hub_id, name) for name in ("model.safetensors", "model.safetensors.index.json"))
    base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    return cached(hub_id, "adapter_model.safetensors") is not None and bool(base) and is_on_disk(base)


def _has_gpu_and_hub() -> bool:
    import torch
    from huggingface_hub import constants

    return torch.cuda.is_available() and not constants.HF_HUB_OFFLINE
