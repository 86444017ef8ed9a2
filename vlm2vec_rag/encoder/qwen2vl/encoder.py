"""VLM2Vec-V2 on Qwen2-VL: the default encoder, and the one whose vectors equal the public code's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.encoder.base import Encoder, Progress, Vectors, Visual
from vlm2vec_rag.encoder.batching import batches
from vlm2vec_rag.encoder.device import is_out_of_memory
from vlm2vec_rag.encoder.qwen2vl.checkpoint import load_model, patch_settings
from vlm2vec_rag.encoder.qwen2vl.patches import Plan, cut, plan
from vlm2vec_rag.encoder.qwen2vl.tokens import PromptTokens
from vlm2vec_rag.errors import InvalidInput, VlmRagError

if TYPE_CHECKING:
    import torch

    from vlm2vec_rag.encoder.family import ModelFiles
    from vlm2vec_rag.encoder.qwen2vl.forward import Batch

logger = logging.getLogger(__name__)


class Qwen2VLEncoder(Encoder):
    """Runs a Qwen2-VL checkpoint on one device. Safe to call from several threads; they take turns."""

    def __init__(
        self,
        files: ModelFiles,
        device: torch.device,
        dtype: torch.dtype,
        *,
        max_pixels: int,
        frames: int,
        batch_tokens: int,
    ) -> None:
        self.files, self.device, self.dtype = files, device, dtype
        self.max_pixels, self.frames, self.batch_tokens = max_pixels, frames, batch_tokens
        self.runs_on = f"{device} in {str(dtype).removeprefix('torch.')}"
        self.fingerprint = files.fingerprint(max_pixels, frames)
        self.prompts, self.sees = files.family.prompts, files.sees
        self.patch_settings = patch_settings(files.base)
        self.model = load_model(files, device, dtype)
        self.tokens = PromptTokens(files.tokenizer(), self.model.config.text_config.max_position_embeddings)
        self._turn = threading.Lock()

    def encode_prompts(
        self, prompts: Sequence[str], visuals: Sequence[Visual], *, progress: Progress | None = None
    ) -> Vectors:
        """See `Encoder.encode_prompts`."""
        if len(prompts) != len(visuals):
            raise InvalidInput(
                f"{len(prompts)} prompts came with {len(visuals)} visuals; give None where nothing is shown"
            )
        plans = [None if each is None else plan(each, self.max_pixels, self.patch_settings) for each in visuals]
        ids = [
            self.tokens.ids(prompt, is_video=isinstance(visual, Sequence), visual_tokens=each.tokens if each else 0)
            for prompt, visual, each in zip(prompts, visuals, plans, strict=True)
        ]
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)
        with self._turn:
            for group in batches([len(each) for each in ids], self.batch_tokens):
                self._encode(group, ids, visuals, plans, vectors)
                if progress:
                    progress(len(group))
        return vectors

    def _encode(
        self,
        group: list[int],
        ids: list[list[int]],
        visuals: Sequence[Visual],
        plans: list[Plan | None],
        vectors: Vectors,
    ) -> None:
        """Encode one batch into its rows of `vectors`; out of memory, in two halves."""
        import torch

        from vlm2vec_rag.encoder.qwen2vl.forward import embed

        try:
            with torch.inference_mode():
                batch = self._batch(group, ids, visuals, plans).to(self.device)
                vectors[group] = embed(self.model, batch).cpu().numpy()
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(group) == 1:
                raise VlmRagError(
                    f"one input of {len(ids[group[0]])} tokens does not fit the memory of {self.device}; "
                    f"load the encoder with max_pixels below {self.max_pixels} or fewer frames than {self.frames}"
                ) from error
        # outside the handler, where the failed pass's tensors are no longer held
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("out of memory with %d inputs on %s: halving the batch", len(group), self.device)
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            self._encode(half, ids, visuals, plans, vectors)

    def _batch(
        self, group: list[int], ids: list[list[int]], visuals: Sequence[Visual], plans: list[Plan | None]
    ) -> Batch:
        """Cut the pixels of one batch only now: a page is 24 MB of patches, a run of pages would not fit."""
        from vlm2vec_rag.encoder.qwen2vl.forward import collate

        shown = [(visuals[index], plans[index]) for index in group]
        pairs = [(visual, each) for visual, each in shown if visual is not None and each is not None]
        return collate(
            [ids[index] for index in group],
            [cut(visual, each, self.patch_settings) for visual, each in pairs],
            [each.grid for _, each in pairs],
            pad_id=self.tokens.pad_id,
            visual_ids=(self.tokens.image_id, self.tokens.video_id),
        )

    def close(self) -> None:
        """Free the model's memory."""
        import torch

        del self.model
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __repr__(self) -> str:
        return f"Qwen2VLEncoder({self.fingerprint}, device={str(self.device)!r}, dtype={str(self.dtype)!r})"
