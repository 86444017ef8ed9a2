"""PDF pages, by both engines and the same tests: what is shown, at which size, what it says and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade_pdfs import Sheet, make_pdf

from vlm2vec_rag.errors import EncryptedMedia, InvalidInput, MediaLimit, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.pdf.pages import PdfFile
from vlm2vec_rag.media.settings import has_pymupdf
from vlm2vec_rag.pixels import MAX_PIXELS, target_size

WORDS = [(72, 700, "Revenue"), (300, 700, "rose"), (72, 400, "steeply")]


def open_pdf(path: Path, engine: str, limits: MediaLimits | None = None, **settings: object) -> PdfFile:
    return PdfFile(str(path), MediaSettings(pdf_engine=engine, **settings), limits or MediaLimits())


def ink(image) -> tuple[float, float, float, float]:
    """The box around everything dark, in fractions: x0, y0, x1, y1."""
    dark = np.asarray(image.convert("L")) < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    height, width = dark.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(595, 842), (960, 540), (612, 792), (200, 1700), (14400, 14400)])
def test_a_page_has_exactly_the_size_the_model_sees(tmp_path, engine, width, height, turn):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(width=width, height=height, turn=turn)])
    for max_pixels in (MAX_PIXELS, 360 * 420):
        image = open_pdf(path, engine).page(1, max_pixels).image
        assert image.mode == "RGB"
        assert target_size(image.height, image.width, max_pixels) == (image.height, image.width)
        assert 0.75 * max_pixels < image.height * image.width <= max_pixels
        shown = width / height if turn % 180 == 0 else height / width
        assert image.width / image.height == pytest.approx(shown, rel=0.2)  # sides are whole tokens


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (50, 300, 500, 800)], ids=["whole", "cropped"])
def test_word_boxes_hold_the_ink_of_the_word(tmp_path, engine, turn, crop):
    for place in WORDS:
        path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[place], turn=turn, crop=crop)])
        file = open_pdf(path, engine)
        [word] = file.words(1)
        assert word.text == place[2]
        box, seen = (word.x0, word.y0, word.x1, word.y1), ink(file.page(1).image)
        slack = 0.004  # of the page: a pixel of blur at its edge
        assert all(box[side] <= seen[side] + slack for side in (0, 1)), (box, seen)
        assert all(box[side] >= seen[side] - slack for side in (2, 3)), (box, seen)
        # and no more than a line: MuPDF's boxes are as high as the font, PDFium's as its ink
        assert (box[2] - box[0]) < 3 * (seen[2] - seen[0]) and (box[3] - box[1]) < 3 * (seen[3] - seen[1])


@pytest.mark.skipif(not has_pymupdf(), reason="needs both engines")
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_both_engines_agree_on_words_and_text(tmp_path, turn):
    sheet = Sheet(words=WORDS, turn=turn, crop=(20, 100, 580, 800))
    path = make_pdf(tmp_path / "a.pdf", [sheet])
    mine, other = open_pdf(path, "pypdfium2"), open_pdf(path, "pymupdf")
    # PDFium begins with the last word of a line on a page that is upside down
    in_order = [sorted(file.words(1), key=lambda word: word.text) for file in (mine, other)]
    for one, two in zip(*in_order, strict=True):
        assert one.text == two.text
        centres = [((each.x0 + each.x1) / 2, (each.y0 + each.y1) / 2) for each in (one, two)]
        assert centres[0] == pytest.approx(centres[1], abs=0.02)
    assert sorted(mine.page(1).text.split()) == sorted(other.page(1).text.split())


def test_words_outside_of_the_crop_are_not_there(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=WORDS, crop=(0, 500, 595, 842))])
    assert [word.text for word in open_pdf(path, engine).words(1)] == ["Revenue", "rose"]
    assert "steeply" not in open_pdf(path, engine).page(1).text


def test_text_keeps_its_lines(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "first line"), (72, 650, "second line")])])
    assert open_pdf(path, engine).page(1).text == "first line\nsecond line"


@pytest.mark.parametrize("turn", [0, 90])
@pytest.mark.parametrize("first", ["가", "ế", "क", "a"], ids=["korean", "vietnamese", "hindi", "latin"])
def test_words_that_are_only_set_apart_are_words(tmp_path, engine, first, turn):
    letters = {code: chr(ord(first) + code - ord("a")) for code in b"abcde"}
    mapping = b"".join(b"<%02x> <%04x>\n" % (code, ord(letter)) for code, letter in letters.items())
    to_unicode = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        b"1 begincodespacerange <00> <ff> endcodespacerange\n5 beginbfchar\n%sendbfchar\nendcmap end end" % mapping
    )
    stream = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(to_unicode), to_unicode)
    # no space between the words: the pen moves on by half of the font size
    drawing = b"BT /F 24 Tf 72 700 Td [(ab) -500 (cde)] TJ ET"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding /ToUnicode 5 0 R >>"
    sheet = Sheet(drawing=drawing, turn=turn, objects={"M": stream})
    file = open_pdf(make_pdf(tmp_path / "a.pdf", [sheet], font=font), engine)
    words = ["".join(letters[code] for code in run) for run in (b"ab", b"cde")]
    assert file.page(1).text.split() == words
    found = file.words(1)
    assert [word.text for word in found] == words
    along = [(word.y0, word.y1) if turn else (word.x0, word.x1) for word in found]
    assert along[0][1] < along[1][0]


def test_a_scan_has_no_text(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(drawing=b"100 100 200 200 re f")])
    page = open_pdf(path, engine).page(1)
    assert (page.text, open_pdf(path, engine).words(1)) == ("", [])
    assert ink(page.image)


def test_a_very_long_text_layer_is_cut_and_says_so(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "abcdefghij")])])
    page = open_pdf(path, engine, MediaLimits(page_chars=4)).page(1)
    assert (page.text, page.metadata) == ("abcd", {"text_cut_at": 4})


def test_labels_are_the_document_s_own_numbers(tmp_path, engine):
    sheets = [Sheet()] * 4
    path = make_pdf(tmp_path / "a.pdf", sheets, labels=b"0 << /S /r >> 2 << /S /D /P <FEFF0041002D> /St 5 >>")
    file = open_pdf(path, engine)
    assert [file.page(page).label for page in range(1, 5)] == ["i", "ii", "A-5", "A-6"]


def test_without_labels_there_are_none(tmp_path, engine):
    assert open_pdf(make_pdf(tmp_path / "a.pdf"), engine).page(1).label == ""


def test_titles_are_the_outline_s_with_their_chapters(tmp_path, engine):
    outline = [(0, "Übersicht", 2), (0, "Methods", 3), (1, "Data", 3), (1, "Models", 5), (0, "End", 5)]
    file = open_pdf(make_pdf(tmp_path / "a.pdf", [Sheet()] * 6, outline=outline), engine)
    titles = [file.page(page).title for page in range(1, 7)]
    assert titles == ["", "Übersicht", "Methods", "Methods › Data", "Methods › Models", "End"]


def test_annotations_are_drawn(tmp_path, engine):
    red = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 200 200] /Length 29 >>\nstream\n"
        b"1 0 0 rg 0 0 200 200 re f    \nendstream"
    )
    extra = b"/Annots [<< /Type /Annot /Subtype /Square /Rect [200 300 400 500] /F 4 /AP << /N 6 0 R >> >>]"
    # objects are numbered as they are added: catalogue, pages, font, content, then the drawing is not yet there
    path = make_pdf(tmp_path / "a.pdf", [Sheet(extra=extra, objects={"A": b"null", "B": red})])
    assert b"6 0 obj\n<< /Type /XObject" in path.read_bytes()
    pixel = open_pdf(path, engine).page(1).image.getpixel((420, 620))
    assert pixel == (255, 0, 0)


def test_supersampling_comes_nearer_to_print_quality(tmp_path, engine):
    # thin lines at odd angles: where a coarse rendering shows its steps
    drawing = b"0.4 w " + b"".join(b"%d 0 m %d 842 l S " % (x, 600 - x) for x in range(0, 600, 9))
    path = make_pdf(tmp_path / "a.pdf", [Sheet(drawing=drawing)])
    best = open_pdf(path, engine, supersample=4).page(1, 360 * 420).image

    def distance(image):
        return float(np.abs(np.asarray(image, float) - np.asarray(best, float)).mean())

    straight, finer = (open_pdf(path, engine, supersample=times).page(1, 360 * 420).image for times in (1, 1.5))
    assert straight.size == finer.size == best.size
    assert distance(finer) < distance(straight)


def test_the_same_page_twice_is_the_same_item(tmp_path, engine):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=WORDS)])
    hashes = {open_pdf(path, engine).page(1).content_hash for _ in range(2)}
    assert len(hashes) == 1


@pytest.mark.parametrize("page", [0, 3, -1])
def test_a_page_that_is_not_there(tmp_path, engine, page):
    path = make_pdf(tmp_path / "two.pdf", [Sheet()] * 2)
    with pytest.raises(InvalidInput, match=rf"two.pdf has no page {page}; expected 1 to 2"):
        open_pdf(path, engine).page(page)


def test_too_many_pages(tmp_path, engine):
    path = make_pdf(tmp_path / "long.pdf", [Sheet()] * 3)
    with pytest.raises(MediaLimit, match=r"long.pdf: has 3 pages, the limit is 2; split it or raise limits.pages"):
        open_pdf(path, engine, MediaLimits(pages=2))


def test_a_locked_file_opens_with_its_password(locked_files, engine):
    path = locked_files / "locked.pdf"
    with pytest.raises(EncryptedMedia, match=r"locked.pdf: is encrypted; give its password"):
        open_pdf(path, engine)
    with pytest.raises(EncryptedMedia, match="the given password does not open it"):
        open_pdf(path, engine, passwords="wrong")
    assert open_pdf(path, engine, passwords=["wrong", "open sesame"]).page(1).text == "Secret"


def test_a_file_locked_for_its_owner_alone_is_read(locked_files, engine):
    assert open_pdf(locked_files / "owner_locked.pdf", engine).page(1).text == "Secret"


def test_half_a_file_is_unreadable(tmp_path, engine):
    path = make_pdf(tmp_path / "cut.pdf", [Sheet(words=WORDS)] * 20)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"/Type /Pages")])  # nothing is left that a repair could find
    with pytest.raises(UnreadableMedia, match=r"cut\.pdf"):
        open_pdf(path, engine).page(1)


def test_lines_before_the_header_do_no_harm(tmp_path, engine):
    path = make_pdf(tmp_path / "mailed.pdf", [Sheet(words=WORDS)])
    path.write_bytes(b"Received: by mail\r\n" + path.read_bytes())
    assert "Revenue" in open_pdf(path, engine).page(1).text


def test_export_is_at_the_asked_resolution(tmp_path, engine):
    image = open_pdf(make_pdf(tmp_path / "a.pdf", [Sheet(width=144, height=72)]), engine).export(1, 300)
    assert image.size == (600, 300)


def test_export_of_a_giant_page_names_a_resolution_that_fits(tmp_path, engine):
    path = make_pdf(tmp_path / "wall.pdf", [Sheet(width=14400, height=14400)])
    file = open_pdf(path, engine, MediaLimits(pixels=4_000_000))
    with pytest.raises(
        MediaLimit, match=r"wall.pdf: page 1 would have 60000 x 60000 px at 300 dpi.*export it at 10 dpi"
    ):
        file.export(1, 300)
    assert file.export(1, 10).size == (2000, 2000)
