"""What can be embedded and found: Text, Image, Page and Clip; the Query; the Hit.

An item is one thing a search can return, with its pixels in memory. Files become items in `media`,
items become vectors in `encoder`, and what a collection keeps of an item is its payload, not its pixels.
Pages count from 1. Times are seconds from the start of the video.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from vlm2vec_rag import notebook
from vlm2vec_rag.excerpts import excerpt

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Kind: TypeAlias = Literal["text", "image", "page", "clip"]
KINDS: tuple[Kind, ...] = ("text", "image", "page", "clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A passage of a text or Markdown file, or any string of one's own."""

    kind: ClassVar[Kind] = "text"
    text: str
    source: str = ""
    title: str = ""
    start_char: int = 0  # where the passage begins in its file
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def fragment(self) -> str:
        """`char=0,812` (RFC 5147), or nothing for a string without a file."""
        return f"char={self.start_char},{self.start_char + len(self.text)}" if self.source else ""

    @property
    def content_hash(self) -> str:
        return _hash("text", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image. `text` is a caption, alt text or OCR; it feeds the word side of a search."""

    kind: ClassVar[Kind] = "image"
    image: PILImage
    source: str = ""
    text: str = ""
    title: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def fragment(self) -> str:
        return ""

    @property
    def content_hash(self) -> str:
        return _hash("image", self.text, self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a document, rendered; `text` is its text layer."""

    kind: ClassVar[Kind] = "page"
    image: PILImage
    page: int  # from 1
    source: str = ""
    text: str = ""
    title: str = ""  # the outline entry the page stands under
    label: str = ""  # the number printed on it, such as "iv"
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def fragment(self) -> str:
        return f"page={self.page}"

    @property
    def content_hash(self) -> str:
        return _hash("page", self.text, self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A stretch of a video as a few frames; `text` is what the subtitles say meanwhile."""

    kind: ClassVar[Kind] = "clip"
    frames: tuple[PILImage, ...]
    times_s: tuple[float, ...]  # the true time of each frame
    start_s: float
    end_s: float
    source: str = ""
    text: str = ""
    title: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def fragment(self) -> str:
        return f"t={seconds(self.start_s)},{seconds(self.end_s)}"

    @property
    def content_hash(self) -> str:
        return _hash("clip", self.text, *self.frames)


Item: TypeAlias = Text | Image | Page | Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question: words, an image or a clip, or words about an image or a clip.

    The strings of a query are always words: no path or address in one is ever opened.
    """

    text: str = ""
    image: PILImage | None = None
    frames: tuple[PILImage, ...] = ()
    instruction: str | None = None  # None takes the task's own

    @property
    def is_empty(self) -> bool:
        return not self.text.strip() and self.image is None and not self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer of a search: what was found, where it is, and how well it matched."""

    id: str
    score: float
    kind: Kind
    source: str
    place: str  # `report.pdf#page=12`, `talk.mp4#t=83,97`: opens at the right spot
    text: str = ""
    title: str = ""
    page: int | None = None
    label: str = ""
    start_s: float | None = None
    end_s: float | None = None
    dense_score: float | None = None  # cosine similarity, where the dense side found it
    bm25_score: float | None = None  # BM25, where the word side found it
    thumbnail: str | None = None  # path of a small image, where one is kept
    metadata: Mapping[str, object] = field(default_factory=dict)
    question: str = field(default="", compare=False, repr=False)  # the words that found it

    def _repr_html_(self) -> str:
        """A notebook's card of the hit: its thumbnail, its place and its snippet."""
        name, where = self.source.rpartition("/")[2], self.place[len(self.source) :]
        return notebook.card(name, where, self.snippet(240) or self.title, self.thumbnail)

    def snippet(self, length: int = 160, question: str | None = None) -> str:
        """The part of the text nearest to the question, on one line of at most `length` characters.

        Without a question (None takes the one that found the hit) it is the beginning of the text.
        """
        return excerpt(self.text, self.question if question is None else question, length)


class Hits(list[Hit]):
    """A list of hits that a notebook shows with their thumbnails."""

    def _repr_html_(self) -> str:
        return "".join(hit._repr_html_() for hit in self) or "<i>nothing found</i>"


def place_of(source: str, fragment: str) -> str:
    """Join a source and a fragment into the place a reader or player opens: `talk.mp4#t=83,97`."""
    return f"{source}#{fragment}" if fragment else source


def seconds(time_s: float) -> str:
    """A time for a media fragment: whole seconds plain, others to the millisecond (`83`, `83.5`)."""
    rounded = round(time_s, 3)
    return str(math.floor(rounded)) if rounded == math.floor(rounded) else f"{rounded:.3f}".rstrip("0")


def _hash(kind: str, text: str, *images: PILImage) -> str:
    """SHA-256 over what the vector and the word side are made from: pixels and text, not file bytes.

    A page whose file was saved again keeps its hash, so that only pages that changed are embedded again.
    """
    digest = hashlib.sha256(f"{kind}\0{text}\0".encode())
    for image in images:
        digest.update(f"{image.mode}{image.size}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()
