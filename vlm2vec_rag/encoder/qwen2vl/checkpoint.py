"""Find a checkpoint, on disk or on the hub, and load it whole.

Three layouts are taken: a full model, an adapter with its base named in its config (as `VLM2Vec/VLM2Vec-V2.0` is
published), and a base and an adapter given apart. Only safetensors are read: unpickling runs code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.encoder.adapter import CONFIG as ADAPTER_CONFIG
from vlm2vec_rag.encoder.adapter import adapter_digest, merge_adapter
from vlm2vec_rag.encoder.names import NANO
from vlm2vec_rag.encoder.qwen2vl.patches import PatchSettings
from vlm2vec_rag.errors import AdapterMismatch, InvalidInput, ModelNotFound

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Qwen2VLModel

NANO_FOLDER = Path(__file__).parents[2] / "nano"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PATTERNS = ["*.json", "*.safetensors", "*.txt"]
SAMPLE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a model's files are, all of them on disk."""

    name: str  # as people know it
    base: Path
    adapter: Path | None

    @property
    def config(self) -> dict[str, Any]:
        """The base's `config.json`."""
        config: dict[str, Any] = json.loads((self.base / "config.json").read_text(encoding="utf-8"))
        return config

    @property
    def dim(self) -> int:
        """Width of the vectors: the language model's hidden size."""
        config = self.config
        return int({**config, **config.get("text_config", {})}["hidden_size"])

    @property
    def dense_weight(self) -> float:
        """What the ranking by vectors counts beside that of words, as `config.json` says; 1 if it does not."""
        return float(self.config.get("dense_weight", 1.0))

    @property
    def weights_digest(self) -> str:
        """Sixteen digits that tell checkpoints apart, from the names, shapes and a sample of every tensor.

        A digest over all 4.4 GB would cost seconds at every start, and a training step moves every tensor it touches.
        """
        digest = hashlib.sha256()
        for path in sorted(self.base.glob("*.safetensors")):
            with path.open("rb") as file:
                header = file.read(int.from_bytes(file.read(8), "little"))
                digest.update(header)
                start = file.tell()
                tensors = {name: each for name, each in json.loads(header).items() if name != "__metadata__"}
                for _, tensor in sorted(tensors.items()):
                    first, last = tensor["data_offsets"]
                    file.seek(start + max(first, (first + last - SAMPLE_BYTES) // 2))
                    digest.update(file.read(min(SAMPLE_BYTES, last - first)))
        return digest.hexdigest()[:16]

    @property
    def adapter_digest(self) -> str:
        """Sixteen digits over the adapter, or nothing."""
        return adapter_digest(self.adapter) if self.adapter else ""

    @property
    def patch_settings(self) -> PatchSettings:
        """The vision tower's constants; its pixel limits are not read, the budget is the encoder's own.

        The published preprocessor_config allows 12.8 M pixels, the public code caps at 1.0 M when it trains and tests.
        """
        path = self.base / "preprocessor_config.json"
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        names = {"patch": "patch_size", "merge": "merge_size", "temporal": "temporal_patch_size"}
        found = {ours: values[theirs] for ours, theirs in names.items() if theirs in values}
        found |= {ours: tuple(values[f"image_{ours}"]) for ours in ("mean", "std") if f"image_{ours}" in values}
        return PatchSettings(**found)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self.base, local_files_only=True)
        return tokenizer

    def load(self, device: torch.device, dtype: torch.dtype) -> Qwen2VLModel:
        """The model with its adapter folded in, ready to encode.

        Raises:
            ModelNotFound: The weights are incomplete or of another architecture.
            AdapterMismatch: The adapter does not fit the base, tensor by tensor.
        """
        model = load_base(self.base)
        if self.adapter:
            merge_adapter(model, self.adapter)
        ready: Qwen2VLModel = model.to(device=device, dtype=dtype).eval().requires_grad_(False)
        return ready


def find_checkpoint(model: str | Path, adapter: str | Path | None = None, revision: str | None = None) -> Checkpoint:
    """Bring the files of a model, and of its adapter if it has one, to disk.

    Args:
        model: A hub id or a folder, of a full model or of an adapter that names its base; or `nano`.
        adapter: A hub id or a folder of an adapter to put on `model`.
        revision: Branch, tag or commit of `model` on the hub.

    Raises:
        ModelNotFound: A folder or a hub repository cannot be reached, or lacks its weights.
        AdapterMismatch: Two adapters are asked for, or a folder holds both a model and an adapter.
    """
    folder = _folder(model, revision)
    if not (folder / ADAPTER_CONFIG).is_file():
        _check_weights(folder)
        on_top = None if adapter is None else _folder(adapter, None)
        return Checkpoint(name=_name(model), base=folder, adapter=on_top)
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
    return Checkpoint(name=_name(model), base=base, adapter=folder)


def load_base(folder: Path) -> Qwen2VLModel:
    """A Qwen2-VL without its head, in the dtype of its file, its patch embedding as a matrix product.

    Raises:
        ModelNotFound: The weights are incomplete or of another architecture.
    """
    from transformers import Qwen2VLModel

    from vlm2vec_rag.encoder.qwen2vl.forward import PatchProjection

    with no_progress_bar():
        model, report = Qwen2VLModel.from_pretrained(
            folder,
            dtype="auto",
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    missing = sorted(report["missing_keys"]) + sorted(str(each) for each in report["mismatched_keys"])
    unused = sorted(key for key in report["unexpected_keys"] if not key.startswith("lm_head"))
    if missing or unused:
        raise ModelNotFound(
            f"the weights in {folder} do not make a whole Qwen2-VL: missing {missing[:3] or 'nothing'}, "
            f"not understood {unused[:3] or 'nothing'}; download the checkpoint again"
        )
    whole: Qwen2VLModel = model
    whole.visual.patch_embed = PatchProjection(whole.visual.patch_embed.proj)
    return whole


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


def _folder(name: str | Path, revision: str | None, wanted_by: str | Path | None = None) -> Path:
    """The folder of that name, or the hub's files of that id, brought to disk."""
    if name == NANO:
        return NANO_FOLDER
    path = Path(name).expanduser()
    if str(name) and path.is_dir():
        return path
    wanted = f" (the base that {wanted_by} names)" if wanted_by else ""
    if not HUB_ID.fullmatch(str(name)) or str(name).startswith((".", "/", "~")):
        raise ModelNotFound(
            f"no model at {str(name)!r}{wanted}: it is no folder here and no hub id; "
            f"expected a folder with config.json and safetensors, an id such as VLM2Vec/VLM2Vec-V2.0, or {NANO}"
        )
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=PATTERNS))
    except Exception as error:  # the hub's client raises a dozen types, requests' own among them
        raise ModelNotFound(
            f"cannot get the model {str(name)!r}{wanted}: it is no folder here, not whole in the cache "
            f"{constants.HF_HUB_CACHE}, and {constants.ENDPOINT} gave {type(error).__name__}. "
            "Give the path of a local copy instead, or set HF_ENDPOINT to a mirror of the hub"
        ) from error


def _check_weights(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder} has no config.json; expected the folder of a Qwen2-VL model or of an adapter")
    if not any(folder.glob("*.safetensors")):
        raise ModelNotFound(
            f"{folder} has no safetensors; pickled weights are not read, because reading them runs code"
        )
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != "qwen2_vl":
        raise InvalidInput(f"{folder} is a {kind!r} model; this encoder takes qwen2_vl, which VLM2Vec-V2 is built on")


def _name(model: str | Path) -> str:
    path = Path(model).expanduser()
    return path.resolve().name if path.is_dir() else str(model)
