"""One line of the table, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Row:
    """What was tried, how often, and what broke."""

    part: str
    what: str
    tried: int
    found: str = ""  # what was seen: counts, sizes, seconds
    broke: list[str] = field(default_factory=list)  # one line for each trial that went wrong


def as_text(row: Row) -> str:
    state = f"BROKE {len(row.broke)} of {row.tried}" if row.broke else f"{row.tried} tried"
    lines = [f"{row.part:<10} {row.what:<58} {state:<16} {row.found}"]
    return "\n".join([*lines, *(f"           ! {each}" for each in row.broke[:10])])


def as_markdown(rows: Sequence[Row], heading: str) -> str:
    lines = [heading, "", "| part | what | tried | broke | seen |", "| --- | --- | ---: | ---: | --- |"]
    lines += [f"| {row.part} | {row.what} | {row.tried} | {len(row.broke)} | {row.found} |" for row in rows]
    return "\n".join(lines) + "\n"
