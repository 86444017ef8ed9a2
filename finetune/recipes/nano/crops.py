"""Crops of real pages at the size the encoder will see, with the subwords that stand in each cell.

A page is rendered at a random scale around the encoder's own; crops of one shape that cover its text are cut from it.
The text layer says which subwords stand where, so every cell has its own target, and every letter its slot.
Shape letters: H and W pixels, L labels.
"""

from __future__ import annotations

import atexit
import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pypdfium2
import pypdfium2.raw as pdfium
from corpus import Pages
from model import CELL, PAGE_CELLS
from PIL import Image
from tokenizer import Subwords

PAGE_PIXELS = PAGE_CELLS * CELL * CELL  # what the encoder gives a page, as the 2 B model's does
MIN_SUBWORDS_PER_CELL = (
    0.8  # subwords a cell; a crop with fewer is as much less likely to be kept, for paper teaches little
)


@lru_cache(maxsize=24)  # a PDF in use stays open; pypdfium2 closes what is dropped
def _open(path: str) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(path)


atexit.register(_open.cache_clear)  # before pypdfium2's own, which names every file still open


def render(path: str, number: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """A page as (height, width) grey, stretched to that very size as the encoder's resize would."""
    page = _open(path)[number]
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_Gray)
    pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
    address = ctypes.cast(pdfium.FPDFBitmap_GetBuffer(bitmap), ctypes.POINTER(ctypes.c_uint8))
    stride = pdfium.FPDFBitmap_GetStride(bitmap)
    pixels = np.ctypeslib.as_array(address, shape=(height, stride))[:, :width].copy()
    bitmap.close()
    page.close()
    return pixels


def render_resampled(
    path: str, number: int, height: int, width: int, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """`render`, now and then drawn at another size and resampled, as images that users give mostly are."""
    if random.random() < 0.5:
        return render(path, number, height, width)
    share = random.uniform(0.96, 1.35)
    drawn = render(path, number, round(height * share), round(width * share))
    return np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC))


def grid_of_page(size: npt.NDArray[np.float32], pixels: float) -> tuple[int, int]:
    """Rows and columns of cells of a page of `size` points that has at most about so many pixels."""
    width, height = float(size[0]), float(size[1])
    scale = (pixels / (width * height)) ** 0.5 / CELL
    return max(1, int(height * scale)), max(1, int(width * scale))


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NO_LETTER = len(LETTERS)  # in a slot, or beyond a word's end
NEIGHBOURS = 3  # letters of its word that a slot has to know, on either side of its own


@dataclass(frozen=True)
class Labels:
    """Which subword or letter stands where: one row for each."""

    places: npt.NDArray[np.int64]  # (L, 2) row and column, in cells for subwords and in slots for letters
    ids: npt.NDArray[np.int64]  # (L,)
    spans: npt.NDArray[np.float32]  # (L, 4) top, bottom, left and right of the word or letter, in cells
    around: npt.NDArray[np.int64] | None = None  # (L, 2 NEAR + 1) for letters: the word from NEAR before to NEAR after


def label_subwords(pages: Pages, page: int, rows: int, columns: int, subwords: Subwords) -> Labels:
    """The subwords of a page with the cells that hold their middles; all letters of a word count as equally wide."""
    words = slice(pages.starts[page], pages.starts[page + 1])
    found: list[tuple[float, ...]] = []
    for word, (left, top, right, bottom) in zip(pages.words[words], pages.boxes[words].tolist(), strict=True):
        middle = (top + bottom) / 2 * rows
        if 0 <= middle < rows and left >= 0 and right < 1:
            span = (top * rows, bottom * rows, left * columns, right * columns)
            for subword, share in zip(*subwords(word), strict=True):
                found.append((int(middle), int((left + share * (right - left)) * columns), subword, *span))
    table = np.array(found, dtype=np.float64).reshape(-1, 7)
    return Labels(table[:, :2].astype(np.int64), table[:, 2].astype(np.int64), table[:, 3:].astype(np.float32))


