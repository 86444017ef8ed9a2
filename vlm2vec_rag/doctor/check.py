"""What a check says, and what several of them come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vlm2vec_rag.terminal import counted

State: TypeAlias = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. A warning works all the same; a fault keeps something from working."""

    name: str
    state: State = "ok"
    got: str
    expected: str = ""  # where it is not ok
    next_step: str = ""  # where it is not ok: what to do about it


def within(name: str, distance: float, tolerance: float, *, got: str, next_step: str) -> Check:
    """A check of how far vectors are apart: a fault beyond the tolerance."""
    if distance <= tolerance:
        return Check(name=name, got=got)
    return Check(name=name, state="fault", got=got, expected=f"at most {tolerance:g}", next_step=next_step)


def worst(checks: Sequence[Check]) -> State:
    """The gravest state among them."""
    states = {check.state for check in checks}
    return "fault" if "fault" in states else "warning" if "warning" in states else "ok"


def verdict(checks: Sequence[Check]) -> str:
    """One line that says what they come to."""
    faults = [check.name for check in checks if check.state == "fault"]
    warnings = [check.name for check in checks if check.state == "warning"]
    if faults:
        beside = f", and {counted(len(warnings), 'warning')}" if warnings else ""
        return f"{counted(len(faults), 'fault')}: {', '.join(faults)}{beside}"
    if warnings:
        return f"it works, with {counted(len(warnings), 'warning')}: {', '.join(warnings)}"
    return f"all is well: {counted(len(checks), 'check')}"
