"""What every encoder offers, whatever model it runs: items and queries in, unit vectors out.

A family gives its prompts and `encode_prompts`; order and checks are shared here.
Shape letters: B inputs, D width.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.items import KINDS, Clip, Image, Item, Kind, Page, Query, Text

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Vectors: TypeAlias = npt.NDArray[np.float32]
# an image, the frames of a clip (as `Frames` where their times are known), several `Images`, or nothing
Visual: TypeAlias = "PILImage | Sequence[PILImage] | None"
Shown: TypeAlias = Literal["", "image", "video"]  # what a prompt shows: nothing, an image, or the frames of a clip
Sight: TypeAlias = Literal["print", "photographs", "video"]  # printed words; things and scenes; what moves
Progress: TypeAlias = Callable[[int], None]  # called with the number of inputs done since the last call

SHOWN_BY: Mapping[Kind, Shown] = MappingProxyType({"text": "", "image": "image", "page": "image", "clip": "video"})
# A question to a collection of many kinds is asked as a question to pages unless the search is limited to one kind.
MIXED: Kind = "page"


class Frames(tuple["PILImage", ...]):
    """The frames of a clip with the time of each, in seconds from the clip's beginning."""

    times_s: tuple[float, ...]

    def __new__(cls, images: Iterable[PILImage], times_s: Iterable[float]) -> Frames:
        """Put frames and their times together.

        Raises:
            InvalidInput: They are not as many.
        """
        made = super().__new__(cls, images)
        made.times_s = tuple(times_s)
        if len(made) != len(made.times_s):
            raise InvalidInput(f"{len(made)} frames came with {len(made.times_s)} times; give one for each")
        return made


class Images(tuple["PILImage", ...]):
    """Several images of one input, for families that take them."""

    __slots__ = ()


class Prompts(ABC):
    """The prompts of a family: what its models read in front of, or around, text and pixels."""

    @abstractmethod
    def query(self, text: str, shown: Shown, *, target: Kind, instruction: str | None = None) -> str:
        """The complete prompt of a question.

        Args:
            text: The words of the question; special tokens in them are broken, so that they stay words.
            shown: What the question shows.
            target: The kind of item it looks for.
            instruction: One of your own in place of the family's.
        """

    @abstractmethod
    def item(self, kind: Kind, text: str, *, instruction: str | None = None) -> str:
        """The complete prompt of an item; `text` are the words to read (together with its pixels, if any)."""

    @cached_property
    def digest(self) -> str:
        """Sixteen digits over every prompt above: part of an encoder's fingerprint."""
        digest = hashlib.sha256()
        shows: tuple[tuple[Shown, str], ...] = (("", "q"), ("image", ""), ("image", "q"), ("video", ""), ("video", "q"))
        targets: tuple[Kind, ...] = ("page", "image", "clip", "text")
        for shown, text in shows:
            for target in targets:
                digest.update(self.query(text, shown, target=target).encode() + b"\0")
        items: tuple[tuple[Kind, str], ...] = (
            ("text", "t"), ("page", ""), ("page", "t"), ("image", ""), ("image", "t"), ("clip", ""), ("clip", "t"),
        )  # fmt: skip
        for kind, text in items:
            digest.update(self.item(kind, text).encode() + b"\0")
        return digest.hexdigest()[:16]


