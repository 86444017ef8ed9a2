"""Labels stand on the ink that they name."""

from pathlib import Path

import numpy as np
import pytest
from corpus import Pages
from crops import LETTERS, NEIGHBOURS, NO_LETTER, crops_of_page, grid_of_page, label_letters, render
from model import CELL, to_patches

LINES = [
    "Reading pages by their pixels alone",
    "needs many letters at many places",
    "of the grid that patches make",
] * 4


def pdf(lines: list[str], *, inherits: bool) -> bytes:
    """A PDF of one page, 420 x 280 pt, Helvetica of 11 pt on a leading of 17 pt; the page may inherit its size."""
    shown = "".join(f"BT /F 11 Tf 40 {240 - 17 * row} Td ({line}) Tj ET\n" for row, line in enumerate(lines))
    size = "/MediaBox[0 0 420 280]"
    parts = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[3 0 R]/Count 1{size if inherits else ''}>>",
        f"<</Type/Page/Parent 2 0 R{'' if inherits else size}/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        f"<</Length {len(shown)}>>stream\n{shown}endstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, starts = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        starts.append(len(body))
        body += f"{number} 0 obj{part}endobj\n"
    table = "".join(f"{start:010d} 00000 n \n" for start in starts)
    trailer = f"trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF"
    return f"{body}xref\n0 6\n0000000000 65535 f \n{table}{trailer}".encode()


@pytest.fixture(params=[False, True], ids=["own size", "inherited size"])
def pages(tmp_path: Path, request: pytest.FixtureRequest) -> Pages:
    """That page with word boxes worked out from the lines, letters taken as equally wide."""
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf(LINES, inherits=request.param))
    words, boxes, numbers = [], [], []
    for row, line in enumerate(LINES):
        at = 40.0
        for word in line.split():
            width = 5.3 * len(word)
            baseline = 280 - (240 - 17 * row)
            words.append(word)
            boxes.append([at / 420, (baseline - 9) / 280, (at + width) / 420, (baseline + 3) / 280])
            numbers.append(row)
            at += width + 3
    return Pages(
        paths=[str(path)],
        packages=["a"],
        numbers=np.zeros(1, np.int32),
        sizes=np.array([[420, 280]], np.float32),
        starts=np.array([0, len(words)]),
        words=words,
        boxes=np.array(boxes, np.float32),
        lines=np.array(numbers, np.int32),
    )


def test_every_letter_of_the_page_is_labelled_once(pages):
    rows, columns = grid_of_page(pages.sizes[0], 500 * CELL * CELL)
    found = label_letters(pages, 0, rows, columns).ids
    expected = sorted(letter for line in LINES for letter in line.lower() if letter != " ")
    assert sorted(LETTERS[each] for each in found) == expected


def test_a_letter_knows_its_word_and_nothing_beyond(pages):
    around = label_letters(pages, 0, 20, 30).around
    told = ["".join("-" if each == NO_LETTER else LETTERS[each] for each in row) for row in around]
    assert told[:7] == ["---read", "--readi", "-readin", "reading", "eading-", "ading--", "ding---"]
    assert all(row[NEIGHBOURS] != "-" for row in told)


def test_each_labelled_slot_is_of_a_patch_with_ink(pages):
    rows, columns = grid_of_page(pages.sizes[0], 500 * CELL * CELL)
    labels = label_letters(pages, 0, rows, columns)
    pixels = render(pages.paths[0], 0, rows * CELL, columns * CELL)
    for row, column in (labels.places // 2 * 14).tolist():
        assert pixels[row : row + 14, column : column + 14].min() < 160


def test_a_windows_letters_stand_on_ink_in_the_towers_order_of_patches(pages):
    def subwords(word):  # one piece a word
        return [len(word)], [0.5]

    found = crops_of_page(pages, 0, subwords, np.random.default_rng(3), scales=(0.4, 0.4), shape=(4, 12))
    assert found
    for window in found:
        assert window.pixels.shape == (4 * CELL, 12 * CELL)
        patches = to_patches(window.pixels[None])[0]
        paper = np.median(window.pixels)
        assert (np.abs(patches[window.slots // 4].astype(int) - int(paper)).max(axis=1) > 40).all()
        assert window.cells.max() < len(patches) / 4


def test_windows_are_kept_as_often_as_they_are_full(pages, monkeypatch):
    def subwords(word):
        return [len(word)], [0.5]

    def kept(dense):
        monkeypatch.setattr("crops.MIN_SUBWORDS_PER_CELL", dense)
        random = np.random.default_rng(3)
        return [
            len(window.subwords)
            for _ in range(20)
            for window in crops_of_page(pages, 0, subwords, random, scales=(0.4, 0.4), shape=(4, 12))
        ]

    everything, some = kept(0.01), kept(2.0)
    assert 0 < len(some) < len(everything)
    assert np.mean(some) > np.mean(everything)  # the full ones
