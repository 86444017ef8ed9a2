"""What a PDF engine gives. Two engines stand behind it: pymupdf (AGPL, an extra) and pypdfium2 (permissive)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vlm2vec_rag.errors import EncryptedMedia

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page's text layer and where it stands, to mark it on an image of the page.

    The box is in fractions of the page as shown (turned, cropped): 0, 0 is the top left, 1, 1 the bottom right.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    whole: str = ""  # the word of which this is a part, where a line's end cuts it in two


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of a document's outline."""

    level: int  # from 0
    title: str
    index: int  # of the page, from 0


class Document(Protocol):
    """An open PDF file. Pages count from 0 here, as the engines do; everything above counts from 1."""

    page_count: int

    def size_pt(self, index: int) -> tuple[float, float]:
        """(height, width) of a page as shown, in points of 1/72 inch."""

    def render(self, index: int, height: int, width: int) -> PILImage:
        """The page on white, annotations and filled-in forms included, at exactly this size in px."""

    def undecoded(self) -> str:
        """What the last rendering left out because it could not be decoded, in the engine's words; usually nothing."""

    def text(self, index: int) -> str:
        """What is drawn as text, annotations and form fields included, one line per line; empty for a scan.

        As the engine gives it: control characters tell a text layer that says nothing (see `broken`).
        """

    def words(self, index: int) -> list[Word]:
        """The words of the text layer, in the file's own order."""

    def label(self, index: int) -> str:
        """The page's number in its own numbering, such as "iv"; empty where the document has none."""

    def outline(self) -> list[Bookmark]:
        """All entries that lead to a page, in order."""

    def close(self) -> None: ...


def encrypted(path: str | os.PathLike[str], passwords: Sequence[str]) -> EncryptedMedia:
    """The error of a file that needs a password, or another one."""
    if not passwords:
        return EncryptedMedia(
            f"{path}: is encrypted; give its password (--password, or MediaSettings(passwords=...) in Python), or save "
            "it without one"
        )
    given = "the given password does not open it" if len(passwords) == 1 else "none of the given passwords opens it"
    return EncryptedMedia(f"{path}: is encrypted and {given}; check the password")
