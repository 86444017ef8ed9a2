"""An encoder that runs a model of any family in this process, on one device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vlm2vec_rag.encoder.base import Encoder, Progress, Vectors, Visual
from vlm2vec_rag.encoder.batching import batches
from vlm2vec_rag.encoder.device import is_out_of_memory
from vlm2vec_rag.encoder.family import ModelFiles
from vlm2vec_rag.encoder.runner import Batch, Prepared
from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.fingerprint import Fingerprint

logger = logging.getLogger(__name__)


class LocalEncoder(Encoder):
    """Runs a checkpoint on one device. Safe to call from several threads; they take turns."""

    def __init__(
        self,
        files: ModelFiles,
        device: torch.device,
        dtype: torch.dtype,
        fingerprint: Fingerprint,
        *,
        batch_tokens: int,
    ) -> None:
        """Load the weights, every tensor of them, and the adapter's.

        Args:
            files: Of the model.
            device: Where it runs.
            dtype: In which format.
            fingerprint: `files.fingerprint` of the settings to encode with.
            batch_tokens: Tokens of one forward pass, padding included.

        Raises:
            ModelNotFound: The weights are incomplete or of another architecture.
            AdapterMismatch: The adapter does not fit the base, tensor by tensor.
        """
        self.files, self.device, self.dtype, self.batch_tokens = files, device, dtype, batch_tokens
        self.fingerprint = fingerprint
        self.max_pixels, self.frames = fingerprint.max_pixels, fingerprint.frames
        self.prompts, self.sees = files.family.prompts, files.sees
        self.runs_on = f"{device} in {str(dtype).removeprefix('torch.')}"
        self.runner = files.family.runner(files, fingerprint.max_pixels)
        self.model: Any = files.family.load(files, device, dtype)
        self._turn = threading.Lock()

    def encode_prompts(
        self, prompts: Sequence[str], visuals: Sequence[Visual], *, progress: Progress | None = None
    ) -> Vectors:
        """See `Encoder.encode_prompts`."""
        if len(prompts) != len(visuals):
            raise InvalidInput(
                f"{len(prompts)} prompts came with {len(visuals)} visuals; give None where nothing is shown"
            )
        inputs = [self.runner.prepare(prompt, visual) for prompt, visual in zip(prompts, visuals, strict=True)]
        vectors = np.empty((len(inputs), self.dim), dtype=np.float32)
        with self._turn:
            for group in batches([len(each.ids) for each in inputs], self.batch_tokens):
                self._encode(group, inputs, vectors)
                if progress:
                    progress(len(group))
        return vectors

    def _encode(self, group: list[int], inputs: Sequence[Prepared], vectors: Vectors) -> None:
        """Encode one batch into its rows of `vectors`; out of memory, in two halves."""
        try:
            with torch.inference_mode():
                batch = self.batch([inputs[index] for index in group]).to(self.device)
                vectors[group] = self.runner.vectors(self.model, batch, self.dim).cpu().numpy()
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(group) == 1:
                raise VlmRagError(
                    f"one input of {len(inputs[group[0]].ids)} tokens does not fit the memory of {self.device}; "
                    f"load the encoder with max_pixels below {self.max_pixels} or fewer frames than {self.frames}"
                ) from error
        # outside the handler, where the failed pass's tensors are no longer held
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("out of memory with %d inputs on %s: halving the batch", len(group), self.device)
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            self._encode(half, inputs, vectors)

    def batch(self, inputs: Sequence[Prepared]) -> Batch:
        """Cut the pixels of one batch only now, and put it together."""
        return self.runner.collate(
            [each.ids for each in inputs],
            [[plan.grid for plan in each.plans] for each in inputs],
            [patches for each in inputs for patches in self.runner.cut(each)],
        )

    def close(self) -> None:
        """Free the model's memory."""
        del self.model
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __repr__(self) -> str:
        return f"LocalEncoder({self.fingerprint}, device={str(self.device)!r}, dtype={str(self.dtype)!r})"
