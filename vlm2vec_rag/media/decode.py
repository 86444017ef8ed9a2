"""Bytes to text: which encoding a text file has, found simply and said honestly."""

from __future__ import annotations

import codecs
import re

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before utf-16-le, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# control characters that no text holds; tab, line feed, form feed, carriage return and escape do occur
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. Line ends become a single line feed, a byte order mark is dropped.

    A byte order mark decides; else UTF-8 where it is valid; else UTF-16 where every other byte is mostly zero; else
    Windows-1252, which holds Latin-1 and can be wrong: no bytes are invalid in it, so other old encodings come out
    garbled. Save such a file as UTF-8.
    """
    text, encoding = _decode(data)
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def looks_like_text(head: bytes) -> bool:
    """Whether the beginning of a file is text: next to no control characters once it is decoded."""
    text, encoding = _decode(head)
    if encoding == "utf-8" or head.startswith(tuple(mark for mark, _ in _MARKS)):
        return len(_CONTROL.findall(text)) <= len(text) // 1000  # a stray one does occur
    # a guess must be clean, or any table of small numbers would be UTF-16
    return all(char.isprintable() or char in "\t\n\r\f" for char in text)


def clean(text: str) -> str:
    """Text that every store takes: no control characters, no half of a surrogate pair."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decode(data: bytes) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding
    sample = data[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) // 8 and min(even, odd) <= len(sample) // 100:
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        return data.decode(encoding, "replace"), encoding
    try:
        # a head may end in the middle of a character, so an incomplete end is no error
        return codecs.getincrementaldecoder("utf-8")().decode(data), "utf-8"
    except UnicodeDecodeError:
        damaged = data.decode("utf-8", "replace")
    # hardly any old text happens to hold valid UTF-8 beyond ASCII: some broken bytes among many good ones are damage
    if sum(char > "\x7f" for char in damaged) > 10 * damaged.count("\ufffd"):
        return damaged, "utf-8"
    return data.decode("cp1252", "replace"), "windows-1252"
