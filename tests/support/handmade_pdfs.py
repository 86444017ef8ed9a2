"""PDF files written by hand, so that what a page says, and where, is known without any PDF library."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


@dataclass(frozen=True)
class Sheet:
    """A page to write. Lengths are in points, from the bottom left, before any turn."""

    words: Sequence[tuple[float, float, str]] = ()  # (left, baseline, text), set in 24 pt Helvetica
    width: float = 595
    height: float = 842
    turn: int = 0  # /Rotate: degrees clockwise
    crop: tuple[float, float, float, float] | None = None  # left, bottom, right, top
    drawing: bytes = b""  # further content
    extra: bytes = b""  # further entries of the page's dictionary
    objects: Mapping[str, bytes] = field(default_factory=dict)  # named XObjects that the content may use


class Pdf:
    """Numbers objects as they are added, and writes them with a cross-reference table."""

    def __init__(self) -> None:
        self.objects: list[bytes] = []

    def add(self, body: bytes = b"") -> int:
        self.objects.append(body)
        return len(self.objects)

    def stream(self, data: bytes, entries: bytes = b"", *, compress: bool = False) -> int:
        if compress:
            data, entries = zlib.compress(data, 9), entries + b" /Filter /FlateDecode"
        return self.add(b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(data), data))

    def bytes(self, root: int) -> bytes:
        out, places = bytearray(b"%PDF-1.7\n"), []
        for number, body in enumerate(self.objects, 1):
            places.append(len(out))
            out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        start = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        out += b"".join(b"%010d 00000 n \n" % place for place in places)
        out += b"trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, root, start)
        return bytes(out)


def make_pdf(
    path: Path,
    sheets: Sequence[Sheet] = (Sheet(words=[(72, 700, "Hello")]),),
    *,
    outline: Sequence[tuple[int, str, int]] = (),
    labels: bytes = b"",
    font: bytes = HELVETICA,
) -> Path:
    """Write a document.

    Args:
        path: Where to.
        sheets: Its pages.
        outline: (level from 0, title, page from 1) in order.
        labels: The /Nums array of /PageLabels.
        font: The font that words are set in. Objects are numbered as they are added: 3 is the font, 4 the content of
            the first page, and from 5 its named objects.
    """
    pdf = Pdf()
    root, tree, font = pdf.add(), pdf.add(), pdf.add(font)
    pages = [_add_page(pdf, sheet, tree, font) for sheet in sheets]
    kids = b" ".join(b"%d 0 R" % page for page in pages)
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))
    entries = b"/Type /Catalog /Pages %d 0 R" % tree
    if outline:
        entries += b" /Outlines %d 0 R" % _add_outline(pdf, outline, pages)
    if labels:
        entries += b" /PageLabels << /Nums [%s] >>" % labels
    pdf.objects[root - 1] = b"<< %s >>" % entries
    path.write_bytes(pdf.bytes(root))
    return path


def _add_page(pdf: Pdf, sheet: Sheet, tree: int, font: int) -> int:
    shown = b"".join(
        b"BT /F 24 Tf %g %g Td (%s) Tj ET\n" % (left, baseline, text.encode("latin-1"))
        for left, baseline, text in sheet.words
    )
    content = pdf.stream(shown + sheet.drawing)
    named = b" ".join(b"/%s %d 0 R" % (name.encode(), pdf.add(body)) for name, body in sheet.objects.items())
    crop = b"/CropBox [%g %g %g %g]" % sheet.crop if sheet.crop else b""
    return pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %f %f] /Rotate %d %s %s /Contents %d 0 R "
        b"/Resources << /Font << /F %d 0 R >> /XObject << %s >> >> >>"
        % (tree, sheet.width, sheet.height, sheet.turn, crop, sheet.extra, content, font, named)
    )


def _add_outline(pdf: Pdf, outline: Sequence[tuple[int, str, int]], pages: Sequence[int]) -> int:
    root = pdf.add()
    numbers = [pdf.add() for _ in outline]
    parents: list[int] = []
    above: list[tuple[int, int]] = []  # (level, object)
    for (level, _, _), number in zip(outline, numbers, strict=True):
        above = [each for each in above if each[0] < level]
        parents.append(above[-1][1] if above else root)
        above.append((level, number))
    for position, ((_, title, page), number) in enumerate(zip(outline, numbers, strict=True)):
        siblings = [each for each, parent in zip(numbers, parents, strict=True) if parent == parents[position]]
        place = siblings.index(number)
        links = b"/Parent %d 0 R" % parents[position]
        if place > 0:
            links += b" /Prev %d 0 R" % siblings[place - 1]
        if place + 1 < len(siblings):
            links += b" /Next %d 0 R" % siblings[place + 1]
        links += _children(number, numbers, parents)
        words = title.encode("utf-16-be").hex().encode()
        pdf.objects[number - 1] = b"<< /Title <FEFF%s> %s /Dest [%d 0 R /Fit] >>" % (words, links, pages[page - 1])
    pdf.objects[root - 1] = b"<< /Type /Outlines %s >>" % _children(root, numbers, parents)
    return root


def _children(number: int, numbers: Sequence[int], parents: Sequence[int]) -> bytes:
    own = [each for each, parent in zip(numbers, parents, strict=True) if parent == number]
    return b" /First %d 0 R /Last %d 0 R /Count %d" % (own[0], own[-1], len(own)) if own else b""
