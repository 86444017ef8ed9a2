"""What every encoder offers, whatever runs the model: items and queries in, unit vectors out.

A backend gives `encode_prompts` and its settings; instructions, order and checks are shared here.
Shape letters: B inputs, D width.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vlm2vec_rag import prompts
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.items import KINDS, Clip, Image, Item, Kind, Page, Query, Text

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

logger = logging.getLogger(__name__)

Vectors: TypeAlias = npt.NDArray[np.float32]
Visual: TypeAlias = "PILImage | Sequence[PILImage] | None"
Progress: TypeAlias = Callable[[int], None]  # called with the number of inputs done since the last call


class Encoder(ABC):
    """Turns items and queries into vectors of one space."""

    fingerprint: Fingerprint
    max_pixels: int  # budget of one image or frame
    frames: int  # of a clip
    runs_on: str  # device and number format, for people: "cpu in bfloat16"

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
            visuals: B of None, one image, or a list of frames, as the prompt's token says.
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
        task: str | None = None,
        instruction: str | None = None,
        with_text: bool = False,
        progress: Progress | None = None,
    ) -> Vectors:
        """Encode what a collection holds.

        Args:
            items: B items; a string is a text.
            task: An MMEB-V2 task whose target instruction to use, instead of the default for each kind.
            instruction: An instruction of your own, for every item.
            with_text: Read an item's words together with its pixels. Off by default: page text and captions
                feed the word side of a search, and the vector stays an image of the pixels.
            progress: Called with the number of items done since the last call.

        Returns:
            (B, D) float32, unit rows, in input order.

        Raises:
            EmptyInput: A text without a word.
            InvalidInput: Both `task` and `instruction` are given, or there is no such task.
        """
        _one_of(task, instruction)
        texts: list[str] = []
        visuals: list[Visual] = []
        for index, item in enumerate(items):
            kind, text, visual = _parts(item)
            if kind == "text" and not text.strip():
                raise EmptyInput(f"item {index} is a text without a word; drop empty texts before encoding")
            text = text if with_text or kind == "text" else ""
            if task is None:
                texts.append(prompts.item_prompt(kind, text, instruction=instruction))
            else:
                shown: prompts.Visual = "" if visual is None else "video" if kind == "clip" else "image"
                texts.append(prompts.task(task).target_prompt(prompts.plain(text), shown))
            visuals.append(visual)
        return self.encode_prompts(texts, visuals, progress=progress)

    def encode_queries(
        self,
        queries: Sequence[Query | str],
        *,
        task: str | None = None,
        target: Kind | None = None,
        progress: Progress | None = None,
    ) -> Vectors:
        """Encode questions.

        Args:
            queries: B questions; a string is always words, never a path or an address.
            task: An MMEB-V2 task whose query instruction to use.
            target: The one kind that is looked for; None for a collection of many kinds.
            progress: Called with the number of questions done since the last call.

        Returns:
            (B, D) float32, unit rows, in input order.

        Raises:
            EmptyInput: A question with neither words nor pixels.
            InvalidInput: There is no such task or kind, or a question shows both an image and a clip.
        """
        texts: list[str] = []
        visuals: list[Visual] = []
        for index, given in enumerate(queries):
            query = Query(text=given) if isinstance(given, str) else given
            if query.is_empty:
                raise EmptyInput(f"query {index} has neither words nor pixels; ask with text, an image or a clip")
            if query.image is not None and query.frames:
                raise InvalidInput(f"query {index} shows an image and a clip; the model takes one of them")
            shown: prompts.Visual = "image" if query.image is not None else "video" if query.frames else ""
            if task is not None:
                _one_of(task, query.instruction)
                texts.append(prompts.task(task).query_prompt(prompts.plain(query.text), shown))
            else:
                texts.append(prompts.query_prompt(query.text, shown, target=target, instruction=query.instruction))
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
            return "clip", item.text, list(item.frames)
    raise InvalidInput(f"expected a str or one of {', '.join(KINDS)}; got {type(item).__name__}")


def _one_of(task: str | None, instruction: str | None) -> None:
    if task is not None and instruction is not None:
        raise InvalidInput(f"both task={task!r} and an instruction of your own are given; pass one of them")
