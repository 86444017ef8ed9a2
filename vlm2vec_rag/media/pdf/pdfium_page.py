"""Makes PDFium's text of a page the text that is drawn on it.

PDFium reads the page's own content only, whatever layer it is in, and joins runs that stand side by side whichever way
they are turned. Here the values of form fields and the other annotations become content (on a copy that is never
rendered for the model), text of layers that are off is left out, and turned runs are set apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from ctypes import byref, c_double, c_float, c_int, c_ulong, c_ushort, sizeof
from dataclasses import dataclass
from typing import Any, TypeAlias

from vlm2vec_rag.media.pdf.accents import COMBINING, compose

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
Box: TypeAlias = tuple[float, float, float, float]

UPRIGHT: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_UNDRAWN = ("LINK", "POPUP")  # annotations without an appearance: a page that has no others stays as it is
_PASSWORD_FIELD = 1 << 13  # PDF 32000-1, table 228
_TURN = math.radians(10)  # runs that differ by more are not one line
_TEST_PIXELS = 1_000_000  # of the two renderings that tell which layers are on


@dataclass(frozen=True, slots=True)
class TextRun:
    """A text object of a page: a stretch of text in one font, set in one go."""

    handle: Any
    matrix: Matrix  # from the object's own form to the page
    angle: float  # radians
    is_layered: bool  # belongs to a layer, which may be off


def has_annotations(raw: Any, page: Any) -> bool:
    """Whether a page has annotations that draw something."""
    undrawn = {getattr(raw, f"FPDF_ANNOT_{name}") for name in _UNDRAWN}
    return any(_subtype(raw, page, index) not in undrawn for index in range(raw.FPDFPage_GetAnnotCount(page)))


def flatten(raw: Any, page: Any, form: Any) -> None:
    """Make annotations and form fields content of the page, unseen ones and passwords excepted."""
    for index in reversed(range(raw.FPDFPage_GetAnnotCount(page))):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        is_password = (
            form is not None
            and raw.FPDFAnnot_GetFormFieldType(form, annotation) == raw.FPDF_FORMFIELD_TEXTFIELD
            and raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FIELD
        )
        is_unseen = raw.FPDFAnnot_GetFlags(annotation) & (raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW)
        raw.FPDFPage_CloseAnnot(annotation)
        if is_password or is_unseen:
            raw.FPDFPage_RemoveAnnot(page, index)
    raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)


def text_runs(raw: Any, page: Any) -> list[TextRun]:
    """All text objects of a page, those in its forms included."""
    found: list[TextRun] = []
    matrix = raw.FS_MATRIX()
    # (object, whether it is on a layer, the way from its coordinates to the page's)
    waiting = [
        (raw.FPDFPage_GetObject(page, index), False, UPRIGHT) for index in range(raw.FPDFPage_CountObjects(page))
    ]
    while waiting:
        handle, is_layered, outer = waiting.pop()
        kind = raw.FPDFPageObj_GetType(handle)
        if kind not in (raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM):
            continue
        is_layered = is_layered or _is_marked(raw, handle)
        raw.FPDFPageObj_GetMatrix(handle, byref(matrix))
        own = (matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            a, b, *_ = _times(own, outer)
            found.append(TextRun(handle, outer, math.atan2(b, a), is_layered))
            continue
        inner = _times(own, outer)
        waiting += [
            (raw.FPDFFormObj_GetObject(handle, index), is_layered, inner)
            for index in range(raw.FPDFFormObj_CountObjects(handle))
        ]
    return found


def leave_out_hidden(pdfium: Any, page: Any, runs: list[TextRun]) -> None:
    """Take the text of layers that are off from an open page.

    PDFium renders layers rightly and has no function that tells their state, so the rendering is asked: text whose
    absence changes no pixel is not shown. It is asked with red letters, since invisible ones (of OCR, behind a scan)
    belong to the text of a page whose layer is on.
    """
    raw = pdfium.raw
    layered = [run for run in runs if run.is_layered]
    if not layered:
        return
    width_pt, height_pt = page.get_size()
    scale = math.sqrt(_TEST_PIXELS / max(width_pt * height_pt, 1.0))
    width, height = max(1, round(width_pt * scale)), max(1, round(height_pt * scale))
    for run in layered:
        raw.FPDFTextObj_SetTextRenderMode(run.handle, raw.FPDF_TEXTRENDERMODE_FILL)
        raw.FPDFPageObj_SetFillColor(run.handle, 255, 0, 0, 255)
    with_text = _grey(pdfium, page, width, height)
    for run in layered:
        raw.FPDFPageObj_SetIsActive(run.handle, False)
    changed = with_text != _grey(pdfium, page, width, height)  # (height, width) bool
    for run in layered:
        left, top, right, bottom = _pixels(raw, page, run, width, height)
        if changed[top:bottom, left:right].any():
            raw.FPDFPageObj_SetIsActive(run.handle, True)


def is_turned(runs: list[TextRun]) -> bool:
    """Whether some runs of a page are turned against others."""
    return any(_apart(run.angle, runs[0].angle) > _TURN for run in runs)


def characters(raw: Any, text_page: Any, *, mind_turns: bool) -> Iterator[tuple[int, str]]:
    """The characters of a text page with their numbers, a line break (number -1) where the direction changes.

    Accents are on their letters.
    """
    found = list(_drawn_characters(raw, text_page, mind_turns=mind_turns))
    if any(char in COMBINING for _, char in found):
        found = compose(found, lambda index: char_box(raw, text_page, index))
    return iter(found)


def _drawn_characters(raw: Any, text_page: Any, *, mind_turns: bool) -> Iterator[tuple[int, str]]:
    angle, is_open = 0.0, False
    for index in range(raw.FPDFText_CountChars(text_page)):
        code = raw.FPDFText_GetUnicode(text_page, index)
        if code == 0:
            continue
        char = chr(code)
        if char.isspace():
            is_open = False
        elif mind_turns and not raw.FPDFText_IsGenerated(text_page, index):
            turned = float(raw.FPDFText_GetCharAngle(text_page, index))
            if is_open and _apart(turned, angle) > _TURN:
                yield -1, "\n"
            angle, is_open = turned, True
        yield index, char


def char_box(raw: Any, text_page: Any, index: int) -> Box:
    """Left, bottom, right and top of a character, in points of the page's own space."""
    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    raw.FPDFText_GetCharBox(text_page, index, byref(left), byref(right), byref(bottom), byref(top))
    return left.value, bottom.value, right.value, top.value


