"""Hundreds of hostile files by a seed, read with every PDF engine and video reader, in the process that opens files.

Right is: items, or one error of the package. Wrong is: another error, a reader that does not go on, or a process that
takes more memory than it may.
"""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pdf_bombs
from report import Row

from vlm2vec_rag import samples
from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
from vlm2vec_rag.media.settings import has_pymupdf

GOOD = (
    "latexsheet.pdf",
    "reportlab-charts.pdf",
    "cat.jpg",
    "lighthouse.png",
    "big-buck-bunny.mp4",
    "big-buck-bunny.srt",
)
MEMORY_BYTES = 2 * 2**30
LIMITS = MediaLimits(
    memory_bytes=MEMORY_BYTES, seconds_per_item=4, seconds_per_clip=10, seconds_per_file=15, text_bytes=20 * 2**20
)


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    files = make_hostile(folder / "files", seed, count=8 if short else 300)
    pdf_engines = ["pypdfium2", *(["pymupdf"] if has_pymupdf() else [])]
    video_readers = ["pyav", *(["decord"] if _has("decord") else [])]
    for engine in pdf_engines:
        chosen = [each for each in files if each.suffix == ".pdf"]
        yield _read(f"PDF by {engine}", chosen, MediaSettings(pdf_engine=engine, ocr="off"), short=short)
    for reader in video_readers:
        chosen = [each for each in files if each.suffix == ".mp4"]
        yield _read(f"video by {reader}", chosen, MediaSettings(video_reader=reader, ocr="off"), short=short)
    others = [each for each in files if each.suffix not in (".pdf", ".mp4")]
    yield _read("images and texts", others, MediaSettings(ocr="off"), short=short)


def _read(name: str, files: list[Path], settings: MediaSettings, *, short: bool) -> Row:
    row = Row(part="hostile", what=name, tried=0)
    outcomes: Counter[str] = Counter()
    peak_mb = longest_s = 0.0
    slowest = ""
    good = samples.folder() / "cat.jpg"
    with MediaReader(settings, LIMITS) as reader:
        for path in files:
            began = time.monotonic()
            row.tried += 1
            try:
                items = sum(1 for _ in reader.items(path))
                outcomes["read" if items else "empty"] += 1
            except MediaError as error:
                outcomes["refused"] += 1
                if len(str(error)) > 2_000 or "\n" in str(error):
                    row.broke.append(f"{path.name}: its error is not one line: {str(error)[:100]!r}")
            except Exception as error:
                row.broke.append(f"{path.name}: {type(error).__name__}: {str(error)[:200]}")
            took_s = time.monotonic() - began
            if took_s > longest_s:
                longest_s, slowest = took_s, path.name
            peak_mb = max(peak_mb, _peak_mb(reader))
            try:
                reader.image(good)
            except MediaError as error:
                row.broke.append(f"after {path.name} a good file is refused: {error}")
    if peak_mb * 2**20 > MEMORY_BYTES:
        row.broke.append(f"the process took {peak_mb:.0f} MiB, {MEMORY_BYTES / 2**20:.0f} are allowed")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items()))
    row.found = f"{counts}; process at most {peak_mb:.0f} MiB of 2,048; longest {longest_s:.0f} s ({slowest})"
    return row


