"""`load_encoder`: a model's name to an encoder that is ready to run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.base import Encoder
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, FRAMES
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.pixels import MAX_PIXELS

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

BATCH_TOKENS = {"cpu": 4096, "mps": 8192, "cuda": 32768}


def load_encoder(
    model: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    max_pixels: int = MAX_PIXELS,
    frames: int = FRAMES,
    batch_tokens: int | None = None,
) -> Encoder:
    """Load a model that encodes text, images, pages and clips into one space.

    Args:
        model: A hub id or a folder; of a full Qwen2-VL model, or of an adapter that names its base, as
            VLM2Vec-V2.0 is published. "nano" is the model that comes with the package (a folder of that name is
            "./nano"). None takes the base that `adapter` names, or else `DEFAULT_MODEL`.
        adapter: A LoRA or DoRA adapter to fold into `model`: a hub id or a folder.
        device: cuda, cuda:1, mps or cpu. None takes the best there is.
        dtype: float32, bfloat16 or float16. None takes the fastest that keeps the model's range.
        revision: Branch, tag or commit of `model` on the hub.
        max_pixels: Budget of one image or frame; larger images are reduced, their shape kept.
        frames: Frames that clips are read with; recorded in the fingerprint.
        batch_tokens: Tokens of one forward pass, padding included. None suits the device.

    Raises:
        ModelNotFound: The model or adapter cannot be reached.
        AdapterMismatch: The adapter does not fit, tensor by tensor.
        InvalidInput: A setting makes no sense, or the device is not here.
    """
    if max_pixels < 28 * 28 * 4:
        raise InvalidInput(f"max_pixels={max_pixels} is under the model's smallest image, {28 * 28 * 4}")
    if frames < 1:
        raise InvalidInput(f"frames={frames}; a clip needs at least one")

    from vlm2vec_rag.encoder.device import choose_device, choose_dtype
    from vlm2vec_rag.encoder.qwen2vl.checkpoint import find_checkpoint
    from vlm2vec_rag.encoder.qwen2vl.encoder import Qwen2VLEncoder

    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(chosen_device, dtype)
    if model is None and adapter is not None:
        model, adapter = adapter, None  # an adapter names its base, which the default model, an adapter too, is not
    checkpoint = find_checkpoint(DEFAULT_MODEL if model is None else model, adapter, revision)
    encoder = Qwen2VLEncoder(
        checkpoint,
        chosen_device,
        chosen_dtype,
        max_pixels=max_pixels,
        frames=frames,
        batch_tokens=batch_tokens or BATCH_TOKENS.get(chosen_device.type, 4096),
    )
    logger.info("%s runs on %s", encoder.fingerprint, encoder.runs_on)
    return encoder
