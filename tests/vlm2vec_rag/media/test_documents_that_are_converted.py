"""Office documents by way of LibreOffice: slides, texts and sheets are pages, and a document can do no harm."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from docx import Document
from openpyxl import Workbook
from pptx import Presentation

import vlm2vec_rag as vr
from vlm2vec_rag.errors import EncryptedMedia, InvalidInput, MediaLimit, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaLimits, MediaReader
from vlm2vec_rag.media.conversion import with_notes
from vlm2vec_rag.media.sniff import sniff

needs_libreoffice = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
SLIDES = [
    ("Quarterly results", "Revenue grew by nine percent", "Thank the harbour team"),
    ("Hidden plans", "Secret giraffe budget", ""),
    ("Outlook", "Steady winds", "Mention the lighthouse of 1906"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """A deck with notes and a hidden slide, a manual of two pages, a workbook of two sheets."""
    folder = tmp_path_factory.mktemp("office")
    deck = Presentation()
    for title, words, notes in SLIDES:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, words
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
        else:
            slide._element.set("show", "0")
    deck.save(folder / "deck.pptx")
    manual = Document()
    manual.add_heading("Engines", 1)
    manual.add_paragraph("The boiler drives the piston.")
    manual.add_page_break()
    manual.add_heading("Sails", 1)
    manual.add_paragraph("Canvas catches the wind.")
    manual.save(folder / "manual.docx")
    book = Workbook()
    book.active.append(["fruit", "price"])
    book.active.append(["quince", 12500])
    book.create_sheet("Stock").append(["warehouse", "Rotterdam"])
    book.save(folder / "prices.xlsx")
    return folder


@pytest.fixture(scope="module")
def reader():
    with MediaReader() as reader:
        yield reader


@pytest.mark.slow
@needs_libreoffice
def test_slides_are_pages_with_their_notes_and_hidden_ones_too(shelf, reader):
    path = shelf / "deck.pptx"
    info = reader.probe(path)
    assert (info.kind, info.format, info.items, info.pages) == ("document", "pptx", 3, 3)
    pages = list(reader.items(path))
    for page, (title, words, notes) in zip(pages, SLIDES, strict=True):
        assert page.kind == "page" and page.source == str(path) and page.title == title
        assert all(each in page.text for each in (title, words, notes))
        assert page.text.count(title) == 1 and page.image.width > page.image.height
    assert [page.fragment for page in pages] == ["page=1", "page=2", "page=3"]
    assert {"Quarterly", "nine"} <= {word.text for word in reader.words(path, 1)}
    assert reader.page(path, 3).text == pages[2].text
    with pytest.raises(InvalidInput, match=r"deck.pptx has 3 pages; there is no page 4"):
        reader.page(path, 4)
    with pytest.raises(InvalidInput, match=r"deck.pptx is a document of pages; expected an image"):
        reader.image(path)


@pytest.mark.slow
@needs_libreoffice
def test_texts_and_sheets_are_pages(shelf, reader):
    pages = list(reader.items(shelf / "manual.docx"))
    assert [page.title for page in pages] == ["Engines", "Sails"] and "piston" in pages[0].text
    pages = list(reader.items(shelf / "prices.xlsx"))
    assert "quince" in pages[0].text and "12500" in pages[0].text and "Rotterdam" in pages[1].text


@pytest.mark.slow
@needs_libreoffice
@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("deck.pptx", "ppt odp"),
        ("manual.docx", "doc odt rtf"),
        ("prices.xlsx", "xls ods"),
    ],
)
def test_older_and_open_formats(shelf, reader, tmp_path, name, formats):
    for suffix in formats.split():
        command = ["soffice", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless"]
        command += ["--convert-to", suffix, "--outdir", str(tmp_path), str(shelf / name)]
        subprocess.run(command, check=True, capture_output=True)
        made = tmp_path / f"{Path(name).stem}.{suffix}"
        plain = made.rename(tmp_path / f"without a suffix {suffix}")
        assert sniff(plain).format == suffix
        text = " ".join(page.text for page in reader.items(plain))
        assert {"deck": "lighthouse", "manual": "piston", "prices": "quince"}[Path(name).stem] in text


@pytest.mark.slow
@needs_libreoffice
def test_a_document_is_found_by_its_notes_and_its_place_names_the_document(shelf):
    with vr.open(":memory:", "none") as library:
        report = library.index(shelf / "deck.pptx")
        assert (report.indexed, report.failures) == (1, [])
        [hit] = library.search("lighthouse")
        assert hit.place == f"{(shelf / 'deck.pptx').resolve()}#page=3" and hit.title == "Outlook"
        assert library.index(shelf / "deck.pptx").unchanged == 1


def open_document(path: Path, body: str) -> Path:
    """An OpenDocument text with this XML as its body."""
    oasis = "urn:oasis:names:tc:opendocument:xmlns"
    names = (
        f'xmlns:office="{oasis}:office:1.0" xmlns:text="{oasis}:text:1.0" xmlns:xlink="http://www.w3.org/1999/xlink"'
    )
    content = f'<office:document-content {names} office:version="1.2"><office:body><office:text>{body}'
    content += "</office:text></office:body></office:document-content>"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        '<manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", manifest)
    return path


@pytest.mark.slow
@needs_libreoffice
def test_a_document_pulls_in_no_other_file(tmp_path, reader):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of this machine")
    link = f'<text:section-source xlink:type="simple" xlink:show="embed" xlink:href="{secret.as_uri()}"/>'
    body = f'<text:p>innocent words</text:p><text:section text:name="a">{link}<text:p>kept</text:p></text:section>'
    pages = list(reader.items(open_document(tmp_path / "letter.odt", body)))
    text = "\n".join(page.text for page in pages)
    assert "innocent" in text and "secret of" not in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []  # no lock file beside it


@pytest.mark.slow
@needs_libreoffice
def test_what_is_broken_or_takes_too_long_is_one_line(tmp_path, shelf):
    with zipfile.ZipFile(tmp_path / "broken.docx", "w") as archive:
        archive.writestr("word/document.xml", "<no document")
    with MediaReader() as reader, pytest.raises(UnreadableMedia, match=r"broken.docx: LibreOffice cannot read it \("):
        reader.probe(tmp_path / "broken.docx")
    limits = MediaLimits(seconds_per_conversion=0.01)
    with MediaReader(limits=limits) as reader, pytest.raises(MediaLimit, match=r"deck.pptx: takes longer"):
        reader.probe(shelf / "deck.pptx")
    with MediaReader(limits=MediaLimits(file_bytes=100)) as reader, pytest.raises(MediaLimit, match="over limits"):
        reader.probe(shelf / "deck.pptx")


@pytest.mark.slow
@needs_libreoffice
def test_nothing_is_left_behind(shelf):
    with MediaReader() as reader:
        reader.probe(shelf / "prices.xlsx")
        folder = reader._converter._folder
        assert folder is not None and list(folder.rglob("document.pdf")) and not list(folder.rglob("document.xlsx"))
    assert not folder.exists()


@pytest.mark.parametrize(("suffix", "package"), [("pptx", "impress"), ("docx", "writer"), ("xlsx", "calc")])
def test_without_libreoffice_the_package_is_named(shelf, monkeypatch, suffix, package):
    monkeypatch.setenv("PATH", "/nowhere")
    [path] = shelf.glob(f"*.{suffix}")
    with MediaReader() as reader, pytest.raises(UnsupportedMedia, match=rf"apt install libreoffice-{package};"):
        reader.probe(path)


@pytest.mark.parametrize("name", ["deck.pptx", "manual.docx", "prices.xlsx"])
def test_documents_are_told_by_their_content(shelf, tmp_path, name):
    path = tmp_path / "renamed.pdf"
    shutil.copy(shelf / name, path)
    assert (sniff(path).kind, sniff(path).format) == ("document", name.rpartition(".")[2])


def test_a_password_is_named(tmp_path):
    path = tmp_path / "locked.docx"
    path.write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000) + "EncryptedPackage".encode("utf-16-le") + bytes(50)
    )
    with pytest.raises(EncryptedMedia, match=r"locked.docx: needs a password; save it without one"):
        sniff(path)


def test_a_zip_archive_and_text_under_such_a_name_are_no_documents(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(UnsupportedMedia, match=r"a.docx: is a ZIP archive; unpack it first"):
        sniff(tmp_path / "a.docx")
    (tmp_path / "b.pptx").write_text("Not Found")
    with pytest.raises(UnreadableMedia, match=r"b.pptx: is named \.pptx and holds text, not a document"):
        sniff(tmp_path / "b.pptx")


def test_notes_are_what_the_slide_does_not_say():
    assert with_notes("Title\nwords", "Title words Say hello 3".split()) == "Title\nwords\n\nSay hello"
    assert with_notes("Title", ["Title", "2"]) == "Title"
