"""PDF pages through PyMuPDF (AGPL-3.0 or commercial; `pip install 'vlm2vec-rag[pymupdf]'`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.extras import require
from vlm2vec_rag.media.pdf.base import Bookmark, Word, encrypted
from vlm2vec_rag.media.pdf.mupdf_layout import Glyph, lines_of, needs_layout, seems_drawn_twice, words_of

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


# an image that MuPDF draws black, white or in part, instead of raising an error
_UNDECODED = re.compile("jbig2dec error|failed to decode|cannot decode|library error|cannot load object")


class MupdfDocument:
    """A PDF file opened by PyMuPDF. Not for use from several threads."""

    def __init__(self, path: str | os.PathLike[str], passwords: Sequence[str] = ()) -> None:
        self._mupdf = require("pymupdf", "pymupdf")
        # MuPDF writes each flaw of a file to standard error; `undecoded` reads those that count
        self._mupdf.TOOLS.mupdf_display_errors(False)
        self._mupdf.TOOLS.mupdf_display_warnings(False)
        with _as_unreadable(path):
            # the type is given, or MuPDF would choose among its other readers (XPS, EPUB, images) by itself
            self._document = self._mupdf.open(**_named_or_whole(os.fspath(path)), filetype="pdf")
        self._path = path
        if self._document.needs_pass and not any(map(self._document.authenticate, passwords)):
            self.close()
            raise encrypted(path, passwords)
        # with styles, characters that are drawn twice to look bold come once; reading takes twice as long
        self._flags = self._mupdf.TEXTFLAGS_TEXT | self._mupdf.TEXT_COLLECT_STYLES
        with _as_unreadable(path):
            self.page_count: int = self._document.page_count
            self._layers_off = self._find_layers_off()
            self._has_fields = bool(self._document.is_form_pdf)

    def size_pt(self, index: int) -> tuple[float, float]:
        with _as_unreadable(self._path):
            rect = self._document[index].rect
            return float(rect.height), float(rect.width)

    def render(self, index: int, height: int, width: int) -> PILImage:
        from PIL import Image

        self._mupdf.TOOLS.reset_mupdf_warnings()
        with _as_unreadable(self._path):
            page = self._document[index]
            scale = self._mupdf.Matrix(width / page.rect.width, height / page.rect.height)
            pixmap = page.get_pixmap(matrix=scale, colorspace=self._mupdf.csRGB, alpha=False)
            image = Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples_mv)
        return image if image.size == (width, height) else image.crop((0, 0, width, height))

    def undecoded(self) -> str:
        said = str(self._mupdf.TOOLS.mupdf_warnings(reset=True))
        return next((line for line in said.splitlines() if _UNDECODED.search(line)), "")

    def text(self, index: int) -> str:
        with _as_unreadable(self._path):
            page = self._document[index]
            hidden = self._hidden(page)
            text, _ = ("", 0) if hidden else self._plain(page)
            if hidden or needs_layout(text):
                return "\n".join(line.text.rstrip() for line in lines_of(page, self._flags, is_hidden=hidden))
            return text

    def words(self, index: int) -> list[Word]:
        with _as_unreadable(self._path):
            page = self._document[index]
            turn, rect = page.rotation_matrix, page.rect  # words come unturned
            hidden = self._hidden(page)
            text, flags = ("", 0) if hidden else self._plain(page)
            if hidden or needs_layout(text):
                found = list(words_of(lines_of(page, self._flags, is_hidden=hidden)))
            else:
                found = [(word[4], word[:4]) for word in page.get_text("words", flags=flags)]
            words = []
            for text, corners in found:
                box = self._mupdf.Rect(corners) * turn
                words.append(
                    Word(text, box.x0 / rect.width, box.y0 / rect.height, box.x1 / rect.width, box.y1 / rect.height)
                )
            return words

    def _plain(self, page: Any) -> tuple[str, int]:
        """The text of a page as MuPDF lays it out, and the flags it was taken with."""
        flags = self._mupdf.TEXTFLAGS_TEXT
        text = str(page.get_text("text", flags=flags))
        if seems_drawn_twice(text):
            flags = self._flags
            text = str(page.get_text("text", flags=flags))
        return text, flags

    def label(self, index: int) -> str:
        with _as_unreadable(self._path):
            return _plain_label(str(self._document[index].get_label() or ""))

    def outline(self) -> list[Bookmark]:
        with _as_unreadable(self._path):
            return [
                Bookmark(level - 1, title, page - 1)
                for level, title, page, *_ in self._document.get_toc(simple=True)
                if page > 0
            ]

    def close(self) -> None:
        self._document.close()

    def _find_layers_off(self) -> frozenset[str]:
        """The names of the layers that are not shown when the file is opened."""
        state = self._document.get_layer()
        if not state:
            return frozenset()
        off, groups = set(state.get("off", ())), self._document.get_ocgs()
        if str(state.get("basestate", "")).upper() == "OFF":
            off |= groups.keys() - set(state.get("on", ()))
        return frozenset(group["name"] for number, group in groups.items() if number in off)

    def _hidden(self, page: Any) -> Callable[[Glyph], bool] | None:
        """Tells characters that are not drawn, though MuPDF gives them: those of layers that are off, and passwords."""
        places: set[tuple[str, int, int]] = set()
        if self._layers_off:
            undrawn = 3  # the type of text that is neither filled nor stroked
            for span in page.get_texttrace():
                if span["type"] == undrawn and span["layer"] in self._layers_off:
                    places |= {_place(chr(code), box[0], box[2]) for code, _, _, box in span["chars"]}
        secret = [
            widget.rect
            for widget in (page.widgets() if self._has_fields else ())
            if widget.field_type == self._mupdf.PDF_WIDGET_TYPE_TEXT
            and widget.field_flags & self._mupdf.PDF_TX_FIELD_IS_PASSWORD
        ]
        if not places and not secret:
            return None

        def is_hidden(glyph: Glyph) -> bool:
            x0, y0, x1, y1 = glyph.box
            centre = self._mupdf.Point((x0 + x1) / 2, (y0 + y1) / 2)
            return _place(glyph.char, x0, x1) in places or any(centre in rect for rect in secret)

        return is_hidden


def _named_or_whole(path: str) -> dict[str, str | bytes]:
    """How PyMuPDF is given a file: by its name, or by its bytes where the name is no Unicode."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"stream": Path(path).read_bytes()}
    return {"filename": path}


def _plain_label(label: str) -> str:
    """Labels whose prefix is a hex string in the file come as `<FEFF0041>1`; decode that part."""
    match = re.match(r"<((?:[0-9A-Fa-f]{2})+)>", label)
    if match is None:
        return label
    prefix = bytes.fromhex(match[1])
    encoding = "utf-16" if prefix[:2] in (b"\xfe\xff", b"\xff\xfe") else "latin-1"
    return prefix.decode(encoding, "replace") + label[match.end() :]


def _place(char: str, left: float, right: float) -> tuple[str, int, int]:
    """A character and where it stands, to a tenth of a point."""
    return char, round(left * 10), round(right * 10)


@contextmanager
def _as_unreadable(path: str | os.PathLike[str]) -> Iterator[None]:
    """PyMuPDF raises RuntimeError, ValueError, classes below them, and MuPDF's own for a broken file."""
    try:
        yield
    except Exception as error:
        of_mupdf = type(error).__module__.startswith("pymupdf")
        if not of_mupdf and not isinstance(error, RuntimeError | ValueError | IndexError | ZeroDivisionError):
            raise
        raise UnreadableMedia(f"{path}: PyMuPDF cannot read it ({error}); repair it (qpdf does)") from error
