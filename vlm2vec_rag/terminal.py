"""What may be shown to a person: strings that come from files, sizes and counts.

A file name, a title or an error message can hold control characters, which move a terminal's cursor, rename its window
or hide what follows; and a file name can hold bytes that are no text at all.
"""

from __future__ import annotations

import os
import re

# C0 but tab and line feed, DEL, C1; what turns the direction of all that follows; halves of surrogate pairs
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def size_of(n_bytes: float) -> str:
    """A number of bytes for people, to three figures: `4.42 GB`, `23.1 MB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes / 1e3:.3g} kB"


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def displayable(text: str | os.PathLike[str]) -> str:
    r"""A string that does nothing but show itself: what is no visible character becomes its escape, `\x1b`, `\xe9`."""
    return _UNSAFE.sub(_escaped, os.fspath(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
