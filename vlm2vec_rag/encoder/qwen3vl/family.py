"""Qwen3-VL-Embedding's family as `load_encoder` finds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.encoder.base import Sight
from vlm2vec_rag.encoder.family import Family, ModelFiles, load_whole
from vlm2vec_rag.encoder.qwen3vl.patches import MAX_PIXELS, MIN_PIXELS, SETTINGS
from vlm2vec_rag.encoder.qwen3vl.prompts import PROMPTS
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.qwen3vl.runner import Qwen3VLRunner

LEAST_DIM = 64  # the shortest prefix that the model was trained for


class Qwen3VLFamily(Family):
    """Qwen3-VL-Embedding 2B and 8B, and their adapters."""

    model_type = "qwen3_vl"
    title = "Qwen3-VL-Embedding"
    prompts = PROMPTS
    sees: frozenset[Sight] = frozenset({"print", "photographs", "video"})
    max_pixels = MAX_PIXELS
    least_pixels = MIN_PIXELS
    # of a window of 30 s: one every two seconds; the reference takes one a second, up to 64, for twice the tokens
    frames = 16
    pooling = "lasttoken"
    vision = ("visual",)

    def dim(self, files: ModelFiles) -> int:
        """The language model's hidden size."""
        return int(files.config["text_config"]["hidden_size"])

    def check_dim(self, files: ModelFiles, dim: int) -> None:
        """Any prefix is a vector (Matryoshka), see `Family.check_dim`."""
        if not LEAST_DIM <= dim <= self.dim(files) and dim != self.dim(files):
            raise InvalidInput(f"dim={dim}; {files.name} gives {LEAST_DIM} to {self.dim(files)} numbers")

    def runner(self, files: ModelFiles, max_pixels: int) -> Qwen3VLRunner:
        """See `Family.runner`."""
        from vlm2vec_rag.encoder.qwen3vl.runner import Qwen3VLRunner

        vision = files.config.get("vision_config", {})
        names = {"patch": "patch_size", "merge": "spatial_merge_size", "temporal": "temporal_patch_size"}
        settings = replace(SETTINGS, **{ours: vision[theirs] for ours, theirs in names.items() if theirs in vision})
        return Qwen3VLRunner(files.tokenizer(), settings, max_pixels)

    def load_base(self, folder: Path) -> Any:
        """See `Family.load_base`."""
        from transformers import Qwen3VLModel

        from vlm2vec_rag.encoder.runner import PatchProjection

        model = load_whole(Qwen3VLModel, folder, self.title)
        model.visual.patch_embed = PatchProjection(model.visual.patch_embed.proj)
        return model


FAMILY = Qwen3VLFamily()
