"""PDF pages through PyMuPDF (AGPL-3.0 or commercial; `pip install 'vlm2vec-rag[pymupdf]'`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import EncryptedMedia, UnreadableMedia
from vlm2vec_rag.extras import require
from vlm2vec_rag.media.pdf.base import Bookmark, Word
from vlm2vec_rag.media.pdf.mupdf_spaces import loses_spaces, spaced_text, spaced_words

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


class MupdfDocument:
    """A PDF file opened by PyMuPDF. Not for use from several threads."""

    def __init__(self, path: str | os.PathLike[str], password: str | None = None) -> None:
        self._mupdf = require("pymupdf", "pymupdf")
        # MuPDF writes each flaw of a file to standard error; what cannot be read is raised anyway
        self._mupdf.TOOLS.mupdf_display_errors(False)
        self._mupdf.TOOLS.mupdf_display_warnings(False)
        with _as_unreadable(path):
            # the type is given, or MuPDF would choose among its other readers (XPS, EPUB, images) by itself
            self._document = self._mupdf.open(**_named_or_whole(os.fspath(path)), filetype="pdf")
        self._path = path
        if self._document.needs_pass and not self._document.authenticate(password or ""):
            self.close()
            raise encrypted(path, password)
        with _as_unreadable(path):
            self.page_count: int = self._document.page_count

    def size_pt(self, index: int) -> tuple[float, float]:
        with _as_unreadable(self._path):
            rect = self._document[index].rect
            return float(rect.height), float(rect.width)

    def render(self, index: int, height: int, width: int) -> PILImage:
        from PIL import Image

        with _as_unreadable(self._path):
            page = self._document[index]
            scale = self._mupdf.Matrix(width / page.rect.width, height / page.rect.height)
            pixmap = page.get_pixmap(matrix=scale, colorspace=self._mupdf.csRGB, alpha=False)
            image = Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)
        return image if image.size == (width, height) else image.crop((0, 0, width, height))

    def text(self, index: int) -> str:
        with _as_unreadable(self._path):
            page = self._document[index]
            text = str(page.get_text("text"))
            return spaced_text(page) if loses_spaces(text) else text

    def words(self, index: int) -> list[Word]:
        with _as_unreadable(self._path):
            page = self._document[index]
            turn, rect = page.rotation_matrix, page.rect  # words come unturned
            found = [(word[4], word[:4]) for word in page.get_text("words")]
            if loses_spaces("".join(text for text, _ in found)):
                found = spaced_words(page)
            words = []
            for text, corners in found:
                box = self._mupdf.Rect(corners) * turn
                words.append(
                    Word(text, box.x0 / rect.width, box.y0 / rect.height, box.x1 / rect.width, box.y1 / rect.height)
                )
            return words

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


def encrypted(path: str | os.PathLike[str], password: str | None) -> EncryptedMedia:
    """The error of a file that needs a password, or another one."""
    if password is None:
        return EncryptedMedia(f"{path}: is encrypted; give its password, or save it without one")
    return EncryptedMedia(f"{path}: is encrypted and the given password does not open it; check the password")


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


@contextmanager
def _as_unreadable(path: str | os.PathLike[str]) -> Iterator[None]:
    """PyMuPDF raises RuntimeError, ValueError and its own classes below them for a broken file."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise UnreadableMedia(
            f"{path}: PyMuPDF cannot read it ({error}); repair it (qpdf does), or try pdf_engine='pypdfium2'"
        ) from error
