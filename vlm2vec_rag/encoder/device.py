"""Where a model runs and in which number format, chosen from what the machine has, and said."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


def choose_device(device: str | None = None) -> torch.device:
    """The device asked for, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Raises:
        InvalidInput: The device asked for is not on this machine.
    """
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InvalidInput(f"device {device!r} is not one torch knows; expected cuda, cuda:0, mps or cpu") from error
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.get(chosen.type, True)
    if not present:
        raise InvalidInput(f"device {device!r} was asked for, but torch sees none here; leave it out to use the best")
    return chosen


def choose_dtype(device: torch.device, dtype: str | torch.dtype | None = None) -> torch.dtype:
    """The format asked for, or the fastest that keeps the model's range.

    bfloat16 where the hardware multiplies it: GPUs, and CPUs with AMX or AVX512-BF16 (several times quicker there).
    Never float16 by default: Qwen2-VL's activations leave its range.

    Raises:
        InvalidInput: Not a format the model runs in.
    """
    import torch

    if dtype is None:
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        if device.type == "cpu":
            fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
            return torch.bfloat16 if fast else torch.float32
        return torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise InvalidInput(f"dtype {dtype!r} is not one the model runs in; expected one of {', '.join(DTYPES)}")
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def memory_bytes(device: torch.device) -> int | None:
    """Memory that a model may use there: all of a GPU's, or what the machine has free; None where it does not say."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def product_flops(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.2) -> float:
    """Operations a second of a product of matrices here, measured for `seconds`: what a model's speed follows from."""
    import torch

    side = 4096 if device.type == "cuda" else 1024
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)

    def spent(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            product = left @ right
        product[0, 0].item()  # waits for a GPU
        return time.perf_counter() - began

    spent(1)  # the first one also starts threads
    count = 1
    while (took := spent(count)) < seconds:
        count *= 2
    return 2.0 * side**3 * count / took


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a forward pass failed for memory; each backend has its own way to say so."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
