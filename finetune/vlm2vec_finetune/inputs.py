"""Pairs to what the model reads: the very prompts, token ids and patches that serving makes, read ahead by threads.

Serving reads a bare text as what is looked for (`Prompts.item`) and a question by what it looks for (`Prompts.query`).
Training goes through the same functions, so that an adapter is trained on what it will be asked.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_rag.encoder.qwen2vl.patches import PatchSettings, cut, plan
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Visual
    from vlm2vec_rag.encoder.qwen2vl.tokens import PromptTokens

Opener = Callable[[Content], "Visual"]
_A = TypeVar("_A")
_B = TypeVar("_B")


def query_prompt(pair: Pair) -> str:
    """The prompt of a pair's question."""
    query = pair.query
    if query.prompt:
        return query.prompt
    return PROMPTS.query(query.text, query.shown, target=pair.target.kind, instruction=pair.instruction)


def target_prompt(content: Content, instruction: str | None = None) -> str:
    """The prompt of a target or of a hard negative."""
    return content.prompt or PROMPTS.item(content.kind, content.text, instruction=instruction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One input, ready for the model."""

    ids: tuple[int, ...]  # visual tokens repeated
    patches: npt.NDArray[np.float32] | None  # (P, W)
    grid: tuple[int, int, int] | None
    visual_tokens: int
    content_key: bytes  # 16 bytes, equal for equal content: same words and same pixels
    visual_key: bytes  # 16 bytes, equal for equal pixels


class Inputs:
    """Makes inputs with one checkpoint's tokenizer and constants."""

    def __init__(self, tokens: PromptTokens, settings: PatchSettings, *, max_pixels: int, open_visual: Opener) -> None:
        self._tokens, self._settings = tokens, settings
        self._max_pixels, self._open = max_pixels, open_visual

    def prepare(self, prompt: str, content: Content) -> Prepared:
        """Open, tokenise and cut one side of a pair.

        Raises:
            MediaError: Its file is missing or broken.
            EmptyInput, InvalidInput: Prompt and pixels do not make an input.
        """
        visual = self._open(content)
        if visual is None:
            ids = self._tokens.ids(prompt, is_video=False, visual_tokens=0)
            key = hashlib.blake2b(prompt.encode(), digest_size=16).digest()
            return Prepared(
                ids=tuple(ids), patches=None, grid=None, visual_tokens=0, content_key=key, visual_key=b"\0" * 16
            )
        chosen = plan(visual, self._max_pixels, self._settings)
        is_video = isinstance(visual, Sequence)
        ids = self._tokens.ids(prompt, is_video=is_video, visual_tokens=chosen.tokens)
        patches = cut(visual, chosen, self._settings)
        pixels = hashlib.blake2b(patches.data, digest_size=16, salt=np.asarray(chosen.grid, dtype="<i4").tobytes())
        key = hashlib.blake2b(prompt.encode() + pixels.digest(), digest_size=16).digest()
        return Prepared(
            ids=tuple(ids), patches=patches, grid=chosen.grid, visual_tokens=chosen.tokens, content_key=key,
            visual_key=pixels.digest(),
        )  # fmt: skip


def read_ahead(function: Callable[[_A], _B], arguments: Iterable[_A], *, workers: int) -> Iterator[_B]:
    """Results in the order of their arguments, a few made ahead by threads.

    The number of workers changes when a result is made, never which or in what order. An exception is raised where its
    result would have come.
    """
    if workers < 1:
        yield from map(function, arguments)
        return
    waiting: deque[Future[_B]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="vlm2vec-inputs") as pool:
        try:
            for argument in arguments:
                waiting.append(pool.submit(function, argument))
                if len(waiting) > 2 * workers:  # a page is 24 MB of patches: not the whole batch ahead
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