def _subtype(raw: Any, page: Any, index: int) -> int:
    annotation = raw.FPDFPage_GetAnnot(page, index)
    try:
        return int(raw.FPDFAnnot_GetSubtype(annotation))
    finally:
        raw.FPDFPage_CloseAnnot(annotation)


def _is_marked(raw: Any, handle: Any) -> bool:
    """Whether an object stands inside of a marked stretch named OC (optional content)."""
    for index in range(raw.FPDFPageObj_CountMarks(handle)):
        name, length = (c_ushort * 3)(), c_ulong()  # UTF-16 with a zero at the end; a longer name is not written
        mark = raw.FPDFPageObj_GetMark(handle, index)
        if raw.FPDFPageObjMark_GetName(mark, name, sizeof(name), byref(length)) and bytes(name) == b"O\0C\0\0\0":
            return True
    return False


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _apart(one: float, other: float) -> float:
    """The angle between two directions, 0 to pi."""
    return abs((one - other + math.pi) % (2 * math.pi) - math.pi)


def _grey(pdfium: Any, page: Any, width: int, height: int) -> Any:
    """(height, width) uint8: the page in grey."""
    raw = pdfium.raw
    bitmap = pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_Gray)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, 0)
    return bitmap.to_numpy().reshape(height, -1)[:, :width].copy()


def _pixels(raw: Any, page: Any, run: TextRun, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a run in a rendering of that size, a pixel of blur around it included."""
    edges = [c_float() for _ in range(4)]
    raw.FPDFPageObj_GetBounds(run.handle, *map(byref, edges))
    x0, y0, x1, y1 = (edge.value for edge in edges)
    a, b, c, d, e, f = run.matrix
    corners = []
    for x, y in ((x0, y0), (x0, y1), (x1, y0), (x1, y1)):
        column, row = c_int(), c_int()
        shown = x * a + y * c + e, x * b + y * d + f
        raw.FPDF_PageToDevice(page, 0, 0, width, height, 0, *shown, byref(column), byref(row))
        corners.append((column.value, row.value))
    columns, rows = zip(*corners, strict=True)
    return max(0, min(columns) - 1), max(0, min(rows) - 1), max(columns) + 2, max(rows) + 2
