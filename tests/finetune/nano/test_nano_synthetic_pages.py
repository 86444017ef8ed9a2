"""Pages set again in other fonts say what they are given, where the lines were."""

from pathlib import Path

import numpy as np
import pymupdf
import pytest
from corpus import Pages, concatenate, load, read_pdf, write
from synthetic_pages import families, replace_words, typeset_page

LINES = [
    "The kernel of the system is loaded by the firmware at the start",
    "and it mounts a file system that is kept in memory for this",
    "This is the end of the page and of the text that is on it",
]


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """A folder with a family of two styles, a monospaced one and one without letters, from those in PyMuPDF."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    for name, built_in in {
        "Serif-Regular": "tiro",
        "SerifBold": "tibo",
        "Code-Regular": "cour",
        "Zapf": "zadb",
    }.items():
        (folder / f"{name}.otf").write_bytes(pymupdf.Font(built_in).buffer)
    return folder


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    """A page in Helvetica, as the corpus keeps it."""
    path = tmp_path / "page.pdf"
    with pymupdf.open() as document:
        page = document.new_page(width=420, height=300)
        for row, line in enumerate(LINES):
            page.insert_text((30, 60 + 20 * row), line, fontsize=11)
        document.save(path)
    write(tmp_path / "train.npz", [("some-doc", path, read_pdf(path))])
    return load(tmp_path, "train")


def test_families_have_a_regular_style_and_latin_letters(fonts):
    found = families(fonts)
    assert [sorted(each) for each in found] == [["regular"], ["bold", "regular"]]
    assert [each["regular"].stem for each in found] == ["Code-Regular", "Serif-Regular"]


def test_words_and_lines_stay_and_only_the_font_changes(fonts, pages, tmp_path):
    code, serif = families(fonts)
    faces = {"italic": serif["regular"]} | serif | {"mono": code["regular"]}
    path = tmp_path / "again.pdf"
    with pymupdf.open() as document:
        page = document.new_page(width=420, height=300)
        typeset_page(page, pages, 0, faces, np.random.default_rng(0))
        used = {font[3] for font in page.get_fonts()}
        document.save(path)
    assert used and not any("Helvetica" in name for name in used)
    write(tmp_path / "typeset.npz", [("typeset", path, read_pdf(path))])
    again = load(tmp_path, "typeset")
    assert again.words == pages.words
    assert again.lines.tolist() == pages.lines.tolist()
    before, after = ((each.boxes[:, :2] + each.boxes[:, 2:]) / 2 for each in (pages, again))
    moved = np.abs(after - before) * pages.sizes[0]
    assert np.median(moved[:, 0]) < 8 and moved[:, 1].max() < 4  # points: as far as widths differ, and no line off


def test_splits_together_keep_each_pages_own_words(pages):
    both = concatenate([pages, pages])
    assert both.texts == pages.texts * 2
    assert len(both.boxes) == len(both.words) == both.starts[-1]


def test_lines_are_filled_with_as_many_other_words_as_fit(pages):
    filled = replace_words(pages, 0, iter(["elephantine", "is", "zebra"] * 40))
    assert set(filled.words) == {"elephantine", "is", "zebra"}
    assert np.unique(filled.lines).tolist() == np.unique(pages.lines).tolist()
    for line, words in enumerate(LINES):
        members = filled.lines == line
        assert len(words) * 0.75 < len(" ".join(np.array(filled.words)[members])) <= len(words)
        left, right = filled.boxes[members, 0], filled.boxes[members, 2]
        assert (left[1:] > right[:-1]).all()
        assert right.max() <= pages.boxes[pages.lines == line, 2].max() + 1e-6
