"""Fold a LoRA or DoRA adapter into its base, every tensor of it or not at all.

The published adapter names its modules as transformers 4 did (`base_model.model.model.layers...`). Today's peft finds
none of them and only warns, and the vectors are then the base model's. Here names are mapped, each tensor must find
its place, and the merge is done in float32 before the weight is cast back.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import AdapterMismatch, ModelNotFound

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PARTS = ("lora_A", "lora_B", "lora_magnitude_vector")


def adapter_digest(folder: Path) -> str:
    """Sixteen digits over an adapter's weights and the settings that change what they do.

    Raises:
        ModelNotFound: The folder is not a peft adapter.
    """
    config = _read_config(folder)
    kept = ("r", "lora_alpha", "use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
    digest = hashlib.sha256(json.dumps({key: config.get(key) for key in kept}, sort_keys=True).encode())
    digest.update((folder / WEIGHTS).read_bytes())
    return digest.hexdigest()[:16]


def adapter_name(folder: Path) -> str:
    """What an adapter is called: its folder, or the run where the folder is the `adapter` or a checkpoint of one."""
    folder = folder.resolve()
    if folder.name == "adapter":
        return folder.parent.name
    return f"{folder.parent.name}-{folder.name}" if folder.name.startswith("checkpoint-") else folder.name


def base_name(adapter: Path) -> str:
    """What the base that an adapter names is called, without the folder or organisation that it is in."""
    return Path(str(_read_config(adapter).get("base_model_name_or_path") or "")).name or "its base"


def merge_adapter(model: nn.Module, folder: Path) -> None:
    """Fold the adapter into the model's weights, in place.

    Args:
        model: A `Qwen2VLModel`, in any dtype.
        folder: As peft writes it: `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelNotFound: The folder is not a peft adapter.
        AdapterMismatch: A tensor fits no module of the model, has the wrong shape or is missing.
    """
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import load_file

    _read_config(folder)
    tensors = {_place(name): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    modules = _modules_of(tensors, model, folder)
    config = LoraConfig.from_pretrained(str(folder))
    config.target_modules = set(modules)  # exactly those the file has: the config's own names may be another version's
    config.inference_mode = True
    config.modules_to_save = None
    inject_adapter_in_model(config, model)

    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name in modules:
        _fill(name, layers[name], {part: tensors.get(f"{name}.{part}") for part in PARTS}, folder)
    for name, layer in layers.items():
        base = layer.get_base_layer()
        weight: torch.Tensor = base.weight
        dtype = weight.dtype
        base.float()  # merged in float32, then cast: DoRA divides by a norm, which bfloat16 would round away
        layer.merge(safe_merge=True)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, base.to(dtype))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    torch.cuda.empty_cache()


def _place(name: str) -> str:
    """The name of an adapter tensor in a `Qwen2VLModel`, from any version's: `language_model.layers.0...lora_A`."""
    name = name.removeprefix("base_model.model.").removeprefix("model.")
    name = name.removesuffix(".weight")
    return f"language_model.{name}" if name.startswith("layers.") else name


def _modules_of(tensors: dict[str, torch.Tensor], model: nn.Module, folder: Path) -> list[str]:
    """The modules that the tensors belong to; every tensor must belong to one."""
    from torch import nn

    linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    placed = {name: name.rpartition(".") for name in tensors}
    left_over = sorted(name for name, (module, _, part) in placed.items() if module not in linear or part not in PARTS)
    if left_over:
        raise AdapterMismatch(
            f"the adapter {folder} holds {len(left_over)} of {len(tensors)} tensors that fit nothing in this model: "
            f"{', '.join(left_over[:4])}{' …' if len(left_over) > 4 else ''}; load it onto the base it was trained on"
        )
    if not tensors:
        raise AdapterMismatch(f"the adapter {folder} holds no tensors; it would change nothing")
    return sorted({module for module, _, _ in placed.values()})


def _fill(name: str, layer: Any, parts: dict[str, torch.Tensor | None], folder: Path) -> None:
    """Give one injected layer its tensors, checking that none is missing or of another shape."""
    slots = {
        "lora_A": layer.lora_A["default"].weight,
        "lora_B": layer.lora_B["default"].weight,
        "lora_magnitude_vector": layer.lora_magnitude_vector["default"].weight if layer.lora_magnitude_vector else None,
    }
    for part, slot in slots.items():
        tensor = parts[part]
        got = None if tensor is None else tuple(tensor.shape)
        expected = None if slot is None else tuple(slot.shape)
        if got != expected:
            raise AdapterMismatch(
                f"the adapter {folder} has {part} of {name} as {got or 'nothing'}, this model and the adapter's own "
                f"settings need {expected or 'none'}; load it onto the base it was trained on"
            )
        if slot is not None and tensor is not None:
            slot.data = tensor.float()


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelNotFound(
                f"{folder} is no adapter: it has no {name}; expected a folder as peft's save_pretrained writes it"
            )
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA":
        raise AdapterMismatch(f"the adapter {folder} is of type {config.get('peft_type')!r}; only LORA can be merged")
    return config