def _peak_mb(reader: MediaReader) -> float:
    """The most memory that the present process had resident."""
    process = reader._guard._worker._process if reader._guard else None
    if process is None:
        return 0.0
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def make_hostile(folder: Path, seed: int, *, count: int) -> list[Path]:
    """That many files: damaged copies of good ones, and bombs, which come first."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    made = []
    for name, make in _bombs():
        make(folder / name)
        made.append(folder / name)
    made = rng.sample(made, min(len(made), count // 3))
    good = {name: (samples.folder() / name).read_bytes() for name in GOOD}
    number = 0
    while len(made) < count:
        name = GOOD[number % len(GOOD)]
        data, way = good[name], WAYS[number // len(GOOD) % len(WAYS)]
        path = folder / f"{way.__name__.strip('_')}-{number}-{name}"
        if path.suffix == ".srt":
            path = path.with_suffix(".txt")
        path.write_bytes(way(data, rng))
        made.append(path)
        number += 1
    return sorted(made)


def _few(data: bytes, rng: random.Random) -> bytes:
    return _flipped(data, rng.randrange(1, 20), rng)


def _many(data: bytes, rng: random.Random) -> bytes:
    return _flipped(data, rng.randrange(200, 5_000), rng)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def _head(data: bytes, rng: random.Random) -> bytes:
    return _flipped(data[:400], 30, rng) + data[400:]


def _torn(data: bytes, rng: random.Random) -> bytes:
    """A stretch taken out, another one doubled."""
    first, second = sorted(rng.sample(range(len(data)), 2))
    again = rng.randrange(len(data))
    return data[:first] + data[second:] + data[again : again + 5_000] * 3


def _noise(data: bytes, rng: random.Random) -> bytes:
    """A true beginning, and then anything."""
    return data[:64] + rng.randbytes(20_000)


WAYS = (_few, _many, _cut, _head, _torn, _noise)


def _flipped(data: bytes, count: int, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(count):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _bombs() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Files that are small and take all time or memory, or claim what cannot be."""
    yield "nested-forms.pdf", pdf_bombs.nested_forms
    yield "long-content.pdf", pdf_bombs.long_content
    yield "giant-image.pdf", pdf_bombs.giant_image
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>"
    yield "count-2e9.pdf", _pdf(b"<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", page)
    yield "pages-of-pages.pdf", _pdf(b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>", page)
    yield "20000-pages.pdf", _pdf(b"<< /Type /Pages /Kids [" + b"3 0 R " * 20_000 + b"] /Count 20000 >>", page)
    yield "huge-paper.pdf", _pdf(_ONE, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 20000000 20000000] >>")
    yield "no-paper.pdf", _pdf(_ONE, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 1e9 1e-9] >>")
    links = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Annots [" + b"4 0 R " * 200_000 + b"] >>"
    yield "200000-links.pdf", _pdf(_ONE, links, b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] >>")
    yield "empty.pdf", lambda path: path.write_bytes(b"")
    yield "169-megapixels.png", lambda path: path.write_bytes(_png(13_000, 13_000))
    yield "3600-megapixels.png", lambda path: path.write_bytes(_png(60_000, 60_000, rows=100))
    yield "most-pixels.png", lambda path: path.write_bytes(_png(2**31 - 1, 2**31 - 1, rows=0))
    yield "wide.png", lambda path: path.write_bytes(_png(100_000, 1))
    yield "tall.png", lambda path: path.write_bytes(_png(1, 100_000))
    text = _chunk(b"zTXt", b"Description\0\0" + _packed(b"A" * 10**6, 1_000))
    yield "text-of-1-gb.png", lambda path: path.write_bytes(_png(4, 4, extra=text))
    title = _chunk(b"tEXt", b"Title\0\x1b[31mred\x1b]0;renamed\x07")
    yield "control-characters.png", lambda path: path.write_bytes(_png(4, 4, extra=title))
    yield "laughs.svg", lambda path: path.write_bytes(_LAUGHS)
    yield "one-line.txt", lambda path: path.write_bytes(b"a" * 19 * 2**20)
    yield "too-long.txt", lambda path: path.write_bytes(b"word " * 5 * 2**20)
    yield "nothing.txt", lambda path: path.write_bytes(bytes(1_000))
    yield "halves-of-pairs.txt", lambda path: path.write_bytes(b"\xed\xa0\x80\xed\xb0\x80 zebra")
    yield "marks.txt", lambda path: path.write_text("\u202e" * 1_000 + "quokka" + "\u0301" * 100_000)
    film = (samples.folder() / "big-buck-bunny.mp4").read_bytes()
    head = _box(b"ftyp", b"isom\0\0\0\0isom")
    yield "box-of-4-gb.mp4", lambda path: path.write_bytes(head + b"\xff\xff\xff\xf0moov" + bytes(1_000))
    yield "boxes-in-boxes.mp4", lambda path: path.write_bytes(head + _nested(5_000))
    most = struct.pack(">I", 10**9)
    for name, tag, at, value in (
        ("1e9-frames.mp4", b"stsz", 12, most),
        ("endless.mp4", b"mvhd", 20, b"\x7f\xff\xff\xff"),
        ("16384-square.mp4", b"avc1", 28, struct.pack(">HH", 16_384, 16_384)),
        ("1e9-times.mp4", b"stts", 8, struct.pack(">III", 1, 10**9, 10**9)),
    ):
        if (place := film.find(tag)) >= 0:
            spoilt = film[: place + at] + value + film[place + at + len(value) :]
            yield name, lambda path, spoilt=spoilt: path.write_bytes(spoilt)


_ONE = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(9))
    + b']><svg xmlns="http://www.w3.org/2000/svg"><text>&j;</text></svg>'
)


def _pdf(*objects: bytes) -> Callable[[Path], object]:
    """A PDF of a catalogue and these objects, the tree of pages first."""
    body, places = b"%PDF-1.5\n", []
    for number, each in enumerate((b"<< /Type /Catalog /Pages 2 0 R >>", *objects), start=1):
        places.append(len(body))
        body += b"%d 0 obj\n" % number + each + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1) + table
    end += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, len(body))
    return lambda path: path.write_bytes(body + end)


def _png(width: int, height: int, *, rows: int | None = None, extra: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    row = b"\0" + b"\x80" * (3 * width) if width < 10**6 else b"\0"
    pixels = _packed(row, height if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + header + extra + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _packed(part: bytes, times: int) -> bytes:
    """A part, so many times, compressed."""
    packer = zlib.compressobj(6)
    return b"".join(packer.compress(part) for _ in range(times)) + packer.flush()


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


def _nested(depth: int) -> bytes:
    nest = b""
    for _ in range(depth):
        nest = _box(b"moov", nest)
    return nest


def _has(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None
