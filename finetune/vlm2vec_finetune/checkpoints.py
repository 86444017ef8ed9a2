"""Checkpoints: the adapter as peft's folder (or the whole model as the hub's), the trainer's state beside it.

    run/checkpoint-00000050/adapter_config.json, adapter_model.safetensors     what the encoder and peft load
    run/checkpoint-00000050/trainer/state.json, optimizer.safetensors          what resuming needs

A checkpoint is written under another name and renamed when it is whole, so that one that is there can be trusted. No
random state is kept: batches and dropout are functions of (seed, step). No pickle is written or read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vlm2vec_finetune.lora import adapter_config, adapter_tensors, load_adapter_tensors
from vlm2vec_rag.disk import replacing
from vlm2vec_rag.encoder.adapter import CONFIG, WEIGHTS
from vlm2vec_rag.encoder.trained import TrainedWith
from vlm2vec_rag.errors import AdapterMismatch, ModelNotFound

if TYPE_CHECKING:
    from vlm2vec_finetune.recipe import Recipe
    from vlm2vec_rag.encoder.family import ModelFiles

PREFIX, STATE = "checkpoint-", "trainer"
TRAINING = "training.json"  # what it was trained from, and how: for the evaluation and the model card
COPIED = ("*.json", "*.txt", "*.jinja", "*.model")  # tokenizer and settings of a base, not its weights


def step_folder(run: Path, step: int) -> Path:
    return run / f"{PREFIX}{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """The run's whole checkpoints, oldest first."""
    return sorted(each for each in run.glob(f"{PREFIX}*") if (each / STATE / "state.json").is_file())


def save_checkpoint(
    run: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    files: ModelFiles,
    base_name: str,
    state: Mapping[str, Any],
) -> Path:
    """Write a checkpoint, whole or not at all, and remove those beyond `keep_checkpoints`."""
    folder = step_folder(run, step)
    with replacing(folder, sync=True) as part:
        save_model(part, model, recipe, files=files, base_name=base_name)
        (part / STATE).mkdir()
        save_file(_optimizer_tensors(model, optimizer), part / STATE / "optimizer.safetensors")
        values = {**state, "step": step, "recipe": recipe.deciding()}
        (part / STATE / "state.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
    for old in checkpoints(run)[: -recipe.keep_checkpoints]:
        shutil.rmtree(old)
    return folder


def save_model(folder: Path, model: nn.Module, recipe: Recipe, *, files: ModelFiles, base_name: str) -> None:
    """Write what is served: the adapter in peft's layout, or the whole model in that of its base.

    The settings that decide its vectors lie beside, and loading it applies them.
    """
    folder.mkdir(parents=True)
    told = json.dumps({"model_name": recipe.model_name, "recipe": recipe.deciding()}, indent=1, ensure_ascii=False)
    (folder / TRAINING).write_text(told + "\n", encoding="utf-8")
    if recipe.mode == "lora":
        save_file(adapter_tensors(model), folder / WEIGHTS, metadata={"format": "pt"})
        config = json.dumps(adapter_config(recipe, base_name, model), indent=2, sort_keys=True)
        (folder / CONFIG).write_text(config + "\n", encoding="utf-8")
    else:
        save_full(folder, model, files.base)
    TrainedWith(
        max_pixels=recipe.max_pixels,
        frames=recipe.frames,
        prompts=files.family.prompts.digest,
        base=base_name,
        base_weights=files.weights_digest,
    ).write(folder)


def save_full(folder: Path, model: nn.Module, base: Path) -> None:
    """Write every weight under the base's own names, with its tokenizer and settings beside.

    A head of the base's own is copied as it is: training never reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in COPIED:
        for file in base.glob(pattern):
            if not file.name.endswith(".index.json"):
                shutil.copy(file, folder / file.name)
    stored: set[str] = set()
    heads: dict[str, torch.Tensor] = {}
    for path in sorted(base.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            stored |= set(file.keys())
            heads |= {name: file.get_tensor(name) for name in file.keys() if name.startswith("lm_head")}  # noqa: SIM118
    tensors = {_stored_name(name, stored): tensor for name, tensor in model.state_dict().items()} | heads
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> dict[str, Any]:
    """Bring model and optimizer to where a checkpoint was.

    Returns:
        The state it was saved with; `step` is the number of steps done.

    Raises:
        AdapterMismatch: It is of another recipe; the settings that differ are named.
        ModelNotFound: Files are missing.
    """
    try:
        state: dict[str, Any] = json.loads((folder / STATE / "state.json").read_text(encoding="utf-8"))
        moments = load_file(folder / STATE / "optimizer.safetensors")
        weights = load_file(folder / (WEIGHTS if recipe.mode == "lora" else "model.safetensors"))
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"the checkpoint {folder} is not whole: {error}; remove it to resume the one before"
        ) from error
    now, then = recipe.deciding(), state["recipe"]
    if other := sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key)):
        changes = ", ".join(f"{key} was {then.get(key)!r} and is {now.get(key)!r}" for key in other)
        raise AdapterMismatch(
            f"{folder} was trained by another recipe: {changes}; put them back, choose another output_dir, "
            "or start over with --restart"
        )
    if recipe.mode == "lora":
        load_adapter_tensors(model, weights, folder)
    else:
        own = model.state_dict()
        for name, tensor in own.items():
            tensor.copy_(weights[_stored_name(name, weights)])
    _fill_optimizer(model, optimizer, moments)
    return state


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}:{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def _fill_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    by_name = dict(model.named_parameters())
    for name, tensor in tensors.items():
        parameter, _, key = name.rpartition(":")
        # the step counter stays on the CPU, where the optimizer keeps it
        where = tensor if key == "step" else tensor.to(by_name[parameter].device)
        optimizer.state[by_name[parameter]][key] = where


def _stored_name(name: str, stored: Container[str]) -> str:
    """A parameter's name in a checkpoint's files: hubs write what a model with a head would call it."""
    names = (name, f"model.{name}", f"model.{name.removeprefix('language_model.')}")
    return next((each for each in names if each in stored), name)
