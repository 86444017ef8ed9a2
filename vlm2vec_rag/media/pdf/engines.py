"""The two PDF engines over one file: the one that is preferred, and the other where it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vlm2vec_rag.errors import EncryptedMedia, MediaError, UnreadableMedia
from vlm2vec_rag.media.notes import note
from vlm2vec_rag.media.pdf.base import Document
from vlm2vec_rag.media.settings import MediaSettings, PdfEngine, has_pymupdf

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Result = TypeVar("Result")


def open_document(path: str, engine: PdfEngine, settings: MediaSettings) -> Document:
    """Open a PDF file with one engine."""
    if engine == "pymupdf":
        from vlm2vec_rag.media.pdf.mupdf import MupdfDocument

        return MupdfDocument(path, settings.passwords)
    from vlm2vec_rag.media.pdf.pdfium import PdfiumDocument

    return PdfiumDocument(path, settings.passwords)


class Engines:
    """A PDF file, open in the first engine that can; the other is opened when a page needs it.

    Raises:
        EncryptedMedia: A password is needed, or another one.
        UnreadableMedia: No engine that is installed can open it.
    """

    def __init__(self, path: str, settings: MediaSettings) -> None:
        self._path, self._settings = path, settings
        preferred = settings.settled().pdf_engine
        installed: list[PdfEngine] = ["pymupdf", "pypdfium2"] if has_pymupdf() else ["pypdfium2"]
        self._names = sorted(installed, key=lambda name: name != preferred)
        self._open: dict[PdfEngine, Document] = {}
        failures: list[UnreadableMedia] = []
        for name in self._names:
            try:
                document = self._document(name)
                if document.page_count > 0:
                    break
                failures.append(UnreadableMedia(f"{path}: holds no page that can be read; it may be cut off"))
            except EncryptedMedia:
                raise
            except UnreadableMedia as error:
                failures.append(error)
        else:
            self.close()
            raise failures[0]
        self._names = self._names[self._names.index(name) :]  # what cannot open it is not asked again
        self.first, self.page_count = document, document.page_count
        if failures and name != preferred:
            note(f"read by {name}, since {preferred} cannot open it")

    def ask(self, index: int, question: Callable[[Document], Result]) -> Result:
        """The answer of the first engine that has one about a page.

        Raises:
            UnreadableMedia: None has; the error is that of the first.
        """
        failure: UnreadableMedia | None = None
        for name in self._names:
            try:
                document = self._document(name)
                if index < document.page_count:
                    answer = question(document)
                    if failure is not None:
                        note(f"page {index + 1} is read by {name}, since {self._names[0]} cannot")
                    return answer
            except UnreadableMedia as error:
                failure = failure or error
        raise failure or UnreadableMedia(f"{self._path}: page {index + 1} cannot be read")

    def render(self, index: int, height: int, width: int, *, has_text: bool) -> PILImage:
        """The page at this size. Where the first engine leaves something out, the other one's image is taken.

        Args:
            index: Of the page.
            height: In px.
            width: In px.
            has_text: An empty image of a page with text is right where the text is white, and a flaw without.
        """
        image = self.ask(index, lambda document: document.render(index, height, width))
        undecoded = self.first.undecoded()
        if len(self._names) < 2 or not (undecoded or (not has_text and _is_empty(image))):
            return image
        other = self._names[1]
        try:
            instead = self._document(other).render(index, height, width)
        except MediaError:
            return image
        if _is_empty(instead):
            return image
        why = f"cannot decode a part of it ({undecoded[:100]})" if undecoded else "draws nothing"
        note(f"page {index + 1} is drawn by {other}, since {self._names[0]} {why}")
        return instead

    def close(self) -> None:
        for document in self._open.values():
            document.close()
        self._open.clear()

    def _document(self, name: PdfEngine) -> Document:
        if name not in self._open:
            self._open[name] = open_document(self._path, name, self._settings)
        return self._open[name]


def _is_empty(image: PILImage) -> bool:
    """Whether an image is of one colour."""
    return len(image.getcolors(1) or ()) == 1
