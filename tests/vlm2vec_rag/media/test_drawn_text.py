"""What is drawn on a page is its text, by both engines; what is not drawn is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_pdfs import Pdf, Sheet, make_pdf

from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.pdf.pages import PdfFile

JAPANESE = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /HeiseiMin-W3 /Encoding /UniJIS-UCS2-V /DescendantFonts [%d 0 R] >>"
)


def texts(path: Path, engine: str) -> tuple[str, list[str]]:
    """The text of the first page, and its words one by one."""
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    page, words = file.page(1), file.words(1)
    assert all(0 <= word.x0 < word.x1 <= 1 and 0 <= word.y0 < word.y1 <= 1 for word in words)
    return page.text, [word.text for word in words]


def drawing(tmp_path: Path, content: bytes) -> Path:
    return make_pdf(tmp_path / "a.pdf", [Sheet(drawing=content)])


def with_annotations(path: Path, annotations: list[bytes], form: bool = False) -> Path:
    """A page that says "Body", with annotations; %(ap)d is an appearance that shows the word before it."""
    pdf = Pdf()
    root, tree, font = pdf.add(), pdf.add(), pdf.add(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    content = pdf.stream(b"BT /F 24 Tf 72 700 Td (Body) Tj ET")
    numbers = []
    for index, annotation in enumerate(annotations):
        word = annotation.split(b" ", 1)[0]
        shown = pdf.stream(
            b"BT /F 14 Tf 4 6 Td (%s) Tj ET" % word,
            b"/Type /XObject /Subtype /Form /BBox [0 0 200 24] /Resources << /Font << /F %d 0 R >> >>" % font,
        )
        top = 600 - 60 * index
        entries = annotation.split(b" ", 1)[1].replace(b"%ap", b"/AP << /N %d 0 R >>" % shown)
        numbers.append(pdf.add(b"<< /Type /Annot /Rect [72 %d 272 %d] %s >>" % (top, top + 24, entries)))
    listed = b" ".join(b"%d 0 R" % number for number in numbers)
    page = pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Annots [%s] "
        b"/Resources << /Font << /F %d 0 R >> >> >>" % (tree, content, listed, font)
    )
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    fields = b"/AcroForm << /Fields [%s] /DR << /Font << /Helv %d 0 R >> >> >>" % (listed, font) if form else b""
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R %s >>" % (tree, fields)
    path.write_bytes(pdf.bytes(root))
    return path


def test_values_of_form_fields_and_free_text_are_text(tmp_path, engine):
    path = with_annotations(
        tmp_path / "a.pdf",
        [
            b"Zaragoza /Subtype /Widget /FT /Tx /T (city) /V (Zaragoza) /F 4 /DA (/Helv 14 Tf 0 g) %ap",
            b"Quokka /Subtype /Widget /FT /Ch /T (pick) /V (Quokka) /F 4 /DA (/Helv 14 Tf 0 g) %ap",
            b"Margin /Subtype /FreeText /Contents (Margin) /F 4 /DA (/Helv 14 Tf 0 g) %ap",
            b"Urgent /Subtype /Stamp /F 4 %ap",
        ],
        form=True,
    )
    text, words = texts(path, engine)
    assert sorted(text.split()) == sorted(words) == ["Body", "Margin", "Quokka", "Urgent", "Zaragoza"]


@pytest.mark.parametrize("flags", [2, 32], ids=["hidden", "not viewed"])
def test_annotations_that_are_not_shown_are_no_text(tmp_path, engine, flags):
    path = with_annotations(tmp_path / "a.pdf", [b"Nobody /Subtype /FreeText /Contents (Nobody) /F %d %%ap" % flags])
    assert texts(path, engine) == ("Body", ["Body"])


def test_passwords_are_no_text(tmp_path, engine):
    secret = b"Secret /Subtype /Widget /FT /Tx /Ff 8192 /T (pass) /V (Secret) /F 4 /DA (/Helv 14 Tf 0 g) %ap"
    user = b"Alice /Subtype /Widget /FT /Tx /T (user) /V (Alice) /F 4 /DA (/Helv 14 Tf 0 g) %ap"
    text, words = texts(with_annotations(tmp_path / "a.pdf", [user, secret], form=True), engine)
    assert text.split() == words == ["Body", "Alice"]


def test_reading_leaves_the_rendering_as_it_was(tmp_path, engine):
    path = with_annotations(tmp_path / "a.pdf", [b"Margin /Subtype /FreeText /Contents (Margin) /F 4 %ap"])
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    before = file._engines.first.render(0, 400, 300).tobytes()
    file.words(1), file.page(1)
    assert file._engines.first.render(0, 400, 300).tobytes() == before


@pytest.mark.parametrize("mode", [0, 3], ids=["drawn", "invisible"])
@pytest.mark.parametrize("state", [b"/ON [4 0 R]", b"/OFF [4 0 R]", b"/BaseState /OFF"], ids=["on", "off", "all off"])
def test_text_of_a_layer_follows_its_state(tmp_path, engine, state, mode):
    pdf = Pdf()
    root, tree, font = pdf.add(), pdf.add(), pdf.add(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    layer = pdf.add(b"<< /Type /OCG /Name (notes) >>")
    content = pdf.stream(
        b"BT /F 24 Tf 72 700 Td (Body) Tj ET /OC /L BDC BT /F 24 Tf %d Tr 72 600 Td (Layered) Tj ET EMC" % mode
    )
    page = pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
        b"/Resources << /Font << /F %d 0 R >> /Properties << /L %d 0 R >> >> >>" % (tree, content, font, layer)
    )
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R /OCProperties << /OCGs [%d 0 R] /D << %s >> >> >>" % (
        *(tree, layer),
        state,
    )
    (tmp_path / "a.pdf").write_bytes(pdf.bytes(root))
    text, words = texts(tmp_path / "a.pdf", engine)
    assert text.split() == words == (["Body", "Layered"] if b"/ON" in state else ["Body"])


def test_runs_turned_against_each_other_are_apart(tmp_path, engine):
    content = (
        b"BT /F 24 Tf 72 700 Td (Level) Tj ET "
        b"BT /F 24 Tf 0 1 -1 0 200 300 Tm (Sideways here) Tj ET BT /F 24 Tf 0.8 0.6 -0.6 0.8 300 300 Tm (Slanted) Tj ET"
    )
    text, words = texts(drawing(tmp_path, content), engine)
    assert text.split() == words == ["Level", "Sideways", "here", "Slanted"]


def test_what_is_drawn_twice_to_look_bold_is_said_once(tmp_path, engine):
    line = b"BT /F 14 Tf %g %g Td (%s) Tj ET "
    content = b"".join(line % (72 + x, 700 + y, b"Invoice total") for x, y in ((0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4)))
    content += line % (74, 598, b"In shadow") + line % (72, 600, b"In shadow")
    for x, letter in ((72, b"T"), (80.6, b"W"), (93.8, b"I"), (97.7, b"C"), (107.8, b"E")):
        content += 2 * (line % (x, 500, letter))
    text, words = texts(drawing(tmp_path, content), engine)
    assert text.split() == words == ["Invoice", "total", "In", "shadow", "TWICE"]


def test_lines_that_say_the_same_in_other_places_stay(tmp_path, engine):
    content = b"".join(b"BT /F 14 Tf 72 %d Td (to be paid) Tj ET " % y for y in (700, 680, 660))
    assert texts(drawing(tmp_path, content), engine)[0].split() == ["to", "be", "paid"] * 3


def test_letter_spaced_words_are_words(tmp_path, engine):
    content = b"BT /F 18 Tf 6 Tc 72 700 Td (SPACED HEADING) Tj ET BT /F 14 Tf 0 Tc 72 600 Td (Body text) Tj ET"
    text, words = texts(drawing(tmp_path, content), engine)
    assert text.split() == words == ["SPACED", "HEADING", "Body", "text"]


def test_letters_typed_apart_stay_apart(tmp_path, engine):
    content = b"BT /F 14 Tf 72 700 Td (answer A B C D or none) Tj ET"
    assert texts(drawing(tmp_path, content), engine)[0] == "answer A B C D or none"


@pytest.mark.parametrize("first", ["\u0628", "\ufe8f"], ids=["letters", "shapes"])
def test_arabic_words_are_apart_and_its_numbers_run_to_the_right(tmp_path, engine, first):
    """Two words from right to left, then 19 in Arabic digits, each set by itself as programs do."""
    letters = {ord("a"): first, ord("1"): "\u0661", ord("9"): "\u0669"}
    mapping = b"".join(b"<%02x> <%04x>\n" % (code, ord(letter)) for code, letter in letters.items())
    to_unicode = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        b"1 begincodespacerange <00> <ff> endcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap end end"
        % (len(letters), mapping)
    )
    stream = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(to_unicode), to_unicode)
    content = b"BT /F 20 Tf 300 700 Td (aaa) Tj -46 0 Td (aaa) Tj -34 0 Td (19) Tj ET"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding /ToUnicode 5 0 R >>"
    path = make_pdf(tmp_path / "a.pdf", [Sheet(drawing=content, objects={"M": stream})], font=font)
    text, words = texts(path, engine)
    assert sorted(text.split()) == sorted(words) == sorted(["\u0628" * 3, "\u0628" * 3, "\u0661\u0669"])


def test_vertical_writing_runs_down_its_columns(tmp_path, engine):
    """Columns from the right to the left, in a vertical font that Japanese readers have by themselves."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    descendant = pdf.add(
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HeiseiMin-W3 /DW 1000 "
        b"/FontDescriptor << /Type /FontDescriptor /FontName /HeiseiMin-W3 /Flags 6 /FontBBox [-123 -257 1001 910] "
        b"/Ascent 723 /Descent -241 /CapHeight 709 /ItalicAngle 0 /StemV 69 >> "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 2 >> >>"
    )
    font = pdf.add(JAPANESE % descendant)
    columns = ["縦書きの日本語", "東京の天気予報"]
    shown = b"".join(
        b"BT /F 18 Tf %d 700 Td <%s> Tj ET " % (500 - 30 * at, column.encode("utf-16-be").hex().encode())
        for at, column in enumerate(columns)
    )
    content = pdf.stream(shown)
    page = pdf.add(
        b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
        b"/Resources << /Font << /F %d 0 R >> >> >>" % (tree, content, font)
    )
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    (tmp_path / "a.pdf").write_bytes(pdf.bytes(root))
    text, words = texts(tmp_path / "a.pdf", engine)
    assert sorted(text.split()) == sorted(words) == sorted(columns)  # PDFium begins with the column on the left


