"""Accents that are drawn as characters of their own are on their letters, by both engines."""

import pytest
from handmade_pdfs import Sheet, make_pdf

from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.pdf.accents import compose, composed
from vlm2vec_rag.media.pdf.pages import PdfFile

WINDOWS = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def test_a_letter_and_its_accent_are_one_in_text_and_words(tmp_path, engine):
    """As TeX sets it: the accent first, then back by its width and onto the letter (widths 556 and 333)."""
    content = (
        rb"BT /F 24 Tf 72 700 Td [(f) -111 (\250) 444 (ur Anw) -111 (\250) 444 (alte, caf) -111 (\264) 444 (e)] TJ ET"
    )
    path = make_pdf(tmp_path / "a.pdf", [Sheet(drawing=content)], font=WINDOWS)
    file = PdfFile(str(path), MediaSettings(pdf_engine=engine), MediaLimits())
    assert file.page(1).text == "für Anwälte, café"
    assert [word.text for word in file.words(1)] == ["für", "Anwälte,", "café"]


@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        ("Ver¨offentlichung", "Veröffentlichung"),
        ("na¨ıve h\u02c6otel \u02c7Capek \u02daAngstr¨om", "naïve hôtel Čapek Ångström"),
        ("caf´e", "café"),
        ("l´amour, it´s, I´ll, d´Artagnan", "l´amour, it´s, I´ll, d´Artagnan"),
        ("`array` and ~x and 5\u02da and ¨q", "`array` and ~x and 5\u02da and ¨q"),
        ("plain", "plain"),
    ],
)
def test_an_accent_before_its_letter_is_on_it_and_typed_ones_stay(drawn, text):
    assert composed(drawn) == text


def test_an_accent_goes_to_the_letter_below_it_wherever_it_stands_in_the_text():
    """PDFium puts some at the end of the line, with spaces around; the spaces go where the letters touch."""
    line = "fur Anw ¨ alte 3 ¨"
    boxes, x = {}, 0
    for number, char in enumerate(line):
        wide = 0 if char in " ¨" else 5
        boxes[number] = (x, 0, x + wide, 5)
        x += 0 if char == "¨" or line[max(0, number - 1) : number + 2] in ("w ¨", "¨ a") else wide or 3
    boxes[8] = (boxes[10][0] + 1, 5.5, boxes[10][0] + 4, 6.5)  # above the a
    boxes[17] = (boxes[1][0] + 1, 5.5, boxes[1][0] + 4, 6.5)  # above the u
    assert "".join(char for _, char in compose(list(enumerate(line)), boxes.__getitem__)) == "für Anwälte 3 "


def test_an_accent_over_no_letter_stays():
    boxes = {0: (0, 0, 5, 5), 1: (40, 5.5, 43, 6.5)}
    assert compose([(0, "u"), (1, "¨")], boxes.__getitem__) == [(0, "u"), (1, "¨")]
