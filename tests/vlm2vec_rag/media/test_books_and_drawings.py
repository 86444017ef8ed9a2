"""E-books, comics, XPS and SVG by way of PyMuPDF, and HEIC images by way of pillow-heif."""

from __future__ import annotations

import importlib.util
import io
import struct
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from vlm2vec_rag.errors import UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaLimits, MediaReader
from vlm2vec_rag.media.settings import has_pymupdf
from vlm2vec_rag.media.sniff import sniff

needs_pymupdf = pytest.mark.skipif(not has_pymupdf(), reason="an extra")


def zipped(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def epub(path: Path) -> Path:
    chapter = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{0}</h1><p>{1}</p></body></html>'
    entries = "".join(
        f'<navPoint id="n{n}" playOrder="{n}"><navLabel><text>{title}</text></navLabel>'
        f'<content src="c{n}.xhtml"/></navPoint>'
        for n, title in ((1, "Engines"), (2, "Sails"))
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="2.0"><metadata/><manifest>'
        '<item id="c1" href="c1.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="c2" href="c2.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        '</manifest><spine toc="ncx"><itemref idref="c1"/><itemref idref="c2"/></spine></package>'
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="b.opf"/></rootfiles></container>'
    )
    return zipped(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "b.opf": package,
            "toc.ncx": f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{entries}</navMap></ncx>',
            "c1.xhtml": chapter.format("Engines", "The boiler drives the piston. " * 200),
            "c2.xhtml": chapter.format("Sails", "Canvas catches the wind."),
        },
    )


def mobi(path: Path) -> Path:
    """A PalmDOC book, uncompressed."""
    text = b"<html><body><h1>Engines</h1><p>The boiler drives the piston.</p></body></html>"
    records = [struct.pack(">HHIHHI", 1, 0, len(text), 1, 4096, 0), text]
    header = b"ships".ljust(32, b"\0") + bytes(28) + b"TEXtREAd" + bytes(8) + struct.pack(">H", len(records))
    at = len(header) + 8 * len(records) + 2
    for number, record in enumerate(records):
        header += struct.pack(">II", at, number)
        at += len(record)
    path.write_bytes(header + bytes(2) + b"".join(records))
    return path


def fb2(path: Path) -> Path:
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><body>'
        "<section><title><p>Engines</p></title><p>The boiler drives the piston.</p></section></body></FictionBook>"
    )
    return path


def cbz(path: Path) -> Path:
    pages = {}
    for number in (1, 2):
        buffer = io.BytesIO()
        Image.new("RGB", (300, 400), (100 * number, 0, 0)).save(buffer, "PNG")
        pages[f"page{number}.png"] = buffer.getvalue()
    return zipped(path, pages)


def xps(path: Path) -> Path:
    kinds = {"fdseq": "fixeddocumentsequence", "fdoc": "fixeddocument", "fpage": "fixedpage"}
    types = "".join(
        f'<Default Extension="{suffix}" ContentType="application/vnd.ms-package.xps-{kind}+xml"/>'
        for suffix, kind in kinds.items()
    )
    ns = 'xmlns="http://schemas.microsoft.com/xps/2005/06"'
    relation = "http://schemas.microsoft.com/xps/2005/06/fixedrepresentation"
    package = "http://schemas.openxmlformats.org/package/2006"
    link = f'<Relationship Id="r" Type="{relation}" Target="/a.fdseq"/>'
    red = '<Path Data="M 0,0 L 300,0 300,400 0,400 z" Fill="#FFFF0000"/>'
    return zipped(
        path,
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{types}</Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships">{link}</Relationships>',
            "a.fdseq": f'<FixedDocumentSequence {ns}><DocumentReference Source="/a.fdoc"/></FixedDocumentSequence>',
            "a.fdoc": f'<FixedDocument {ns}><PageContent Source="/a.fpage"/></FixedDocument>',
            "a.fpage": f'<FixedPage {ns} Width="300" Height="400">{red}</FixedPage>',
        },
    )


