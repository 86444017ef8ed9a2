"""Where one PDF engine cannot open, read or draw, the other does, and the notes say so."""

from __future__ import annotations

import pytest
from handmade_pdfs import Sheet, make_pdf
from PIL import Image

from vlm2vec_rag.errors import EncryptedMedia, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.pdf import engines
from vlm2vec_rag.media.pdf.pages import PdfFile
from vlm2vec_rag.media.settings import has_pymupdf

pytestmark = pytest.mark.skipif(not has_pymupdf(), reason="needs both engines")
OTHER = {"pymupdf": "pypdfium2", "pypdfium2": "pymupdf"}


@pytest.fixture
def failing(monkeypatch):
    """Makes one engine fail at one thing."""

    def fail(engine, method):
        real = engines.open_document

        def opened(path, name, settings):
            if name == engine and method == "open":
                raise UnreadableMedia("broken")
            document = real(path, name, settings)
            if name == engine:

                def broken(*arguments):
                    raise UnreadableMedia("broken")

                monkeypatch.setattr(document, method, broken, raising=False)
            return document

        monkeypatch.setattr(engines, "open_document", opened)

    return fail


@pytest.mark.parametrize("method", ["open", "render", "text", "label", "size_pt"])
def test_the_other_engine_reads_what_one_cannot(tmp_path, failing, engine, method):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "Hello")])])
    failing(engine, method)
    with collected_notes() as notes:
        page = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits()).page(1)
    assert page.text == "Hello" and page.image.getextrema() != ((255, 255),) * 3
    assert all(OTHER[engine] in note and engine in note for note in notes) and notes


def test_a_file_that_no_engine_reads_is_one_error_without_advice_that_was_tried(tmp_path, engine):
    path = tmp_path / "cut.pdf"
    path.write_bytes(b"%PDF-1.7\nnothing that follows")
    with pytest.raises(UnreadableMedia, match=r"cut\.pdf") as error:
        PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    assert OTHER[engine] not in str(error.value).lower().replace("pdfium", "pypdfium2" if engine == "pymupdf" else "")


def test_a_page_that_is_drawn_empty_without_text_is_drawn_by_the_other(tmp_path, monkeypatch, engine):
    path = make_pdf(tmp_path / "scan.pdf", [Sheet(drawing=b"100 100 200 200 re f"), Sheet()])
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    right = file.page(1).image.tobytes()
    monkeypatch.setattr(
        file._engines.first, "render", lambda index, height, width: Image.new("RGB", (width, height), "black")
    )
    with collected_notes() as notes:
        image = file.page(1).image
    assert image.getextrema() == ((0, 255),) * 3 and len(image.tobytes()) == len(right)
    assert notes == [f"page 1 is drawn by {OTHER[engine]}, since {engine} draws nothing"]
    with collected_notes() as notes:  # a page that is empty for both stays as the first has it
        assert file.page(2).image.getextrema() == ((0, 0),) * 3
    assert notes == []


def test_what_mupdf_says_it_could_not_decode_is_drawn_by_the_other(tmp_path):
    """A JBIG2 image with a segment of a kind that MuPDF's decoder does not know, under a text layer, as scans have."""
    header = bytes([0, 0, 0, 0, 0x30, 0, 1]) + (19).to_bytes(4, "big")
    page_info = (64).to_bytes(4, "big") * 2 + bytes(8) + bytes([0x40, 0, 0])
    unknown = bytes([0, 0, 0, 1, 0x24, 0, 1]) + (26).to_bytes(4, "big") + bytes(26)  # intermediate generic region
    data = header + page_info + unknown
    image = (
        b"<< /Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceGray /BitsPerComponent 1 "
        b"/Filter /JBIG2Decode /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
    )
    drawing = b"q 200 0 0 200 100 100 cm /I Do Q"
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "Words")], drawing=drawing, objects={"I": image})])
    with collected_notes() as notes:
        page = PdfFile(str(path), MediaSettings(pdf_engine="pymupdf"), MediaLimits()).page(1)
    assert page.text == "Words"
    assert len(notes) == 1 and notes[0].startswith("page 1 is drawn by pypdfium2, since pymupdf cannot decode a part")


def test_the_notes_leave_the_reading_process(tmp_path, monkeypatch):
    path = make_pdf(tmp_path / "a.pdf")
    path.write_bytes(path.read_bytes().replace(b"/Type /Catalog", b"/Type /Cat@log"))
    with MediaReader(MediaSettings(pdf_engine="pypdfium2")) as reader:
        pages = list(reader.items(path))
        notes = reader.take_notes(path)
    assert len(pages) == 1
    assert notes in ([], ["read by pymupdf, since pypdfium2 cannot open it"])


def test_passwords_are_tried_in_turn_by_both(locked_files, engine):
    path = str(locked_files / "locked.pdf")
    assert PdfFile(path, MediaSettings(pdf_engine=engine, passwords=["a", "open sesame"]), MediaLimits()).page(1).text
    with pytest.raises(EncryptedMedia, match=r"--password, or MediaSettings\(passwords"):
        PdfFile(path, MediaSettings(pdf_engine=engine), MediaLimits())
    with pytest.raises(EncryptedMedia, match="none of the given passwords opens it"):
        PdfFile(path, MediaSettings(pdf_engine=engine, passwords=["a", "b"]), MediaLimits())
