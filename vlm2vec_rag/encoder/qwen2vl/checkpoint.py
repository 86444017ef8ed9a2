"""Load a Qwen2-VL checkpoint whole, without its head, and its adapter with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.adapter import merge_adapter
from vlm2vec_rag.encoder.locate import no_progress_bar
from vlm2vec_rag.encoder.qwen2vl.patches import PatchSettings
from vlm2vec_rag.errors import ModelNotFound

if TYPE_CHECKING:
    import torch
    from transformers import Qwen2VLModel

    from vlm2vec_rag.encoder.family import ModelFiles


def load_model(files: ModelFiles, device: torch.device, dtype: torch.dtype) -> Qwen2VLModel:
    """The model with its adapter folded in, ready to encode.

    Raises:
        ModelNotFound: The weights are incomplete or of another architecture.
        AdapterMismatch: The adapter does not fit the base, tensor by tensor.
    """
    model = load_base(files.base)
    if files.adapter:
        merge_adapter(model, files.adapter)
    ready: Qwen2VLModel = model.to(device=device, dtype=dtype).eval().requires_grad_(False)
    return ready


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


def patch_settings(folder: Path) -> PatchSettings:
    """The vision tower's constants; its pixel limits are not read, the budget is the encoder's own.

    The published preprocessor_config allows 12.8 M pixels, the public code caps at 1.0 M when it trains and tests.
    """
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    names = {"patch": "patch_size", "merge": "merge_size", "temporal": "temporal_patch_size"}
    found = {ours: values[theirs] for ours, theirs in names.items() if theirs in values}
    found |= {ours: tuple(values[f"image_{ours}"]) for ours in ("mean", "std") if f"image_{ours}" in values}
    return PatchSettings(**found)
