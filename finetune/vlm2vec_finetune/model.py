"""The model to train: a base in the right number format, with an adapter in it or all its weights free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn

from vlm2vec_finetune.gradcache import GradCache
from vlm2vec_finetune.inputs import Inputs, Opener
from vlm2vec_finetune.lora import Keys, add_adapter, load_adapter_tensors
from vlm2vec_finetune.vision_cache import VisionCache
from vlm2vec_rag.encoder.adapter import WEIGHTS
from vlm2vec_rag.encoder.family import ModelFiles
from vlm2vec_rag.encoder.load import find_model

if TYPE_CHECKING:
    from vlm2vec_finetune.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model ready to train, and how inputs reach it."""

    model: Any  # of the checkpoint's family
    files: ModelFiles
    base_name: str  # what an adapter's config names as its base
    inputs: Inputs
    engine: GradCache

    @property
    def trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_trainee(recipe: Recipe, device: torch.device, open_visual: Opener) -> Trainee:
    """Load what the recipe names.

    A `model_name` that is an adapter is trained further: the result is an adapter on the same base, not one on top.

    Raises:
        ModelNotFound: The model cannot be reached.
        AdapterMismatch: It is an adapter of other settings than the recipe's.
    """
    files = find_model(recipe.model_name)
    model = files.family.load_base(files.base)
    bf16 = recipe.precision == "bf16"
    # an adapter's base only multiplies, so its weights may be bfloat16; what is trained adds up small steps in float32
    model = model.to(device=device, dtype=torch.bfloat16 if bf16 and recipe.mode == "lora" else torch.float32)
    keys = Keys()
    if recipe.mode == "lora":
        keys = add_adapter(model, recipe)
        if files.adapter is not None:
            load_adapter_tensors(model, load_file(files.adapter / WEIGHTS), files.adapter)
    else:
        if files.adapter is not None:
            from vlm2vec_rag.encoder.adapter import merge_adapter

            merge_adapter(model, files.adapter)
        model.requires_grad_(True)
        for name in files.family.vision:
            model.get_submodule(name).requires_grad_(not recipe.freeze_vision)
    if recipe.gradient_checkpointing:
        # transformers renamed it within version 5
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    runner = files.family.runner(files, recipe.max_pixels)
    cache = None
    if recipe.vision_cache:
        cache = VisionCache(recipe.vision_cache, f"{files.weights_digest}-{recipe.precision}")
    engine = GradCache(
        model,
        runner,
        dim=files.family.dim(files),
        chunk_size=recipe.chunk_size,
        device=device,
        bf16=bf16,
        vision_is_frozen=recipe.freeze_vision,
        keys=keys,
        vision_cache=cache,
    )
    inputs = Inputs(runner, files.family.prompts, max_tokens=recipe.max_tokens, open_visual=open_visual)
    return Trainee(model, files, _base_name(recipe.model_name, files), inputs, engine)


def _base_name(model_name: str, files: ModelFiles) -> str:
    """What others find the base by: its hub id, or its folder on this machine."""
    if files.adapter is None:
        path = Path(model_name).expanduser()
        return str(path.resolve()) if path.is_dir() else model_name
    import json

    from vlm2vec_rag.encoder.adapter import CONFIG

    named = str(json.loads((files.adapter / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])
    return str(files.base.resolve()) if (files.adapter / named).is_dir() else named