def test_a_word_cut_at_the_line_s_end_is_whole_in_the_text_and_in_both_its_boxes(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "a hyphen-"), (72, 672, "ated word")])])
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    assert file.page(1).text == "a hyphenated\nword"
    found = file.words(1)
    assert [(word.text, word.whole) for word in found] == [
        ("a", ""),
        ("hyphen-", "hyphenated"),
        ("ated", "hyphenated"),
        ("word", ""),
    ]
    assert found[1].y1 <= found[2].y1 and found[1].y1 - found[1].y0 < 0.06  # boxes of one line


def test_a_hyphen_inside_a_line_cuts_nothing(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "Haupt- satz")])])
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    assert file.page(1).text == "Haupt- satz"
    assert {word.whole for word in file.words(1)} == {""}


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([(72, "A whole line"), (72.4, "A whole line")], "A whole line"),
        ([(72, "This is "), (154.7, "BOLD"), (155.2, "BOLD")], "This is BOLD"),
        ([(72, "B"), (72.4, "B"), (88.4, "o"), (88.8, "o"), (101.8, "ld"), (102.2, "ld")], "Bold"),
    ],
    ids=["a-line", "a-word-in-a-line", "letter-by-letter"],
)
def test_what_is_drawn_twice_to_look_bold_is_text_once(tmp_path, engine, runs, text):
    content = b"".join(b"BT /F 24 Tf %.1f 700 Td (%s) Tj ET " % (left, word.encode()) for left, word in runs)
    said, words = texts(drawing(tmp_path, content), engine)
    assert (said, words) == (text, text.split())
