"""The settings that a model was trained with, kept in its own folder: loading it applies them.

An adapter trained at 100,352 pixels and served at a million is another model than the one whose numbers are on its
card. What training decides (pixel budget, frames, instructions, base) is therefore written beside the weights.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vlm2vec_rag.errors import ModelNotFound
from vlm2vec_rag.fingerprint import Fingerprint

logger = logging.getLogger(__name__)

FILE = "trained_with.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedWith:
    """What decides a model's vectors beside its weights; None where its folder does not say."""

    max_pixels: int | None = None  # budget of one image, page or frame
    frames: int | None = None  # of a clip
    prompts: str | None = None  # digest of the instructions, as `Prompts.digest` gives it
    base: str | None = None  # the model it was trained from: a hub id or a folder
    base_weights: str | None = None  # digest of that model's weights, which tells its revisions apart

    @classmethod
    def read(cls, folder: Path) -> TrainedWith:
        """What a folder says; nothing where it has no such file.

        Raises:
            ModelNotFound: The file is no JSON object.
        """
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            told = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ModelNotFound(f"{path} is no JSON object: {error}; copy it again, or delete it") from error
        return cls(**{each.name: told.get(each.name) for each in fields(cls)})

    def write(self, folder: Path) -> None:
        """Write it beside the weights."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def warn_of_differences(self, where: Path, made_with: Fingerprint, *, is_adapter: bool) -> None:
        """Log what a model is loaded with that is not what it was trained with.

        Args:
            where: Its folder.
            made_with: Of the encoder that is being loaded.
            is_adapter: Whether the folder is an adapter's; a whole model's weights are not those of its base.
        """
        now = {"max_pixels": made_with.max_pixels, "frames": made_with.frames, "prompts": made_with.prompts}
        if is_adapter:
            now["base_weights"] = made_with.weights
        names = {"prompts": "the instructions", "base_weights": "the base weights"}
        apart = [
            f"{names.get(key, key)} {value} (trained with {then})"
            for key, value in now.items()
            if (then := getattr(self, key)) is not None and then != value
        ]
        if apart:
            logger.warning(
                "%s is loaded with %s: its vectors are then not those that its scores were measured with",
                where,
                ", ".join(apart),
            )
