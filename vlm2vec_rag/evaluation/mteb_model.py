"""The encoder as a model of `mteb`, so that ViDoRe v1 to v3, MIEB, MVEB and the rest run in mteb's own harness.

    import mteb
    from vlm2vec_rag import load_encoder
    from vlm2vec_rag.evaluation.mteb_model import MtebModel

    mteb.evaluate(MtebModel(load_encoder()), mteb.get_tasks(["VidoreArxivQARetrieval"]))

mteb says what is asked (its task, its modalities, which side); the instruction is chosen here, as the model was
trained: MMEB-V2's own where mteb has one of its data sets, the default of the kind of item otherwise. Frames of a
video are the ones MMEB-V2 would show. Images keep the encoder's pixel budget, which is recorded in the model's
revision, so mteb never mixes results of two settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm2vec_rag.encoder.qwen2vl.prompts import plain
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.frames import kept_indices, shown_indices
from vlm2vec_rag.evaluation.tasks import TASKS
from vlm2vec_rag.extras import require
from vlm2vec_rag.items import Kind

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Shown, Vectors, Visual

# mteb's name of a data set that MMEB-V2 has too -> its name there; the pages of ViDoRe and VisRAG need no entry, for
# their instructions are the defaults of a page
MMEB_TASKS: Mapping[str, str] = MappingProxyType(
    {
        "DiDeMoT2VRetrieval": "DiDeMo",
        "MSRVTTT2V": "MSR-VTT",
        "MSVDT2VRetrieval": "MSVD",
        "VATEXT2VRetrieval": "VATEX",
        "YouCook2T2VRetrieval": "YouCook2",
        "Kinetics700VZeroShot": "K700",
        "SomethingSomethingV2Classification": "SmthSmthV2",
        "UCF101VideoZeroShotClassification": "UCF101",
        "HMDB51ZeroShot": "HMDB51",
        "BreakfastZeroShot": "Breakfast",
    }
)
# tasks without two sides ask what an image or video is: the MMEB-V2 task whose instruction asks the same
_CLASSIFYING: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ImageClassification", "ImageClustering", "ZeroShotClassification"), "ImageNet-1K"),
        **dict.fromkeys(("VideoClassification", "VideoClustering", "VideoZeroshotClassification"), "K700"),
        "VideoMultilabelClassification": "K700",
    }
)
_KINDS: Mapping[str, Kind] = MappingProxyType({"t": "text", "i": "image", "v": "clip"})


class MtebModel:
    """Wraps an encoder in the interface that mteb 2 calls `EncoderProtocol`."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        name: str | None = None,
        instructions: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Wrap an encoder.

        Args:
            encoder: What to measure.
            name: How mteb lists it, `owner/name`; None takes the checkpoint's.
            instructions: Your own, by mteb task and side: `{"MyTask": {"query": "Find ...:", "document": ""}}`.

        Raises:
            MissingExtra: mteb is not installed.
            InvalidInput: `name` is not `owner/name`.
        """
        self.encoder = encoder
        self.instructions = instructions or {}
        self.mteb_model_meta = _meta(encoder, name)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **_: object,
    ) -> Vectors:
        """Vectors of one side of a task.

        Args:
            inputs: mteb's batches: column -> values, with `text`, `image`, `video` and `instruction` where there are.
            task_metadata: mteb's description of the task.
            hf_split: Part of the data; makes no difference here.
            hf_subset: Part of the data, such as a language; makes no difference here.
            prompt_type: `query`, `document`, or None for tasks without two sides.

        Returns:
            (B, D) float32, unit rows.
        """
        side = None if prompt_type is None else str(getattr(prompt_type, "value", prompt_type))
        parts = [self._encode_batch(batch, task_metadata, side) for batch in inputs]
        return np.concatenate(parts) if parts else np.empty((0, self.encoder.dim), dtype=np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of every pair, (A, B): a dot product, for the vectors have unit length. A tensor, as mteb asks."""
        import torch

        return torch.as_tensor(np.atleast_2d(np.asarray(embeddings1)) @ np.atleast_2d(np.asarray(embeddings2)).T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of each row with the row beside it, (A,)."""
        import torch

        return torch.as_tensor(np.sum(np.asarray(embeddings1) * np.asarray(embeddings2), axis=-1))

    def _encode_batch(self, batch: Mapping[str, Any], task: Any, side: str | None) -> Vectors:
        size = len(next(iter(batch.values())))
        # a query comes with its instruction already appended to its text; here the instruction goes in front
        texts = batch.get("query") if "instruction" in batch else batch.get("text")
        words = ["" if text is None else str(text) for text in (texts if texts is not None else [""] * size)]
        asked = [str(each or "") for each in batch.get("instruction", [""] * size)]
        visuals = [self._visual(batch, row) for row in range(size)]
        complete = [
            self._prompt(task, side, text, visual, own) for text, visual, own in zip(words, visuals, asked, strict=True)
        ]
        return self.encoder.encode_prompts(complete, visuals)

    def _visual(self, batch: Mapping[str, Any], row: int) -> Visual:
        if "video" in batch and batch["video"][row] is not None:
            return _frames(batch["video"][row], self.encoder.frames)
        if "image" in batch and batch["image"][row] is not None:
            return batch["image"][row].convert("RGB")  # type: ignore[no-any-return]
        return None

    def _prompt(self, task: Any, side: str | None, text: str, visual: Visual, instruction: str) -> str:
        shown: Shown = "" if visual is None else "video" if isinstance(visual, Sequence) else "image"
        own = self.instructions.get(task.name, {}).get(side or "query")
        chosen = own if own is not None else instruction or None
        named = MMEB_TASKS.get(task.name) or (_CLASSIFYING.get(task.type) if side is None else None)
        mmeb = TASKS.get(named or "")
        if mmeb is not None and chosen is None:
            if side == "document" or (side is None and not shown):
                return mmeb.target_prompt(plain(text), shown)
            return mmeb.query_prompt(plain(text), shown)
        if side == "query":
            target = _target(task)
            if chosen is None and target == "text" and not shown:
                chosen = _task_prompt(task, side)  # words that look for words have no instruction of their own here
            return self.encoder.prompts.query(text, shown, target=target, instruction=chosen)
        kind: Kind = {"": "text", "image": _image_kind(task), "video": "clip"}[shown]
        return self.encoder.prompts.item(kind, text, instruction=chosen)


def _frames(video: Any, count: int) -> list[PILImage]:
    """The frames MMEB-V2 would show: some of the 64 that it would keep.

    Args:
        video: A torchcodec decoder, as mteb's data sets give it, or a list of images.
        count: How many to show.
    """
    from PIL import Image

    n_frames = video.metadata.num_frames if hasattr(video, "metadata") else len(video)
    if not n_frames:
        raise InvalidInput("mteb gave a video without frames; check the data set")
    kept = kept_indices(n_frames)
    indices = [kept[i] for i in shown_indices(len(kept), count)]
    if not hasattr(video, "get_frames_at"):
        return [video[i].convert("RGB") for i in indices]
    frames = video.get_frames_at(indices).data  # (T, 3, H, W) uint8
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]


def _target(task: Any) -> Kind:
    """What a query of a task looks for, out of mteb's category (`t2i`, `it2v`)."""
    category = str(task.category or "")
    letters = category.rsplit("2", maxsplit=1)[-1]
    for letter in "vi":  # a page or a clip that comes with words is still a page or a clip
        if letter in letters:
            return _image_kind(task) if letter == "i" else _KINDS[letter]
    return "text"


def _image_kind(task: Any) -> Kind:
    """mteb files pages of documents under this type, whatever the benchmark."""
    return "page" if task.type == "DocumentUnderstanding" else "image"


def _task_prompt(task: Any, side: str) -> str | None:
    prompt = getattr(task, "prompt", None)
    return prompt.get(side) if isinstance(prompt, Mapping) else prompt


def _meta(encoder: Encoder, name: str | None) -> Any:
    mteb_models = require("mteb.models.model_meta", "eval")
    fingerprint = encoder.fingerprint
    dtype = str(getattr(encoder, "dtype", "")).removeprefix("torch.")
    if name is None:
        is_hub_id = fingerprint.model.count("/") == 1 and not Path(fingerprint.model).exists()
        name = fingerprint.model if is_hub_id else f"local/{Path(fingerprint.model).name}"
    elif name.count("/") != 1 or not all(name.split("/")):
        raise InvalidInput(f"name={name!r}; mteb lists models as owner/name")
    return mteb_models.ModelMeta.create_empty(
        overwrites={
            "name": name,
            # mteb keeps results by name and revision: another adapter or pixel budget is another revision
            "revision": f"{fingerprint.digest}-{dtype}" if dtype else fingerprint.digest,
            "embed_dim": encoder.dim,
            "max_tokens": 32768,
            "modalities": ["text", "image", "video"],
            "similarity_fn_name": mteb_models.ScoringFunction.COSINE,
            "use_instructions": True,
            "framework": ["PyTorch", "Transformers"],
            "experiment_kwargs": {
                "max_pixels": encoder.max_pixels,
                "frames": encoder.frames,
                **({"adapter": fingerprint.adapter} if fingerprint.adapter else {}),
            },
        }
    )
