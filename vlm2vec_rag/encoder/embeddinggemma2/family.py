"""EmbeddingGemma 2's family as `load_encoder` finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.encoder.base import Sight
from vlm2vec_rag.encoder.embeddinggemma2.patches import BUDGETS, FRAME_BUDGET, IMAGE_BUDGET, SIDE, budget_of
from vlm2vec_rag.encoder.embeddinggemma2.prompts import PROMPTS
from vlm2vec_rag.encoder.family import Family, ModelFiles, load_whole
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.embeddinggemma2.runner import EmbeddingGemma2Runner

DIMS = (128, 256, 512)  # prefixes that the model was trained for


class EmbeddingGemma2Family(Family):
    """EmbeddingGemma 2 with its vision tower, and its adapters. The audio tower is left on disk: no item has sound."""

    model_type = "embedding_gemma2"
    title = "EmbeddingGemma 2"
    prompts = PROMPTS
    sees: frozenset[Sight] = frozenset({"print", "photographs", "video"})
    max_pixels = IMAGE_BUDGET * SIDE**2
    least_pixels = BUDGETS[0] * SIDE**2
    frames = 16  # of a window of 30 s; its processor takes one a second, up to 32
    pooling = "mean"
    vision = ("vision_tower", "embed_vision")
    formats = ("float32", "bfloat16")  # its activations leave the range of float16 (docs.sglang.io, EmbeddingGemma 2)

    def dim(self, files: ModelFiles) -> int:
        """Width of the projection behind the text encoder."""
        return int(files.config["text_config"].get("embedding_dim", 768))

    def check_dim(self, files: ModelFiles, dim: int) -> None:
        """128, 256 and 512 numbers are vectors too (Matryoshka), see `Family.check_dim`."""
        known = (*(each for each in DIMS if each < self.dim(files)), self.dim(files))
        if dim not in known:
            raise InvalidInput(f"dim={dim}; {files.name} gives {', '.join(map(str, known))} numbers")

    def runner(self, files: ModelFiles, max_pixels: int) -> EmbeddingGemma2Runner:
        """See `Family.runner`."""
        from vlm2vec_rag.encoder.embeddinggemma2.runner import EmbeddingGemma2Runner

        budget = budget_of(max_pixels)
        return EmbeddingGemma2Runner(
            files.tokenizer(),
            files.config,
            image_budget=budget,
            frame_budget=min(budget, _frame_budget(files.base)),
        )

    def load_base(self, folder: Path) -> Any:
        """See `Family.load_base`; without the audio tower.

        Raises:
            ModelNotFound: The weights are incomplete, or the vision tower was left out of the checkpoint.
        """
        from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model

        config = EmbeddingGemma2Config.from_pretrained(folder, local_files_only=True)
        config.audio_config = None
        return load_whole(EmbeddingGemma2Model, folder, self.title, config=config)


FAMILY = EmbeddingGemma2Family()


def _frame_budget(folder: Path) -> int:
    """Soft tokens of a frame, as the checkpoint's video processor has it; the model card's where it does not say."""
    for name, key in (("video_preprocessor_config.json", ""), ("processor_config.json", "video_processor")):
        path = folder / name
        if path.is_file():
            values = json.loads(path.read_text(encoding="utf-8"))
            found = (values.get(key, {}) if key else values).get("max_soft_tokens")
            if found in BUDGETS:
                return int(found)
    return FRAME_BUDGET
