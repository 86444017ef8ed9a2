"""A model family and the files of one of its models: all that is known of a model before its weights are loaded."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.encoder.adapter import adapter_digest
from vlm2vec_rag.encoder.base import Encoder, Prompts, Sight
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

SAMPLE_BYTES = 4096


class Family(ABC):
    """Models of one architecture that are prompted and run in one way."""

    model_type: str  # as in a checkpoint's config.json
    title: str  # for people
    prompts: Prompts
    sees: frozenset[Sight]  # of its models, unless a checkpoint's config.json says less
    max_pixels: int  # budget of one image or frame, unless another is asked for
    least_pixels: int  # the smallest budget that works
    frames: int  # of a clip, unless another number is asked for

    @abstractmethod
    def dim(self, files: ModelFiles) -> int:
        """Width of the vectors."""

    @abstractmethod
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
        """Load the weights, every tensor of them, and the adapter's.

        Raises:
            ModelNotFound: The weights are incomplete or of another architecture.
            AdapterMismatch: The adapter does not fit the base, tensor by tensor.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Where a model's files are, all of them on disk, and which family it is of."""

    name: str  # as people know it
    base: Path
    adapter: Path | None
    family: Family

    @property
    def config(self) -> dict[str, Any]:
        """The base's `config.json`."""
        config: dict[str, Any] = json.loads((self.base / "config.json").read_text(encoding="utf-8"))
        return config

    @property
    def sees(self) -> frozenset[Sight]:
        """What the model sees: its family's, or less where `config.json` says so."""
        return self.family.sees & set(self.config.get("sees", self.family.sees))

    def fingerprint(self, max_pixels: int | None = None, frames: int | None = None) -> Fingerprint:
        """What an encoder of these settings will state, without loading the weights.

        Args:
            max_pixels: Budget of one image or frame. None takes the family's.
            frames: Frames of a clip. None takes the family's.

        Raises:
            InvalidInput: The budget is under the family's smallest image, or there are no frames.
        """
        max_pixels = self.family.max_pixels if max_pixels is None else max_pixels
        frames = self.family.frames if frames is None else frames
        least = self.family.least_pixels
        if max_pixels < least:
            raise InvalidInput(f"max_pixels={max_pixels} is under the model's smallest image, {least}")
        if frames < 1:
            raise InvalidInput(f"frames={frames}; a clip needs at least one")
        return Fingerprint(
            model=self.name,
            weights=self.weights_digest,
            adapter=self.adapter_digest,
            prompts=self.family.prompts.digest,
            max_pixels=max_pixels,
            frames=frames,
            dim=self.family.dim(self),
            dense_weight=float(self.config.get("dense_weight", 1.0)),
        )

    @property
    def weights_digest(self) -> str:
        """Sixteen digits over the base's weights."""
        return weights_digest(self.base)

    @property
    def adapter_digest(self) -> str:
        """Sixteen digits over the adapter, or nothing."""
        return adapter_digest(self.adapter) if self.adapter else ""

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self.base, local_files_only=True)
        return tokenizer


def weights_digest(folder: Path) -> str:
    """Sixteen digits that tell checkpoints apart, from the names, shapes and a sample of every tensor.

    A digest over all 4.4 GB would cost seconds at every start, and a training step moves every tensor it touches.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
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
