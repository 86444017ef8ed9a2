"""Strips of real pages at the size the encoder will see, with the pieces of words that stand in each cell.

A page is rendered at a random scale around the encoder's own; strips a few cells high and at most half as wide as
a page of text are cut from it. The text layer says which pieces of words stand where, so every cell has its own target.
Shape letters: S strips, H and W pixels, N cells of a strip.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pypdfium2
import pypdfium2.raw as pdfium
from corpus import Pages
from tower import CELL
from words import Pieces

PAGE_PIXELS = 900 * CELL * CELL  # the budget that scales jitter around
STRIP_ROWS = 4  # cells
STRIP_COLUMNS = 15  # at most: attention over all patches of a strip costs a third at twice the width


@lru_cache(maxsize=24)  # a PDF in use stays open; pypdfium2 closes what is dropped
def _open(path: str) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(path)


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


def fit(size: npt.NDArray[np.float32], pixels: float) -> tuple[int, int]:
    """Rows and columns of cells of a page of `size` points that has at most about so many pixels."""
    width, height = float(size[0]), float(size[1])
    scale = (pixels / (width * height)) ** 0.5 / CELL
    return max(1, int(height * scale)), max(1, int(width * scale))


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Labels:
    """Which piece or letter stands where: one row for each."""

    places: npt.NDArray[np.int64]  # (L, 2) row and column, in cells for pieces and in patches for letters
    ids: npt.NDArray[np.int64]  # (L,)
    spans: npt.NDArray[np.float32]  # (L, 4) top, bottom, left and right of the word, in cells


def label_pieces(pages: Pages, page: int, rows: int, columns: int, pieces: Pieces) -> Labels:
    """The pieces of a page with the cells that hold their middles; within a word all letters count as equally wide."""
    words = slice(pages.starts[page], pages.starts[page + 1])
    found: list[tuple[float, ...]] = []
    for word, (left, top, right, bottom) in zip(pages.words[words], pages.boxes[words].tolist(), strict=True):
        middle = (top + bottom) / 2 * rows
        if 0 <= middle < rows and left >= 0 and right < 1:
            span = (top * rows, bottom * rows, left * columns, right * columns)
            for piece, share in zip(*pieces(word), strict=True):
                found.append((int(middle), int((left + share * (right - left)) * columns), piece, *span))
    table = np.array(found, dtype=np.float64).reshape(-1, 7)
    return Labels(table[:, :2].astype(np.int64), table[:, 2].astype(np.int64), table[:, 3:].astype(np.float32))


def label_letters(pages: Pages, page: int, rows: int, columns: int) -> Labels:
    """The letters and digits of a page with the patches that hold the middle of their ink."""
    width, height = pages.sizes[page].tolist()
    boxes, ids = letter_boxes(pages.paths[page], int(pages.numbers[page]))
    boxes = boxes / np.array([width, height, width, height])
    middles = np.stack([boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1) / 2  # row, column
    inside = ((middles > 0) & (middles < 1)).all(axis=1)
    places = (middles[inside] * [2 * rows, 2 * columns]).astype(np.int64)
    spans = (boxes[inside][:, [1, 3, 0, 2]] * [rows, rows, columns, columns]).astype(np.float32)
    return Labels(places, ids[inside], spans)


def letter_boxes(path: str, number: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(L, 4) left, top, right and bottom of each letter or digit in points from the page's top left, and (L,) which."""
    page = _open(path)[number]
    text = page.get_textpage()
    origin_x, _, _, origin_y = page.get_cropbox()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    boxes, ids = [], []
    for index in range(pdfium.FPDFText_CountChars(text)):
        found = LETTERS.find(chr(pdfium.FPDFText_GetUnicode(text, index)).lower())
        if found >= 0 and pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top):
            boxes.append((left.value - origin_x, origin_y - top.value, right.value - origin_x, origin_y - bottom.value))
            ids.append(found)
    text.close()
    page.close()
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(ids, dtype=np.int64)


def degrade(pixels: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
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
class Strip:
    """One training example of reading."""

    pixels: npt.NDArray[np.uint8]  # (H, W)
    cells: npt.NDArray[np.int64]  # of each piece, row by row
    pieces: npt.NDArray[np.int64]
    patches: npt.NDArray[np.int64]  # of each letter, in the order of `tower.cut_grey`
    letters: npt.NDArray[np.int64]


def strips(
    pages: Pages, page: int, pieces: Pieces, random: np.random.Generator, scales: tuple[float, float]
) -> list[Strip]:
    """A page's strips, at a random share between `scales` of the encoder's area."""
    rows, columns = fit(pages.sizes[page], PAGE_PIXELS * random.uniform(*scales))
    if rows < STRIP_ROWS or not 8 <= columns <= 60:
        return []
    pixels = degrade(render(pages.paths[page], int(pages.numbers[page]), rows * CELL, columns * CELL), random)
    labels = (label_pieces(pages, page, rows, columns, pieces), label_letters(pages, page, rows, columns))
    found = []
    for start in range(int(random.integers(0, STRIP_ROWS)), rows - STRIP_ROWS + 1, STRIP_ROWS):
        # words cut by the strip's edge are left out: their other half is not there to be read
        inside = [(each.spans[:, 0] > start - 0.05) & (each.spans[:, 1] < start + STRIP_ROWS + 0.05) for each in labels]
        if inside[0].sum() < 12:
            continue
        # white margins teach nothing
        edges = labels[0].spans[inside[0]]
        left, right = max(0, int(edges[:, 2].min())), min(columns, int(edges[:, 3].max()) + 1)
        parts = -(-(right - left) // STRIP_COLUMNS)
        width = (right - left) // parts
        if width < 6:
            continue
        for part in range(parts):
            first = left + part * width
            kept = [
                mask
                & (each.spans[:, :2].mean(1) > start)
                & (each.spans[:, :2].mean(1) < start + STRIP_ROWS)
                & (each.spans[:, 2] > first - 0.05)
                & (each.spans[:, 3] < first + width + 0.05)
                for mask, each in zip(inside, labels, strict=True)
            ]
            if kept[0].sum() < 8:
                continue
            at_piece, at_letter = (each.places[mask] for each, mask in zip(labels, kept, strict=True))
            row, column = at_letter[:, 0] - 2 * start, at_letter[:, 1] - 2 * first
            ok = (column >= 0) & (column < 2 * width)
            row, column = row[ok], column[ok]
            at_column = (at_piece[:, 1] - first).clip(0, width - 1)
            found.append(
                Strip(
                    pixels=pixels[start * CELL : (start + STRIP_ROWS) * CELL, first * CELL : (first + width) * CELL],
                    cells=(at_piece[:, 0] - start) * width + at_column,
                    pieces=labels[0].ids[kept[0]],
                    patches=((row // 2) * width + column // 2) * 4 + (row % 2) * 2 + column % 2,
                    letters=labels[1].ids[kept[1]][ok],
                )
            )
    return found
