"""Put a LoRA or DoRA adapter into a model, and give its dropout masks that depend on nothing but (seed, step, input).

Ordinary dropout draws from the device's random stream, so a mask depends on how the batch was cut into chunks and
ranks, and GradCache must rewind the stream for its second pass. Here the mask of an input is made from a key of that
input: both passes see the same one, any chunking and any number of ranks gives the same step, and a resumed run needs
no random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vlm2vec_rag.errors import AdapterMismatch, InvalidInput

if TYPE_CHECKING:
    from vlm2vec_finetune.recipe import Recipe

LAYERS = "language_model.layers."


@dataclass(slots=True)
class Keys:
    """The inputs that the next forward pass will see: one key and one length each. Shared by all dropout layers."""

    of_rows: Sequence[int] = field(default_factory=tuple)
    lengths: Sequence[int] = field(default_factory=tuple)


class KeyedDropout(nn.Module):
    """Dropout whose mask is a function of the input's key and the layer's number."""

    def __init__(self, p: float, number: int, keys: Keys) -> None:
        super().__init__()
        self.p, self._number, self._keys = p, number, keys

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to the same shape; padding is left as it is."""
        if not self.training or self.p == 0:
            return x
        if len(self._keys.of_rows) != len(x):
            raise InvalidInput(f"{len(x)} inputs came with {len(self._keys.of_rows)} dropout keys; set them before")
        scale = torch.ones_like(x)
        for row, (key, length) in enumerate(zip(self._keys.of_rows, self._keys.lengths, strict=True)):
            stream = torch.Generator(x.device).manual_seed(mixed(key, self._number))
            # only the real tokens: how far a row is padded depends on its neighbours
            kept = torch.rand((length, x.shape[-1]), generator=stream, device=x.device) >= self.p
            scale[row, :length] = kept.to(x.dtype) / (1 - self.p)
        return x * scale


def mixed(*numbers: int) -> int:
    """One 63-bit seed from several numbers; near numbers give unrelated seeds (splitmix64, Steele et al. 2014)."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def add_adapter(model: nn.Module, recipe: Recipe) -> Keys:
    """Give the language model's linear layers trainable adapters, and freeze all else.

    The adapter's numbers are kept in float32 whatever the model's format, and begin the same on every rank: A is drawn
    from the recipe's seed, B is zero, so the adapted model begins as its base.

    Returns:
        The keys to set before each forward pass.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        use_dora=recipe.use_dora,
        target_modules=[name for name, _ in target_layers(model, recipe.lora_target_modules)],
    )
    inject_adapter_in_model(config, model)
    stream = torch.Generator().manual_seed(mixed(recipe.seed, 0))
    keys = Keys()
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    for number, layer in enumerate(layers):
        first = layer.lora_A["default"].weight
        # as the public code initialises: gaussian, standard deviation 1/rank
        drawn = torch.normal(0.0, 1 / recipe.lora_rank, first.shape, generator=stream)
        first.data = drawn.to(device=first.device)
        layer.lora_B["default"].weight.data = layer.lora_B["default"].weight.data.float().zero_()
        if layer.lora_magnitude_vector:
            magnitude = layer.lora_magnitude_vector["default"]
            base = layer.get_base_layer().weight.data.float()
            magnitude.weight.data = torch.linalg.norm(base, dim=1).to(magnitude.weight.device)
        layer.lora_dropout["default"] = KeyedDropout(recipe.lora_dropout, number, keys)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return keys


def target_layers(model: nn.Module, wanted: Sequence[str]) -> list[tuple[str, nn.Module]]:
    """The language model's linear layers of those names, in order.

    Raises:
        InvalidInput: The model has none of one of the names.
    """
    found: list[tuple[str, nn.Module]] = [
        (name, module)
        for name, module in model.named_modules()
        if name.startswith(LAYERS) and name.rpartition(".")[2] in wanted and isinstance(module, nn.Linear)
    ]
    if missing := sorted(set(wanted) - {name.rpartition(".")[2] for name, _ in found}):
        raise InvalidInput(f"the model has no {', '.join(missing)}; remove them from lora_target_modules")
    return found


def adapter_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The adapter's tensors under the names that peft gives them on the class that the checkpoint is loaded with.

    A checkpoint of a model with a head has what is trained here under `model`; one of a bare model has it on top.
    """
    architectures: list[str] = getattr(model.config, "architectures", None) or []
    is_bare = any(each.endswith("Model") for each in architectures)
    return {
        _peft_name(name, is_bare=is_bare): p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if "lora_" in name
    }


def load_adapter_tensors(model: nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """Fill the adapter from a file's tensors, which must be exactly its own.

    Raises:
        AdapterMismatch: A tensor is missing, left over or of another shape; the recipe's adapter is another one.
    """
    slots = {_place(_peft_name(name)): p for name, p in model.named_parameters() if "lora_" in name}
    given = {_place(name): tensor for name, tensor in tensors.items()}
    wrong = sorted(set(slots) ^ set(given))
    wrong += [name for name in set(slots) & set(given) if slots[name].shape != given[name].shape]
    if wrong:
        raise AdapterMismatch(
            f"the adapter in {folder} and the recipe's lora settings differ in {len(wrong)} tensors: "
            f"{', '.join(wrong[:3])}{' …' if len(wrong) > 3 else ''}; set lora_rank, use_dora and lora_target_modules "
            "to those in its adapter_config.json"
        )
    for name, slot in slots.items():
        slot.data = given[name].to(device=slot.device, dtype=torch.float32)


def adapter_config(recipe: Recipe, base_name: str, model: nn.Module) -> dict[str, Any]:
    """What peft reads beside the tensors."""
    from peft import LoraConfig

    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        use_dora=recipe.use_dora,
        target_modules=list(recipe.lora_target_modules),
        base_model_name_or_path=base_name,
        inference_mode=True,
    ).to_dict()
    config["target_modules"] = sorted(recipe.lora_target_modules)
    leaves = {name.rpartition(".")[2] for name, _ in model.named_modules() if not name.startswith(LAYERS)}
    if leaves & set(recipe.lora_target_modules):  # a vision tower has layers of these names too, which are not adapted
        config["target_modules"] = rf".*{LAYERS.replace('.', '[.]')}.*[.]({'|'.join(config['target_modules'])})"
    return {key: getattr(value, "value", value) for key, value in config.items()}


def _peft_name(name: str, *, is_bare: bool = False) -> str:
    # peft writes the magnitude without `.weight`, from when it was a bare parameter
    short = name.replace(".default", "").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
    return f"base_model.model.{short}" if is_bare else f"base_model.model.model.{short}"


def _place(name: str) -> str:
    """A name without what versions put in front of it: `layers.0.self_attn.q_proj.lora_A.weight`."""
    return name[name.index("layers.") :].removesuffix(".weight")