def label_letters(pages: Pages, page: int, rows: int, columns: int) -> Labels:
    """The letters and digits of a page with the slots, quarters of a patch, that hold the middle of their ink."""
    width, height = pages.sizes[page].tolist()
    boxes, around = letter_boxes(pages.paths[page], int(pages.numbers[page]))
    boxes = boxes / np.array([width, height, width, height])
    middles = np.stack([boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1) / 2  # row, column
    inside = ((middles > 0) & (middles < 1)).all(axis=1)
    places = (middles[inside] * [4 * rows, 4 * columns]).astype(np.int64)
    spans = (boxes[inside][:, [1, 3, 0, 2]] * [rows, rows, columns, columns]).astype(np.float32)
    return Labels(places, around[inside, NEIGHBOURS], spans, around[inside])


def letter_boxes(path: str, number: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Each letter or digit of a page: its box, and the part of its word around it.

    Returns:
        (L, 4) left, top, right and bottom in points from the page's top left, and (L, 2 NEAR + 1) places in LETTERS of
        the letters from NEAR before to NEAR after, the letter itself in the middle, NO_LETTER beyond its word.
    """
    page = _open(path)[number]
    text = page.get_textpage()
    origin_x, _, _, origin_y = page.get_bbox()  # boxes inherited from the document too; get_cropbox() guesses Letter
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    count = max(0, pdfium.FPDFText_CountChars(text))
    line = np.full(count + 2 * NEIGHBOURS, NO_LETTER)
    boxes, at = [], []
    for index in range(count):
        found = LETTERS.find(chr(pdfium.FPDFText_GetUnicode(text, index)).lower())
        if found >= 0:
            line[NEIGHBOURS + index] = found
            if pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top):
                boxes.append(
                    (left.value - origin_x, origin_y - top.value, right.value - origin_x, origin_y - bottom.value)
                )
                at.append(index)
    text.close()
    page.close()
    around = np.lib.stride_tricks.sliding_window_view(line, 2 * NEIGHBOURS + 1)[at].copy()
    for step in range(1, NEIGHBOURS + 1):  # beyond a word's end there is nothing
        for side in (-step, step):
            before = side + (1 if side < 0 else -1)
            around[around[:, NEIGHBOURS + before] == NO_LETTER, NEIGHBOURS + side] = NO_LETTER
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), around


def augment(pixels: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Now and then another ink and paper, as slides, screens and scans have."""
    if random.random() < 0.25:
        ink, paper = random.uniform(0, 90), random.uniform(170, 255)
        if random.random() < 0.3:
            ink, paper = paper, ink
        pixels = (ink + pixels.astype(np.float32) * ((paper - ink) / 255)).astype(np.uint8)
    if random.random() < 0.1:
        noise = random.normal(0, random.uniform(2, 12), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class Crop:
    """One training example of reading."""

    pixels: npt.NDArray[np.uint8]  # (H, W)
    cells: npt.NDArray[np.int64]  # of each subword, row by row
    subwords: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]  # of each letter, four to a patch, patches in the order of `model.to_patches`
    letters: npt.NDArray[np.int64]  # (letters, 2 NEAR + 1), `Labels.around`


def crops_of_page(
    pages: Pages,
    page: int,
    subwords: Subwords,
    random: np.random.Generator,
    *,
    scales: tuple[float, float],
    shape: tuple[int, int],
) -> list[Crop]:
    """Crops of one shape that cover a page's text, the page at a random share between `scales` of its full area.

    Args:
        pages: The split.
        page: Which of its pages.
        subwords: Words to subwords.
        random: Decides the scale and where the grid of crops begins.
        scales: Least and most.
        shape: Rows and columns of a crop, in cells.
    """
    rows, columns = grid_of_page(pages.sizes[page], PAGE_PIXELS * random.uniform(*scales))
    height, width = shape
    if rows < height or not width <= columns <= 80:
        return []
    pixels = augment(
        render_resampled(pages.paths[page], int(pages.numbers[page]), rows * CELL, columns * CELL, random), random
    )
    labels = (label_subwords(pages, page, rows, columns, subwords), label_letters(pages, page, rows, columns))
    around = labels[1].around
    if not len(labels[0].ids) or around is None:
        return []
    # white margins teach nothing
    left = max(0, int(labels[0].spans[:, 2].min()))
    right = min(columns, int(labels[0].spans[:, 3].max()) + 1)
    parts = max(1, -(-(right - left) // width))
    starts = np.linspace(left, max(left, right - width), parts).round().astype(int).clip(0, columns - width)
    found = []
    for top in range(int(random.integers(0, min(height, rows - height + 1))), rows - height + 1, height):
        for first in np.unique(starts).tolist():
            # words cut by the crop's edge are left out: their other half is not there to be read
            kept = [
                (each.spans[:, 0] > top - 0.05)
                & (each.spans[:, 1] < top + height + 0.05)
                & (each.spans[:, 2] > first - 0.05)
                & (each.spans[:, 3] < first + width + 0.05)
                for each in labels
            ]
            if kept[0].sum() < random.random() * MIN_SUBWORDS_PER_CELL * height * width:
                continue
            at_piece, at_letter = (each.places[mask] for each, mask in zip(labels, kept, strict=True))
            row, column = at_letter[:, 0] - 4 * top, at_letter[:, 1] - 4 * first
            ok = (column >= 0) & (column < 4 * width) & (row >= 0) & (row < 4 * height)
            row, column = row[ok], column[ok]
            patch = ((row // 4) * width + column // 4) * 4 + (row // 2 % 2) * 2 + column // 2 % 2
            at_column = (at_piece[:, 1] - first).clip(0, width - 1)
            found.append(
                Crop(
                    pixels=pixels[top * CELL : (top + height) * CELL, first * CELL : (first + width) * CELL],
                    cells=(at_piece[:, 0] - top).clip(0, height - 1) * width + at_column,
                    subwords=labels[0].ids[kept[0]],
                    slots=patch * 4 + (row % 2) * 2 + column % 2,
                    letters=around[kept[1]][ok],
                )
            )
    return found
