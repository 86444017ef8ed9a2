"""VLM2Vec-V2's family as `load_encoder` finds it: what is known of a Qwen2-VL checkpoint before it is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.base import Sight
from vlm2vec_rag.encoder.family import Family, ModelFiles, load_whole
from vlm2vec_rag.encoder.names import FRAMES
from vlm2vec_rag.encoder.patches import PatchSettings
from vlm2vec_rag.encoder.qwen2vl.patches import SETTINGS
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS

if TYPE_CHECKING:
    from transformers import Qwen2VLModel

    from vlm2vec_rag.encoder.qwen2vl.runner import Qwen2VLRunner


class Qwen2VLFamily(Family):
    """VLM2Vec-V2, its adapters, and nano."""

    model_type = "qwen2_vl"
    title = "VLM2Vec-V2 (Qwen2-VL)"
    prompts = PROMPTS
    sees: frozenset[Sight] = frozenset({"print", "photographs", "video"})
    max_pixels = MAX_PIXELS
    least_pixels = MIN_PIXELS
    frames = FRAMES
    pooling = "lasttoken"
    vision = ("visual",)

    def dim(self, files: ModelFiles) -> int:
        """The language model's hidden size."""
        config = files.config
        return int({**config, **config.get("text_config", {})}["hidden_size"])

    def runner(self, files: ModelFiles, max_pixels: int) -> Qwen2VLRunner:
        """See `Family.runner`."""
        from vlm2vec_rag.encoder.qwen2vl.runner import Qwen2VLRunner
        from vlm2vec_rag.encoder.qwen2vl.tokens import PromptTokens

        config = files.config
        longest = {**config, **config.get("text_config", {})}["max_position_embeddings"]
        return Qwen2VLRunner(PromptTokens(files.tokenizer(), longest), patch_settings(files.base), max_pixels)

    def load_base(self, folder: Path) -> Qwen2VLModel:
        """See `Family.load_base`; its patch embedding is a matrix product."""
        from transformers import Qwen2VLModel

        from vlm2vec_rag.encoder.runner import PatchProjection

        model: Qwen2VLModel = load_whole(Qwen2VLModel, folder, "Qwen2-VL")
        model.visual.patch_embed = PatchProjection(model.visual.patch_embed.proj)
        return model


FAMILY = Qwen2VLFamily()


def patch_settings(folder: Path) -> PatchSettings:
    """The vision tower's constants; its pixel limits are not read, the budget is the encoder's own.

    The published preprocessor_config allows 12.8 M pixels, the public code caps at 1.0 M when it trains and tests.
    """
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    names = {"patch": "patch_size", "merge": "merge_size", "temporal": "temporal_patch_size"}
    found = {ours: values[theirs] for ours, theirs in names.items() if theirs in values}
    found |= {ours: tuple(values[f"image_{ours}"]) for ours in ("mean", "std") if f"image_{ours}" in values}
    return replace(SETTINGS, **found)
