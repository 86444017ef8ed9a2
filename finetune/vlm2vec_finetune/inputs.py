"""Pairs to what the model reads: the very prompts, token ids and patches that serving makes, read ahead by threads.

Serving reads a bare text as what is looked for (`Prompts.item`) and a question by what it looks for (`Prompts.query`).
Training goes through the same functions, so that an adapter is trained on what it will be asked.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from vlm2vec_finetune.pairs import Content, Pair

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Prompts, Visual
    from vlm2vec_rag.encoder.runner import Runner

Opener = Callable[[Content], "Visual"]
_A = TypeVar("_A")
_B = TypeVar("_B")


def query_prompt(pair: Pair, prompts: Prompts) -> str:
    """The prompt of a pair's question."""
    query = pair.query
    if query.prompt:
        return query.prompt
    return prompts.query(query.text, query.shown, target=pair.target.kind, instruction=pair.instruction)


def target_prompt(content: Content, prompts: Prompts, instruction: str | None = None) -> str:
    """The prompt of a target or of a hard negative."""
    return content.prompt or prompts.item(content.kind, content.text, instruction=instruction)


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
    """Makes inputs with one checkpoint's tokenizer, constants and prompts."""

    def __init__(self, runner: Runner, prompts: Prompts, *, max_tokens: int, open_visual: Opener) -> None:
        self.prompts = prompts
        self._runner, self._max_tokens, self._open = runner, max_tokens, open_visual

    def prepare(self, prompt: str, content: Content) -> Prepared:
        """Open, tokenise and cut one side of a pair.

        Raises:
            MediaError: Its file is missing or broken.
            EmptyInput, InvalidInput: Prompt and pixels do not make an input.
        """
        prepared = self._runner.prepare(prompt, self._open(content))
        if not prepared.plans:
            key = hashlib.blake2b(prompt.encode(), digest_size=16).digest()
            ids = prepared.ids[: self._max_tokens]
            return Prepared(ids=ids, patches=None, grid=None, visual_tokens=0, content_key=key, visual_key=b"\0" * 16)
        [patches], [plan] = self._runner.cut(prepared), prepared.plans
        pixels = hashlib.blake2b(patches.data, digest_size=16, salt=np.asarray(plan.grid, dtype="<i4").tobytes())
        key = hashlib.blake2b(prompt.encode() + pixels.digest(), digest_size=16).digest()
        return Prepared(
            ids=prepared.ids, patches=patches, grid=plan.grid, visual_tokens=plan.tokens, content_key=key,
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
