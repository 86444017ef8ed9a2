"""Small PDF files that take all time or memory there is. Each is well-formed enough to be opened."""

from __future__ import annotations

from pathlib import Path

from handmade_pdfs import Pdf, Sheet, make_pdf


def nested_forms(path: Path) -> Path:
    """Forms that draw ten forms that draw ten forms: 10^9 drawings in 2 KB."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    inner = pdf.stream(b"0 0 1 1 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 600 850]")
    for _ in range(9):
        inner = pdf.stream(
            b"/X Do " * 10,
            b"/Type /XObject /Subtype /Form /BBox [0 0 600 850] /Resources << /XObject << /X %d 0 R >> >>" % inner,
        )
    content = pdf.stream(b"/X Do")
    page = pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
        b"/Resources << /XObject << /X %d 0 R >> >> >>" % (tree, content, inner)
    )
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    path.write_bytes(pdf.bytes(root))
    return path


def long_content(path: Path, megabytes: int = 60) -> Path:
    """One page whose content is so many megabytes of drawing, in far less than 1 MB."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    strokes = b"0 0 m 500 800 l S 9 9 m 400 100 l S "
    content = pdf.stream(strokes * (megabytes * 2**20 // len(strokes)), compress=True)
    page = pdf.add(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R >>" % (tree, content))
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    path.write_bytes(pdf.bytes(root))
    return path


def giant_image(path: Path, side: int = 10_000) -> Path:
    """A page with an image of `side` x `side` RGB pixels: 300 MB when decoded, 0.3 MB in the file."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    image = pdf.stream(
        bytes(3 * side * side),
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8"
        % (side, side),
        compress=True,
    )
    content = pdf.stream(b"500 0 0 500 40 40 cm /X Do")
    page = pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
        b"/Resources << /XObject << /X %d 0 R >> >> >>" % (tree, content, image)
    )
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    path.write_bytes(pdf.bytes(root))
    return path


def giant_page(path: Path) -> Path:
    """A page of 10^7 x 10^7 points: 28 square kilometres."""
    return make_pdf(path, [Sheet(words=[(72, 72, "far away")], width=1e7, height=1e7)])


def page_tree_loop(path: Path, count: int = 3) -> Path:
    """A page tree whose only child is itself."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count %d >>" % (tree, count)
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    path.write_bytes(pdf.bytes(root))
    return path


def million_pages(path: Path) -> Path:
    """Says it has 10^9 pages, and holds one."""
    made = make_pdf(path)
    path.write_bytes(made.read_bytes().replace(b"/Count 1 >>", b"/Count 1000000000 >>"))
    return path


def outline_loop(path: Path) -> Path:
    """An outline entry that follows itself."""
    make_pdf(path, outline=[(0, "one", 1), (0, "two", 1)])
    data = path.read_bytes()
    first = data.index(b"/Next ")
    number = data[:first].rsplit(b" 0 obj", 1)[0].rsplit(b"\n", 1)[1]
    path.write_bytes(data.replace(b"/Next " + data[first + 6 :].split(b" ")[0], b"/Next " + number, 1))
    return path


ALL = [nested_forms, long_content, giant_image, giant_page, page_tree_loop, million_pages, outline_loop]
