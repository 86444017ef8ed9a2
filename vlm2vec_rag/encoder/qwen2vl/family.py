"""VLM2Vec-V2's family as `load_encoder` finds it: what is known of a Qwen2-VL checkpoint before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.base import Encoder, Sight
from vlm2vec_rag.encoder.family import Family, ModelFiles
from vlm2vec_rag.encoder.names import FRAMES
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS

if TYPE_CHECKING:
    import torch


class Qwen2VLFamily(Family):
    """VLM2Vec-V2, its adapters, and nano."""

    model_type = "qwen2_vl"
    title = "VLM2Vec-V2 (Qwen2-VL)"
    prompts = PROMPTS
    sees: frozenset[Sight] = frozenset({"print", "photographs", "video"})
    max_pixels = MAX_PIXELS
    least_pixels = MIN_PIXELS
    frames = FRAMES

    def dim(self, files: ModelFiles) -> int:
        """The language model's hidden size."""
        config = files.config
        return int({**config, **config.get("text_config", {})}["hidden_size"])

    def encoder(
        self,
        files: ModelFiles,
        device: torch.device,
        dtype: torch.dtype,
        *,
        max_pixels: int,
        frames: int,
        batch_tokens: int,
    ) -> Encoder:
        """See `Family.encoder`."""
        from vlm2vec_rag.encoder.qwen2vl.encoder import Qwen2VLEncoder

        return Qwen2VLEncoder(files, device, dtype, max_pixels=max_pixels, frames=frames, batch_tokens=batch_tokens)


FAMILY = Qwen2VLFamily()
