"""Frames to the rows of numbers that a Qwen vision tower reads: patches in merged blocks, two frames to a step.

Shape letters: F frames, P patches of one visual, W numbers of a patch (3 x temporal x patch x patch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Patches: TypeAlias = npt.NDArray[np.float32]  # (P, W)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSettings:
    """The constants of a vision tower."""

    patch: int
    merge: int
    temporal: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def factor(self) -> int:
        """Sides are multiples of this many pixels."""
        return self.patch * self.merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one visual will be cut, known from its size alone: no pixel is touched yet."""

    height: int
    width: int
    grid: tuple[int, int, int]  # steps in time, rows and columns of patches
    tokens: int  # what the language model will see of it


def plan_of(height: int, width: int, frames: int, settings: PatchSettings) -> Plan:
    """The plan of `frames` frames of that size, both sides multiples of the factor."""
    steps = -(-frames // settings.temporal)
    rows, columns = height // settings.patch, width // settings.patch
    return Plan(
        height=height, width=width, grid=(steps, rows, columns), tokens=steps * rows * columns // settings.merge**2
    )


def pack(frames: npt.NDArray[np.uint8], plan: Plan, settings: PatchSettings) -> Patches:
    """Normalise and cut frames of one visual. One image, and an odd last frame, fill both slots of their step.

    Args:
        frames: (F, height, width, 3), already of the plan's size.
        plan: How to cut them.
        settings: The tower's constants.

    Returns:
        (P, W) float32; a row is one patch, channel first, then time, then the patch's rows.
    """
    if short := -len(frames) % settings.temporal:
        frames = np.concatenate([frames, np.repeat(frames[-1:], short, axis=0)])
    pixels = frames.astype(np.float32)
    pixels *= np.float32(1 / 255)
    pixels -= np.asarray(settings.mean, dtype=np.float32)
    pixels /= np.asarray(settings.std, dtype=np.float32)

    steps, rows, columns = plan.grid
    patch, merge, temporal = settings.patch, settings.merge, settings.temporal
    blocks = pixels.reshape(steps, temporal, rows // merge, merge, patch, columns // merge, merge, patch, 3)
    # one merged block after the other, its four patches together: the merger joins neighbours in this order
    blocks = blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return np.ascontiguousarray(blocks.reshape(steps * rows * columns, 3 * temporal * patch * patch))


def frames_of(visual: PILImage | Sequence[PILImage]) -> list[PILImage]:
    """The frames of a clip, or one image as a list of one."""
    return list(visual) if isinstance(visual, Sequence) else [visual]
