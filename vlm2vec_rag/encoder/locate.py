"""Find the folders of a model and its adapter, on disk or on the hub. Only safetensors are read: unpickling runs code.

Three layouts are taken: a full model, an adapter with its base named in its config (as `VLM2Vec/VLM2Vec-V2.0` is
published), and a base and an adapter given apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm2vec_rag.disk import is_full
from vlm2vec_rag.encoder.adapter import CONFIG as ADAPTER_CONFIG
from vlm2vec_rag.encoder.adapter import WEIGHTS as ADAPTER_WEIGHTS
from vlm2vec_rag.encoder.names import NANO
from vlm2vec_rag.errors import AdapterMismatch, DiskFull, ModelNotFound

NANO_FOLDER = Path(__file__).parents[1] / "nano"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PATTERNS = ["*.json", "*.safetensors", "*.txt"]
TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")


def locate(
    model: str | Path, adapter: str | Path | None = None, revision: str | None = None
) -> tuple[Path, Path | None]:
    """Bring the files of a model, and of its adapter if it has one, to disk.

    Args:
        model: A hub id or a folder, of a full model or of an adapter that names its base; or `nano`.
        adapter: A hub id or a folder of an adapter to put on `model`.
        revision: Branch, tag or commit of `model` on the hub.

    Returns:
        The folders of the base and of the adapter.

    Raises:
        ModelNotFound: A folder or a hub repository cannot be reached, or lacks its weights.
        AdapterMismatch: Two adapters are asked for, or a folder holds both a model and an adapter.
    """
    folder = _folder(model, revision)
    if not (folder / ADAPTER_CONFIG).is_file():
        _check_weights(folder)
        return folder, None if adapter is None else _folder(adapter, None, what="adapter")
    if adapter is not None:
        raise AdapterMismatch(
            f"{model} is an adapter already, and {adapter} is another; give the base as model and one adapter"
        )
    if any(folder.glob("model*.safetensors")):
        raise AdapterMismatch(
            f"{model} holds a full model and an adapter, so it is open which is meant; "
            f"remove {ADAPTER_CONFIG} if the adapter is merged, or keep the two in folders of their own"
        )
    named = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    beside = folder / named
    base = _folder(beside if named and beside.is_dir() else named, None, wanted_by=model)
    _check_weights(base)
    return base, folder


def is_on_disk(name: str) -> bool:
    """Whether a model, and the base it names if it is an adapter, is whole on this machine: `nano`, or a hub id."""
    if name == NANO:
        return True
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> Path | None:
        path = try_to_load_from_cache(name, file)
        return Path(path) if isinstance(path, str) else None

    if (adapter := cached(ADAPTER_CONFIG)) is not None:
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
        return cached(ADAPTER_WEIGHTS) is not None and bool(base) and is_on_disk(base)
    if cached("config.json") is None or not any(cached(each) for each in TOKENIZERS):
        return False
    if (index := cached("model.safetensors.index.json")) is not None:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all(cached(part) for part in parts)
    return cached("model.safetensors") is not None


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar over ours, and leave its setting as it was."""
    from transformers.utils import logging as transformers_logging

    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _folder(name: str | Path, revision: str | None, wanted_by: str | Path | None = None, what: str = "model") -> Path:
    """The folder of that name, or the hub's files of that id, brought to disk."""
    if name == NANO:
        return NANO_FOLDER
    path = Path(name).expanduser()
    if str(name) and path.is_dir():
        return path
    wanted = f" (the base that {wanted_by} names)" if wanted_by else ""
    if not HUB_ID.fullmatch(str(name)) or str(name).startswith((".", "/", "~")):
        raise ModelNotFound(
            f"no {what} at {str(name)!r}{wanted}: it is no folder here and no hub id; "
            f"expected a folder with config.json and safetensors, an id such as VLM2Vec/VLM2Vec-V2.0, or {NANO}"
        )
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=PATTERNS))
    except Exception as error:  # the hub's client raises a dozen types, requests' own among them
        if is_full(error, Path(constants.HF_HUB_CACHE)):
            raise DiskFull(
                f"there is no room on the disk of {constants.HF_HUB_CACHE} for the {what} {str(name)!r}; make room, or "
                "set HF_HOME to another disk, and run the same again: the download goes on"
            ) from error
        raise ModelNotFound(
            f"cannot get the {what} {str(name)!r}{wanted}: it is no folder here, not whole in the cache "
            f"{constants.HF_HUB_CACHE}, and {constants.ENDPOINT} gave {type(error).__name__}. "
            "Give the path of a local copy instead, or set HF_ENDPOINT to a mirror of the hub"
        ) from error


def _check_weights(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise ModelNotFound(f"{folder} has no config.json but {found}; expected the folder of a model or of an adapter")
    if not any(folder.glob("*.safetensors")):
        raise ModelNotFound(
            f"{folder} has no safetensors; pickled weights are not read, because reading them runs code"
        )
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelNotFound(f"{folder} has no tokenizer (tokenizer.json); copy it from the model's page on the hub")
