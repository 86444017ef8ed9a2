"""`load_encoder`: a model's name to an encoder that is ready to run, of whichever family the model is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.adapter import adapter_name, base_name
from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.encoder.family import Family, ModelFiles
from vlm2vec_rag.encoder.locate import locate
from vlm2vec_rag.encoder.names import DEFAULT_MODEL
from vlm2vec_rag.errors import InvalidInput, ModelNotFound

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

BATCH_TOKENS = {"cpu": 4096, "mps": 8192, "cuda": 32768}
# `model_type` of a config.json -> the module whose FAMILY runs such models
FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "qwen2_vl": "vlm2vec_rag.encoder.qwen2vl.family",
        "qwen3_vl": "vlm2vec_rag.encoder.qwen3vl.family",
        "embedding_gemma2": "vlm2vec_rag.encoder.embeddinggemma2.family",
    }
)


def find_model(
    model: str | Path | None = None, adapter: str | Path | None = None, revision: str | None = None
) -> ModelFiles:
    """The files of a model, its family and its fingerprint; no weights are loaded.

    Args:
        model: See `load_encoder`.
        adapter: See `load_encoder`.
        revision: See `load_encoder`.

    Raises:
        ModelNotFound: A folder or a hub repository cannot be reached, or lacks its weights.
        AdapterMismatch: Two adapters are asked for, or a folder holds both a model and an adapter.
        InvalidInput: The model is of no family that is supported.
    """
    if model is None and adapter is not None:
        model, adapter = adapter, None  # an adapter names its base, which the default model, an adapter too, is not
    named = DEFAULT_MODEL if model is None else model
    base, on_top = locate(named, adapter, revision)
    path = Path(named).expanduser()
    name = path.resolve().name if path.is_dir() else str(named)
    folder = Path(named if adapter is None else adapter).expanduser()
    if on_top is not None and folder.is_dir():
        name = f"{base_name(on_top) if adapter is None else Path(name).name}+{adapter_name(folder)}"
    return ModelFiles(name=name, base=base, adapter=on_top, family=_family_of(base))


def load_encoder(
    model: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    max_pixels: int | None = None,
    frames: int | None = None,
    dim: int | None = None,
    batch_tokens: int | None = None,
) -> Encoder:
    """Load a model that encodes text, images, pages and clips into one space.

    Args:
        model: A hub id or a folder; of a full model, or of an adapter that names its base, as VLM2Vec-V2.0 is
            published. "nano" is the model that comes with the package (a folder of that name is "./nano"). None
            takes the base that `adapter` names, or else `DEFAULT_MODEL`. `vlm2vec_rag.models()` lists those known.
        adapter: A LoRA or DoRA adapter to fold into `model`: a hub id or a folder.
        device: cuda, cuda:1, mps or cpu. None takes the best there is.
        dtype: float32, bfloat16 or float16. None takes the fastest that keeps the model's range.
        revision: Branch, tag or commit of `model` on the hub.
        max_pixels: Budget of one image or frame; larger images are reduced, their shape kept. None takes
            what the model or adapter was trained with, where its folder says so (another is warned of), or suits it.
        frames: Frames that clips are read with; recorded in the fingerprint. None as for `max_pixels`.
        dim: Numbers of a vector, fewer than the model's own where it was trained for that (Matryoshka): a smaller and
            quicker collection for a little quality. None takes them all.
        batch_tokens: Tokens of one forward pass, padding included. None suits the device.

    Raises:
        ModelNotFound: The model or adapter cannot be reached.
        AdapterMismatch: The adapter does not fit, tensor by tensor.
        InvalidInput: A setting makes no sense, the device is not here, or the model is of no supported family.
    """
    from vlm2vec_rag.encoder.device import choose_device, choose_dtype

    chosen_device = choose_device(device)
    files = find_model(model, adapter, revision)
    fingerprint = files.fingerprint(max_pixels, frames, dim)
    files.trained_with.warn_of_differences(
        files.adapter or files.base, fingerprint, is_adapter=files.adapter is not None
    )
    chosen_dtype = choose_dtype(chosen_device, dtype)
    formats = files.family.formats
    if str(chosen_dtype).removeprefix("torch.") not in formats:
        raise InvalidInput(f"{files.family.title} gives no numbers in {chosen_dtype}; take {' or '.join(formats)}")

    from vlm2vec_rag.encoder.local import LocalEncoder  # imports torch, which a wrong setting should not wait for

    encoder = LocalEncoder(
        files,
        chosen_device,
        chosen_dtype,
        fingerprint,
        batch_tokens=batch_tokens or BATCH_TOKENS.get(chosen_device.type, 4096),
    )
    first = adapter if model is None and adapter is not None else DEFAULT_MODEL if model is None else model
    on_top = None if model is None or adapter is None else str(adapter)
    encoder.loaded_from = (str(first), on_top, revision)
    logger.info("%s runs on %s", encoder.fingerprint, encoder.runs_on)
    return encoder


def families() -> list[Family]:
    """Every family that is supported."""
    return [_import(model_type) for model_type in FAMILIES]


def _family_of(folder: Path) -> Family:
    """The family of a checkpoint, by its config.json; one that asks for another pooling is refused.

    A sentence-transformers folder says how states become a vector. Read another way it would silently be another model.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = config.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelNotFound(f"{folder}/config.json is no JSON object: {error}; download the model again") from error
    known = ", ".join(f"{each.model_type} ({each.title})" for each in families())
    if model_type not in FAMILIES:
        modules = folder / "modules.json"
        kind = "a sentence-transformers folder of " if modules.is_file() else ""
        raise InvalidInput(f"{folder} is {kind}a {model_type!r} model; supported are {known}")
    family = _import(model_type)
    pooling = _pooling(folder)
    if pooling and pooling != family.pooling:
        raise InvalidInput(
            f"{folder} is a sentence-transformers folder that pools by {pooling}; {family.title} pools by "
            f"{family.pooling}, so this is another model, which is not supported; supported are {known}"
        )
    return family


def _pooling(folder: Path) -> str:
    """What a sentence-transformers folder pools by (`mean`, `lasttoken`); empty where it does not say."""
    for path in sorted(folder.glob("*_Pooling/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        if named := config.get("pooling_mode"):
            return str(named)
        modes = [key.removeprefix("pooling_mode_") for key, is_on in config.items() if is_on is True]
        return "+".join(mode.removesuffix("_tokens") for mode in modes if f"pooling_mode_{mode}" in config)
    return "mean" if (folder / "modules.json").is_file() else ""  # the default of sentence-transformers


def _import(model_type: str) -> Family:
    family: Family = import_module(FAMILIES[model_type]).FAMILY
    return family
