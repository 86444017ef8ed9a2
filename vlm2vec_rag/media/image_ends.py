"""Whether an image file is cut off, by its length and its last bytes: for the message when it cannot be decoded."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 65_536  # programs append previews and metadata behind the end of an image


def is_cut_off(path: str, image_format: str) -> bool | None:
    """Whether the end of a file is missing; None where it cannot be told."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(64)
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return None
    whole = {
        # a preview inside a short file has an end of its own, the image's is behind the head of the last scan
        "jpeg": lambda: b"\xff\xd9" in tail[tail.rfind(b"\xff\xda") + 1 :],
        "png": lambda: b"IEND" in tail,
        "gif": lambda: b"\x3b" in tail[-64:],
        "webp": lambda: int.from_bytes(head[4:8], "little") + 8 <= size,
        "bmp": lambda: int.from_bytes(head[2:6], "little") <= size,
        "heic": lambda: not _ends_within_a_box(path, size),
        "avif": lambda: not _ends_within_a_box(path, size),
        "jpeg2000": lambda: b"\xff\xd9" in tail[-64:],
    }
    if image_format == "tiff":
        directory = int.from_bytes(head[4:8], "little" if head[:2] == b"II" else "big")
        return True if directory >= size else None  # pixels may stand behind the directory, too
    return not whole[image_format]() if image_format in whole else None


def _ends_within_a_box(path: str, size: int) -> bool:
    """ISO base media (ISO 14496-12, 4.2): a file is a row of boxes that each say how long they are."""
    at = 0
    with Path(path).open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length == 0:  # to the end of the file
                return False
            if length < 8:
                return True
            at += length
    return at > size