class Encoder(ABC):
    """Turns items and queries into vectors of one space."""

    fingerprint: Fingerprint
    prompts: Prompts
    sees: frozenset[Sight]  # nano sees print only; vectors of what a model does not see mean nothing
    max_pixels: int  # budget of one image or frame
    frames: int  # of a clip
    runs_on: str  # device and number format, for people: "cpu in bfloat16"
    loaded_from: tuple[str, str | None, str | None] | None = None  # model, adapter and revision, as they were named

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self.fingerprint.dim

    @abstractmethod
    def encode_prompts(
        self, prompts: Sequence[str], visuals: Sequence[Visual], *, progress: Progress | None = None
    ) -> Vectors:
        """Encode complete prompts, the low-level call that benchmarks use.

        Args:
            prompts: B strings as the model reads them, instruction and visual token included.
            visuals: B of None, one image, `Images`, or a list of frames (`Frames` where their times are known), as
                the prompt's tokens say.
            progress: Called with the number of inputs done since the last call.

        Returns:
            (B, D) float32, unit rows, in input order.

        Raises:
            EmptyInput: A prompt without a token to read.
            InvalidInput: Prompts and visuals do not fit each other.
        """

    def encode_items(
        self,
        items: Sequence[Item | str],
        *,
        instruction: str | None = None,
        with_text: bool = False,
        progress: Progress | None = None,
    ) -> Vectors:
        """Encode what a collection holds.

        Args:
            items: B items; a string is a text.
            instruction: An instruction of your own for every item, instead of the family's for each kind.
            with_text: Read an item's words together with its pixels. Off by default: page text and captions
                feed the word side of a search, and the vector stays an image of the pixels.
            progress: Called with the number of items done since the last call.

        Returns:
            (B, D) float32, unit rows, in input order.

        Raises:
            EmptyInput: A text without a word, or a clip without a frame.
        """
        texts: list[str] = []
        visuals: list[Visual] = []
        for index, item in enumerate(items):
            kind, text, visual = _parts(item)
            if kind == "text" and not text.strip():
                raise EmptyInput(f"item {index} is a text without a word; drop empty texts before encoding")
            text = text if with_text or kind == "text" else ""
            texts.append(self.prompts.item(kind, text, instruction=instruction))
            visuals.append(visual)
        return self.encode_prompts(texts, visuals, progress=progress)

    def encode_queries(
        self,
        queries: Sequence[Query | str],
        *,
        target: Kind | None = None,
        progress: Progress | None = None,
    ) -> Vectors:
        """Encode questions.

        Args:
            queries: B questions; a string is always words, never a path or an address.
            target: The one kind that is looked for; None for a collection of many kinds.
            progress: Called with the number of questions done since the last call.

        Returns:
            (B, D) float32, unit rows, in input order.

        Raises:
            EmptyInput: A question with neither words nor pixels.
            InvalidInput: There is no such kind, or a question shows both an image and a clip.
        """
        if target is not None and target not in KINDS:
            raise InvalidInput(f"no kind of item is called {target!r}; expected one of {', '.join(KINDS)}")
        texts: list[str] = []
        visuals: list[Visual] = []
        for index, given in enumerate(queries):
            query = Query(text=given) if isinstance(given, str) else given
            if query.is_empty:
                raise EmptyInput(f"query {index} has neither words nor pixels; ask with text, an image or a clip")
            if query.image is not None and query.frames:
                raise InvalidInput(f"query {index} shows an image and a clip; the model takes one of them")
            shown: Shown = "image" if query.image is not None else "video" if query.frames else ""
            texts.append(self.prompts.query(query.text, shown, target=target or MIXED, instruction=query.instruction))
            visuals.append(query.image if shown == "image" else list(query.frames) if shown == "video" else None)
        return self.encode_prompts(texts, visuals, progress=progress)

    def close(self) -> None:  # noqa: B027  a backend that holds nothing has nothing to free
        """Free the model. The encoder cannot be used afterwards."""


def _parts(item: Item | str) -> tuple[Kind, str, Visual]:
    match item:
        case str():
            return "text", item, None
        case Text():
            return "text", item.text, None
        case Image() | Page():
            return item.kind, item.text, item.image
        case Clip():
            if not item.frames:
                raise EmptyInput(f"the clip {item.source or '(no source)'} {item.fragment} has no frames")
            if len(item.times_s) != len(item.frames):
                return "clip", item.text, list(item.frames)  # made by hand, without times
            return "clip", item.text, Frames(item.frames, [time_s - item.start_s for time_s in item.times_s])
    raise InvalidInput(f"expected a str or one of {', '.join(KINDS)}; got {type(item).__name__}")
