"""What a check says, and what several of them come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. A warning works all the same; a fault keeps something from working."""

    name: str
    state: State = "ok"
    got: str
    expected: str = ""  # where it is not ok
    next_step: str = ""  # where it is not ok: what to do about it


def worst(checks: Sequence[Check]) -> State:
    """The gravest state among them."""
    states = {check.state for check in checks}
    return "fault" if "fault" in states else "warning" if "warning" in states else "ok"


def verdict(checks: Sequence[Check]) -> str:
    """One line that says what they come to."""
    faults = [check.name for check in checks if check.state == "fault"]
    warnings = [check.name for check in checks if check.state == "warning"]
    if faults:
        beside = f", and {_counted(len(warnings), 'warning')}" if warnings else ""
        return f"{_counted(len(faults), 'fault')}: {', '.join(faults)}{beside}"
    if warnings:
        return f"it works, with {_counted(len(warnings), 'warning')}: {', '.join(warnings)}"
    return f"all is well: {_counted(len(checks), 'check')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
