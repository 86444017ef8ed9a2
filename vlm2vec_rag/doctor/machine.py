"""Checks of this machine: versions, device, room on the disk, and the vectors that the packaged model gives here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.doctor.check import Check, within
from vlm2vec_rag.encoder.names import NANO
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.terminal import size_of

if TYPE_CHECKING:
    import torch

DISTRIBUTION = "vlm2vec-rag"
SHOWN = ("torch", "transformers", "qdrant-client", "qdrant-edge-py", "pillow", "numpy")
LOW_BYTES = 2e9  # free on a disk: a few thousand pages with thumbnails, or the copy that an index is built on


def check_machine(*, device: str | None = None, dtype: str | None = None) -> Iterator[Check]:
    """Look at versions, media readers, the device, the disks of temporary files, and the packaged model's vectors.

    Args:
        device: As for `load_encoder`; None takes the best.
        dtype: As for `load_encoder`; None takes the best.
    """
    yield from check_versions()
    yield check_readers()
    yield check_device(device, dtype)
    yield check_disk("temporary files", Path(tempfile.gettempdir()))
    yield check_golden(device, dtype)


def check_versions() -> Iterator[Check]:
    """What is installed, against what the package asks for."""
    from packaging.requirements import Requirement

    try:
        own, wanted = importlib.metadata.version(DISTRIBUTION), importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        got = f"{DISTRIBUTION} runs from its source and is not installed, so nothing says which versions it needs"
        yield Check(
            name="versions", state="warning", got=got, expected="an installed package", next_step="pip install -e ."
        )
        return
    there = [f"{name} {version}" for name in SHOWN if (version := _version(name))]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check(name="versions", got=f"{DISTRIBUTION} {own}, {python}, {', '.join(there)}")
    for each in map(Requirement, wanted):
        is_core = each.marker is None or each.marker.evaluate({"extra": ""})
        version = _version(each.name)
        if version is None and is_core:
            yield _other_version(each.name, "it is not installed", str(each.specifier))
        elif version is not None and not each.specifier.contains(version, prereleases=True):
            yield _other_version(each.name, version, str(each.specifier))


def check_readers() -> Check:
    """With what each kind of file is read here."""
    from vlm2vec_rag.media import MediaSettings
    from vlm2vec_rag.media.conversion import find_program

    try:
        settled = MediaSettings().settled()
    except VlmRagError as error:
        return Check(name="readers", state="fault", got=str(error), expected="a reader for each kind of file")
    office = "LibreOffice" if find_program() else "nothing here (LibreOffice is not installed)"
    words = "off" if settled.ocr == "off" else f"{settled.ocr}, by RapidOCR"
    got = f"PDF by {settled.pdf_engine}, video by {settled.video_reader}, office documents by {office}, OCR {words}"
    return Check(name="readers", got=got)


def check_device(device: str | None = None, dtype: str | None = None) -> Check:
    """Where models run, in which number format, and how fast that is."""
    import torch

    from vlm2vec_rag.encoder.device import choose_device, choose_dtype, memory_bytes, product_flops

    try:
        chosen = choose_device(device)
        number_format = choose_dtype(chosen, dtype)
    except VlmRagError as error:
        return Check(name="device", state="fault", got=str(error), expected="a device that torch sees")
    free = memory_bytes(chosen)
    speed = product_flops(chosen, number_format)
    got = (
        f"{_described(chosen)}, best in {str(number_format).removeprefix('torch.')}, "
        f"{speed / 1e9:,.0f} billion operations a second" + (f", {size_of(free)} of memory" if free else "")
    )
    if chosen.type == "cpu" and device is None and _has_nvidia():
        return Check(
            name="device",
            state="warning",
            got=f"{got}; there is an NVIDIA GPU, and torch {torch.__version__} does not see it",
            expected="models on the GPU",
            next_step="install torch for your CUDA version (pytorch.org), or look at nvidia-smi for the driver",
        )
    if chosen.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        return Check(
            name="device",
            state="warning",
            got=f"{got}; torch uses none of its vector instructions",
            expected="AVX2 or better, some ten times faster",
            next_step="run it on a newer machine; in a virtual machine, pass the host's CPU through",
        )
    return Check(name="device", got=got)


def check_disk(name: str, folder: Path) -> Check:
    """How much room there is on the disk of a folder, which may not be there yet."""
    from vlm2vec_rag.collection.edge.shard import ROOM_BYTES

    there = folder.expanduser().absolute()
    while not there.exists():
        there = there.parent
    try:
        usage = shutil.disk_usage(there)
    except OSError as error:
        return Check(name=f"disk of {name}", state="fault", got=f"{folder}: {error}", expected="a folder to write to")
    got = f"{size_of(usage.free)} free of {size_of(usage.total)} at {folder}"
    if usage.free >= LOW_BYTES:
        return Check(name=f"disk of {name}", got=got)
    return Check(
        name=f"disk of {name}",
        state="fault" if usage.free < ROOM_BYTES else "warning",
        got=got,
        expected=f"{size_of(LOW_BYTES)}; below {size_of(ROOM_BYTES)} nothing more is written",
        next_step="make room, or put it on another disk",
    )


def check_golden(device: str | None = None, dtype: str | None = None) -> Check:
    """Whether the packaged model gives the vectors here that it gave where it was made."""
    from vlm2vec_rag.doctor.golden import TOLERANCE, apart, read_golden, vectors_of
    from vlm2vec_rag.encoder.shared import shared_encoder

    name = "vectors"
    try:
        encoder = shared_encoder(model=NANO, device=device, dtype=dtype)
        golden = read_golden()
        if encoder.fingerprint.weights != golden.weights:
            raise ValueError(f"{NANO}'s weights are {encoder.fingerprint.weights}, expected {golden.weights}")
        distance = apart(golden.vectors, vectors_of(encoder))
    except Exception as error:  # of whatever torch, a driver or a damaged file comes up with
        return Check(
            name=name,
            state="fault",
            got=f"{NANO} does not run here ({type(error).__name__}: {error})",
            expected="the golden vectors that come with the package",
            next_step="pip install --force-reinstall vlm2vec-rag torch; or choose another --device",
        )
    tolerance = next((each for kind, each in TOLERANCE.items() if kind in encoder.runs_on), TOLERANCE["float32"])
    got = f"{NANO} on {encoder.runs_on} is {distance:.1g} from its golden vectors (1 - cosine)"
    return within(
        name,
        distance,
        tolerance,
        got=got,
        next_step="try --device cpu --dtype float32; where that is right, update torch and the driver of the device",
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _other_version(name: str, got: str, wanted: str) -> Check:
    return Check(
        name=f"version of {name}",
        state="fault",
        got=got,
        expected=wanted or "any version",
        next_step=f"pip install '{name}{wanted}'",
    )


def _described(device: torch.device) -> str:
    """A device in words: its name, and what of a CPU multiplies fast."""
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda})"
    if device.type != "cpu":
        return str(device)
    parts = [torch.backends.cpu.get_cpu_capability().replace("AVX512", "AVX-512")]
    parts += ["AMX"] if torch.cpu._is_amx_tile_supported() else []
    parts += ["AVX512-BF16"] if torch.cpu._is_avx512_bf16_supported() else []
    return f"cpu ({os.cpu_count()} cores, {torch.get_num_threads()} threads, {', '.join(parts)})"


def _has_nvidia() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
