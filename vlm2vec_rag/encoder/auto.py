"""Which model to take when none is named: the best whose weights are at hand. One that was named is never replaced."""

from __future__ import annotations

from vlm2vec_rag.encoder.models import ModelInfo, models
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, GEMMA, NANO
from vlm2vec_rag.terminal import size_of

SPARE = 1.3  # of the weights' memory: states and pixels need some too
LARGEST_ON_CPU = 1_000_000_000  # parameters; larger models take many seconds a page there


def choose_model() -> tuple[str, str]:
    """A model, and one line that says which was taken and how to choose another.

    What is on disk comes first: the best that fits the memory, on a CPU one that is quick there if there is one. Then,
    with a GPU and a hub, VLM2Vec-V2.0. Else nano.
    """
    if found := _best_on_disk():
        return found.name, f"model: {found.name}, from the hub's cache; choose another with --model"
    if _has_gpu_and_hub():
        size = size_of(_info(DEFAULT_MODEL).download_bytes)
        return DEFAULT_MODEL, f"model: {DEFAULT_MODEL}, to be downloaded once ({size}); choose another with --model"
    size = size_of(_info(GEMMA).download_bytes)
    return NANO, (
        f"model: {NANO}, which comes with the package and reads printed pages; "
        f"--model {GEMMA} (a download of {size}, made for laptops) sees photographs and video too, "
        "--model none takes words only"
    )


def _best_on_disk() -> ModelInfo | None:
    at_hand = [each for each in models() if each.name != NANO and each.is_on_disk]
    if not at_hand:
        return None
    from vlm2vec_rag.encoder.device import choose_device, choose_dtype, memory_bytes

    device = choose_device()
    room, size = memory_bytes(device), choose_dtype(device).itemsize
    fitting = [each for each in at_hand if room is None or each.parameters * size * SPARE <= room]
    quick = [each for each in fitting if device.type != "cpu" or each.parameters <= LARGEST_ON_CPU]
    return max(quick or fitting, key=lambda each: (each.mmeb_v2 or 0, each.parameters), default=None)


def _info(name: str) -> ModelInfo:
    return next(each for each in models() if each.name == name)


def _has_gpu_and_hub() -> bool:
    import torch
    from huggingface_hub import constants

    return torch.cuda.is_available() and not constants.HF_HUB_OFFLINE
