"""A model family and the files of one of its models: all that is known of a model before its weights are loaded."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.encoder.adapter import adapter_digest, merge_adapter
from vlm2vec_rag.encoder.base import Prompts, Sight
from vlm2vec_rag.encoder.trained import TrainedWith
from vlm2vec_rag.errors import InvalidInput, ModelNotFound
from vlm2vec_rag.fingerprint import Fingerprint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from vlm2vec_rag.encoder.runner import Runner

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
    pooling: str  # how states become a vector, in the words of sentence-transformers: lasttoken or mean
    formats: tuple[str, ...] = ("float32", "bfloat16", "float16")  # that its models run in
    vision: tuple[str, ...]  # names of the modules that look at pixels, in the model that `load_base` gives

    @abstractmethod
    def dim(self, files: ModelFiles) -> int:
        """Width of the model's whole vectors."""

    def check_dim(self, files: ModelFiles, dim: int) -> None:
        """Refuse a shorter vector, unless the family was trained so that its first numbers are a vector (Matryoshka).

        Raises:
            InvalidInput: Vectors of that width mean nothing.
        """
        if dim != self.dim(files):
            raise InvalidInput(f"dim={dim}; vectors of {files.name} have {self.dim(files)} numbers and cannot be cut")

    @abstractmethod
    def runner(self, files: ModelFiles, max_pixels: int) -> Runner:
        """What turns prompts and pixels into a model's inputs, and runs it.

        Raises:
            ModelNotFound: The checkpoint has no tokenizer that fits.
        """

    @abstractmethod
    def load_base(self, folder: Path) -> Any:
        """The model of a folder without its head, in the dtype of its file.

        Raises:
            ModelNotFound: The weights are incomplete or of another architecture.
        """

    def load(self, files: ModelFiles, device: torch.device, dtype: torch.dtype) -> Any:
        """The model with its adapter folded in, ready to encode.

        Raises:
            ModelNotFound: The weights are incomplete or of another architecture.
            AdapterMismatch: The adapter does not fit the base, tensor by tensor.
        """
        model = self.load_base(files.base)
        if files.adapter:
            merge_adapter(model, files.adapter)
        return model.to(device=device, dtype=dtype).eval().requires_grad_(False)


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
        """What the model sees: its family's, or less where `config.json` says so or has no vision tower."""
        config = self.config
        if not config.get("vision_config", True):
            return frozenset()
        return self.family.sees & set(config.get("sees", self.family.sees))

    def fingerprint(
        self, max_pixels: int | None = None, frames: int | None = None, dim: int | None = None
    ) -> Fingerprint:
        """What an encoder of these settings will state, without loading the weights.

        Args:
            max_pixels: Budget of one image or frame. None takes what the model was trained with, else the family's.
            frames: Frames of a clip. None takes what the model was trained with, else the family's.
            dim: Numbers of a vector, for families whose vectors can be cut. None takes them all.

        Raises:
            InvalidInput: The budget is under the family's smallest image, there are no frames, or vectors of that
                width mean nothing.
        """
        trained = self.trained_with
        max_pixels = max_pixels if max_pixels is not None else trained.max_pixels or self.family.max_pixels
        frames = frames if frames is not None else trained.frames or self.family.frames
        least = self.family.least_pixels
        if max_pixels < least:
            raise InvalidInput(f"max_pixels={max_pixels} is under the model's smallest image, {least}")
        if frames < 1:
            raise InvalidInput(f"frames={frames}; a clip needs at least one")
        if dim is not None:
            self.family.check_dim(self, dim)
        return Fingerprint(
            model=self.name,
            weights=self.weights_digest,
            adapter=self.adapter_digest,
            prompts=self.family.prompts.digest,
            max_pixels=max_pixels,
            frames=frames,
            dim=self.family.dim(self) if dim is None else dim,
            dense_weight=float(self.config.get("dense_weight", 1.0)),
            matches_words=bool(self.config.get("matches_words", False)),
        )

    @property
    def trained_with(self) -> TrainedWith:
        """The settings in the adapter's folder, or else in the model's."""
        return TrainedWith.read(self.adapter or self.base)

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


def load_whole(architecture: Any, folder: Path, title: str, **settings: Any) -> Any:
    """A model of transformers in the dtype of its file, every tensor of the file in its place.

    Args:
        architecture: The class.
        folder: With config.json and safetensors.
        title: What the family is called.
        settings: Further arguments of `from_pretrained`.

    Raises:
        ModelNotFound: Tensors are missing, left over (a head is no loss), or of another shape.
    """
    from vlm2vec_rag.encoder.locate import no_progress_bar

    with no_progress_bar():
        model, report = architecture.from_pretrained(
            folder,
            dtype="auto",
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **settings,
        )
    missing = sorted(report["missing_keys"]) + sorted(str(each) for each in report["mismatched_keys"])
    unused = sorted(key for key in report["unexpected_keys"] if not key.startswith("lm_head"))
    if missing or unused:
        raise ModelNotFound(
            f"the weights in {folder} do not make a whole {title}: missing {missing[:3] or 'nothing'}, "
            f"not understood {unused[:3] or 'nothing'}; download the checkpoint again"
        )
    return model