def svg(path: Path) -> Path:
    path.write_text(
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="300" height="200">'
        '<script>alert(1)</script><rect width="300" height="200" fill="red"/>'
        '<text x="20" y="50" font-size="20">piston</text></svg>'
    )
    return path


MAKERS = {"epub": epub, "mobi": mobi, "fb2": fb2, "cbz": cbz, "xps": xps, "svg": svg}


@needs_pymupdf
@pytest.mark.parametrize("name", MAKERS)
def test_books_and_drawings_are_pages(tmp_path, name):
    # told by what is in it, but for a comic, which is any archive of images under that name
    path = MAKERS[name](tmp_path / ("ship.cbz" if name == "cbz" else "ship"))
    assert (sniff(path).kind, sniff(path).format) == ("document", name)
    with MediaReader() as reader:
        info = reader.probe(path)
        pages = list(reader.items(path))
    assert (info.kind, info.format, info.pages) == ("document", name, len(pages))
    assert all(page.kind == "page" and page.source == str(path) for page in pages)
    text = " ".join(page.text for page in pages)
    if name in ("epub", "mobi", "fb2", "svg"):
        assert "piston" in text and "alert" not in text
    else:
        red, green, _ = pages[0].image.getpixel((pages[0].image.width // 2, pages[0].image.height // 2))
        assert red >= 90 and green < 40
    if name == "epub":
        assert len(pages) > 2 and pages[0].title == "Engines" and pages[-1].title == "Sails"
    if name == "cbz":
        assert len(pages) == 2


@needs_pymupdf
def test_a_broken_book_is_one_line(tmp_path):
    path = zipped(tmp_path / "broken.epub", {"mimetype": "application/epub+zip", "x": "y"})
    with MediaReader() as reader, pytest.raises(UnreadableMedia, match=r"broken.epub: PyMuPDF cannot read it \("):
        reader.probe(path)


@pytest.mark.parametrize(("name", "what"), [("epub", "an EPUB book"), ("svg", "an SVG drawing")])
def test_without_pymupdf_the_extra_is_named(tmp_path, monkeypatch, name, what):
    monkeypatch.setattr("vlm2vec_rag.media.conversion.has_pymupdf", lambda: False)
    path = MAKERS[name](tmp_path / f"ship.{name}")
    with MediaReader() as reader, pytest.raises(UnsupportedMedia, match=rf"is {what}, .*'vlm2vec-rag\[pymupdf\]'"):
        reader.probe(path)


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="an extra")
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_heic_image_is_read_upright(tmp_path, orientation):
    import pillow_heif

    image = Image.new("RGB", (120, 80), "red")
    image.paste("blue", (0, 0, 60, 80))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(image).save(tmp_path / "phone.jpg", quality=-1, exif=exif.tobytes())
    path = tmp_path / "phone.jpg"
    assert sniff(path).format == "heic"
    with MediaReader() as reader:
        info, [item] = reader.probe(path), list(reader.items(path))
    assert (info.width, info.height) == item.image.size
    if orientation == 1:
        assert item.image.size == (120, 80)
    assert item.image.getpixel((10, 10))[2] > 200


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="an extra")
def test_half_a_heic_image_is_cut_off(tmp_path):
    import pillow_heif

    path = tmp_path / "cut.heic"
    pillow_heif.from_pillow(Image.effect_noise((200, 200), 90).convert("RGB")).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        MediaReader() as reader,
        pytest.raises(UnreadableMedia, match=r"cut.heic: cannot be decoded as heic .* cut off"),
    ):
        list(reader.items(path))


def test_without_pillow_heif_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(200))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pillow_heif" else real(name))
    reader = MediaReader(limits=MediaLimits(), isolated=False)
    with pytest.raises(UnsupportedMedia, match=r"phone.heic: is a HEIC image; run: pip install 'vlm2vec-rag\[heic\]'"):
        reader.probe(path)
