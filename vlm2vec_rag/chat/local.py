"""Answers from Qwen2-VL on this machine: the very model that VLM2Vec-V2 adapts, with the adapter off.

The adapter changes the language model's linear layers only, and the encoder holds it folded into them. So vision tower,
word embeddings and norms are the encoder's own, shared; what is loaded beside them is the base's linear layers. For
VLM2Vec-V2.0 in bfloat16 that is 2.6 GB on top of the encoder's 4.4 GB, from files that are on disk already.
Keeping the adapter apart instead would cost no memory, but time in every encoding and the exact vectors of a merged
adapter.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.chat.chatml import inputs
from vlm2vec_rag.chat.messages import Message
from vlm2vec_rag.encoder.device import choose_device, choose_dtype
from vlm2vec_rag.encoder.family import ModelFiles
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.encoder.locate import no_progress_bar
from vlm2vec_rag.encoder.qwen2vl.family import FAMILY, patch_settings
from vlm2vec_rag.errors import ChatError, InvalidInput, ModelNotFound
from vlm2vec_rag.pixels import MAX_PIXELS

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import Qwen2VLForConditionalGeneration, Qwen2VLTextModel

    from vlm2vec_rag.encoder import Encoder

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "Qwen/Qwen2-VL-2B-Instruct"
MAX_NEW_TOKENS = 512


class LocalChat:
    """A Qwen2-VL that answers, greedily: the same conversation gives the same answer. Those who ask take turns."""

    sees_images = True

    def __init__(
        self,
        model: Qwen2VLForConditionalGeneration,
        files: ModelFiles,
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if max_new_tokens < 1:
            raise InvalidInput(f"max_new_tokens is {max_new_tokens}; expected at least 1")
        self.name = f"local:{files.name}"
        self.max_new_tokens, self.max_pixels = max_new_tokens, max_pixels
        self._model = model
        self._tokenizer = files.tokenizer()
        self._patch_settings = patch_settings(files.base)
        self._turn = threading.Lock()

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """See `ChatModel.stream`.

        Raises:
            ChatError: The conversation is longer than the model reads.
        """
        import torch
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        given = inputs(messages, self._tokenizer, self._patch_settings, self.max_pixels)
        length = given["input_ids"].shape[1]
        longest = self._model.config.get_text_config().max_position_embeddings
        if length + self.max_new_tokens > longest:
            raise ChatError(
                f"the conversation is {length} tokens long and the answer may take {self.max_new_tokens}; "
                f"{self.name} reads {longest}. Give it fewer hits, images or turns"
            )
        given = {name: tensor.to(self._model.device) for name, tensor in given.items()}
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        is_closed = threading.Event()
        errors: list[BaseException] = []

        def generate() -> None:
            try:
                with torch.inference_mode():
                    self._model.generate(
                        **given,
                        do_sample=False,
                        max_new_tokens=self.max_new_tokens,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([lambda ids, scores: is_closed.is_set()]),
                    )
            except BaseException as error:
                errors.append(error)
            finally:
                streamer.end()

        with self._turn:
            worker = threading.Thread(target=generate, daemon=True, name="local chat model")
            worker.start()
            try:
                yield from (piece for piece in streamer if piece)
            finally:
                is_closed.set()
                worker.join()
        if errors:
            raise errors[0]

    def __repr__(self) -> str:
        return f"LocalChat({self.name!r}, device={str(self._model.device)!r}, dtype={str(self._model.dtype)!r})"


def load_local_chat(
    model: str | Path | None = None,
    *,
    encoder: Encoder | None = None,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    **settings: Any,
) -> LocalChat:
    """Load a Qwen2-VL that answers, sharing what it can with a loaded encoder.

    Args:
        model: A hub id or a folder of a full Qwen2-VL. None takes the base of the encoder, which is
            Qwen2-VL-2B-Instruct for VLM2Vec-V2.0. An encoder whose adapter was merged into its checkpoint has lost its
            base, and answers nonsense: name the base then.
        encoder: Its vision tower, embeddings and norms are shared where it is built on the same weights.
        device: None takes the encoder's, or the best there is.
        dtype: None takes the encoder's, or the fastest that keeps the model's range.
        settings: `max_new_tokens` and `max_pixels`, see `LocalChat`.

    Raises:
        ModelNotFound: The model cannot be reached, or its weights are not whole.
        InvalidInput: A setting makes no sense.
    """
    from vlm2vec_rag.encoder.local import LocalEncoder  # imports torch

    ours = encoder if isinstance(encoder, LocalEncoder) and encoder.files.family is FAMILY else None
    if model is None and ours is not None:
        base = replace(ours.files, name=_known_as(ours.files.base), adapter=None)
    else:
        base = find_model(DEFAULT_MODEL if model is None else model)
    if base.adapter is not None:
        raise InvalidInput(f"{model} is an adapter for embeddings; name the model it adapts, which can answer")
    place = ours.device if ours is not None and device is None else choose_device(device)
    number_format = ours.dtype if ours is not None and dtype is None else choose_dtype(place, dtype)
    if (
        ours is not None
        and (ours.device, ours.dtype) == (place, number_format)
        and ours.files.weights_digest == base.weights_digest
    ):
        visual = ours.model.visual
        text = ours.model.language_model
        if ours.files.adapter is not None:
            text = _base_text(base, place, number_format, sharing=ours.model.language_model)
    else:
        whole = base.family.load(base, place, number_format)
        visual, text = whole.visual, whole.language_model
    return LocalChat(_assembled(base, visual, text), base, **settings)


def _base_text(
    base: ModelFiles, device: torch.device, dtype: torch.dtype, *, sharing: Qwen2VLTextModel
) -> Qwen2VLTextModel:
    """The base's language model; whatever is no linear layer is that of the adapted one, which equals it."""
    from torch import nn
    from transformers import Qwen2VLConfig, Qwen2VLTextModel

    class TextOfWhole(Qwen2VLTextModel):  # type: ignore[misc]  # transformers is untyped here
        _keys_to_ignore_on_load_unexpected = [r"^visual\.", r"^model\.visual\.", r"^lm_head\."]  # noqa: RUF012

    with no_progress_bar():
        text, report = TextOfWhole.from_pretrained(
            base.base,
            config=Qwen2VLConfig.from_pretrained(base.base, local_files_only=True).get_text_config(),
            dtype="auto",
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelNotFound(f"the weights in {base.base} lack {missing[:3]}; download the checkpoint again")
    for name, module in list(text.named_modules()):
        if not isinstance(module, nn.Linear) and any(True for _ in module.parameters(recurse=False)):
            parent, _, leaf = name.rpartition(".")
            setattr(text.get_submodule(parent), leaf, sharing.get_submodule(name))
    ready: Qwen2VLTextModel = text.to(device=device, dtype=dtype).eval().requires_grad_(False)
    return ready


def _assembled(base: ModelFiles, visual: nn.Module, text: Qwen2VLTextModel) -> Qwen2VLForConditionalGeneration:
    """A model that generates, put together from parts that are loaded."""
    import torch
    from torch import nn
    from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig.from_pretrained(base.base, local_files_only=True)
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(config)
    model.model.visual, model.model.language_model = visual, text
    head = text.embed_tokens.weight
    if not config.tie_word_embeddings:
        head = nn.Parameter(_head(base).to(device=head.device, dtype=head.dtype), requires_grad=False)
    model.lm_head.weight = head
    # only where an answer ends is taken over: the published settings sample, and then warn that greedy does not
    published = GenerationConfig.from_pretrained(base.base, local_files_only=True)
    model.generation_config = GenerationConfig(
        eos_token_id=published.eos_token_id, pad_token_id=published.pad_token_id, bos_token_id=published.bos_token_id
    )
    whole: Qwen2VLForConditionalGeneration = model.eval()
    return whole


def _head(base: ModelFiles) -> torch.Tensor:
    """The output layer of a model that does not reuse its word embeddings."""
    from safetensors import safe_open

    for path in sorted(base.base.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if "lm_head.weight" in file.keys():  # noqa: SIM118  a file of tensors is no mapping
                tensor: torch.Tensor = file.get_tensor("lm_head.weight")
                return tensor
    raise ModelNotFound(f"the weights in {base.base} have no lm_head, so this model cannot answer; it only encodes")


def _known_as(folder: Path) -> str:
    """The hub id of a folder in the hub's cache (`models--Qwen--Qwen2-VL-2B-Instruct/snapshots/…`), else its name."""
    cached = next((part for part in folder.parts if part.startswith("models--")), "")
    return cached.removeprefix("models--").replace("--", "/") or folder.resolve().name
