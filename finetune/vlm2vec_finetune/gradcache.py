"""GradCache: the exact gradient of one big batch, in the memory of a small chunk.

In the paper's order (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021):
encode all inputs without a graph, take the loss and its gradient at the vectors, then encode again chunk by chunk and
push each vector's gradient into the weights. Before these two passes the frozen vision tower runs once: its states
wait in a spool for both. Source: `grad_cache.py:245-293` of VLM2Vec at 6e1e1d4, where the tower runs twice.

Shape letters: S inputs of this rank, D width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vlm2vec_finetune.inputs import Prepared
from vlm2vec_finetune.lora import Keys
from vlm2vec_finetune.spool import Spool, StoredTensor
from vlm2vec_rag.encoder.device import is_out_of_memory
from vlm2vec_rag.encoder.runner import Runner
from vlm2vec_rag.errors import VlmRagError

if TYPE_CHECKING:
    from vlm2vec_finetune.vision_cache import VisionCache

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One input after the tower has looked at it: words, and where its states (or patches) wait."""

    slot: int  # its row among the vectors
    key: int  # of its dropout masks
    ids: tuple[int, ...]
    grid: tuple[int, int, int] | None
    place: StoredTensor | None
    content_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One input on its way to the tower."""

    slot: int
    key: int
    prepared: Prepared


class GradCache:
    """Runs one model in chunks. The chunk is halved for good when memory does not suffice."""

    def __init__(
        self,
        model: Any,
        runner: Runner,
        *,
        dim: int,
        chunk_size: int,
        device: torch.device,
        bf16: bool,
        vision_is_frozen: bool = True,
        keys: Keys | None = None,
        vision_cache: VisionCache | None = None,
    ) -> None:
        """Wrap a model.

        Args:
            model: Of a family, without its head, on the device.
            runner: Of the same family.
            dim: Width D of the vectors.
            chunk_size: Inputs of one forward pass.
            device: Where the model is.
            bf16: Multiply in bfloat16; the vectors and the loss stay float32.
            vision_is_frozen: Whether the tower's states may be kept between the passes.
            keys: Where the adapter's dropout reads its keys.
            vision_cache: States kept across steps.
        """
        self.model, self.device, self.chunk_size = model, device, chunk_size
        self.runner, self._dim, self._bf16 = runner, dim, bf16
        self._vision_is_frozen, self._keys, self._vision_cache = vision_is_frozen, keys or Keys(), vision_cache

    def look(self, slots: Iterable[Slot], spool: Spool) -> list[Seen]:
        """Take inputs as they are read, run the frozen tower on their pixels, and put the states by.

        A tower that is trained runs in the later passes; its patches are put by instead.
        """
        seen: list[Seen] = []
        for group in _groups(slots, self.chunk_size):
            seen += self._look(group, spool)
        return seen

    @torch.no_grad()
    def encode(self, seen: Sequence[Seen], spool: Spool) -> torch.Tensor:
        """(S, D) float32 unit rows on the CPU, in the order of `seen`; no graph is kept."""
        vectors = torch.empty(len(seen), self._dim)

        def encode_chunk(chunk: list[int]) -> None:
            vectors[chunk] = self._vectors([seen[at] for at in chunk], spool).cpu()

        self._in_chunks(seen, encode_chunk, lambda: None)
        return vectors

    def backpropagate(self, seen: Sequence[Seen], spool: Spool, gradients: torch.Tensor) -> None:
        """Encode again, and add each vector's share to the gradients of the weights.

        Args:
            seen: The inputs of `encode`, in the same order.
            spool: Where their states wait.
            gradients: (S, D) float32, of the loss at the vectors.
        """

        def push(chunk: list[int]) -> None:
            vectors = self._vectors([seen[at] for at in chunk], spool)
            vectors.backward(gradients[chunk].to(vectors.device))  # type: ignore[no-untyped-call]

        def forget() -> None:  # a pass that failed half-way has added some of its gradients
            self.model.zero_grad(set_to_none=True)

        self._in_chunks(seen, push, forget)

    def _look(self, group: list[Slot], spool: Spool) -> list[Seen]:
        states: dict[int, torch.Tensor] = {}
        todo = [at for at, each in enumerate(group) if each.prepared.patches is not None]
        if not self._vision_is_frozen:
            states = {at: torch.from_numpy(group[at].prepared.patches) for at in todo}
        else:
            if self._vision_cache is not None:
                found = {at: self._vision_cache.get(group[at].prepared.visual_key) for at in todo}
                states = {at: each for at, each in found.items() if each is not None}
                todo = [at for at in todo if at not in states]
            made = self._tower([group[at].prepared for at in todo])
            states |= dict(zip(todo, made, strict=True))
            if self._vision_cache is not None:
                for at in todo:
                    self._vision_cache.put(group[at].prepared.visual_key, states[at])
        return [
            Seen(
                slot=each.slot,
                key=each.key,
                ids=each.prepared.ids,
                grid=each.prepared.grid,
                place=spool.put(states[at]) if at in states else None,
                content_key=each.prepared.content_key,
            )
            for at, each in enumerate(group)
        ]

    @torch.no_grad()
    def _tower(self, visuals: list[Prepared]) -> list[torch.Tensor]:
        """The tower's states of each visual, on the CPU; out of memory, in two halves."""
        if not visuals:
            return []
        patches = [each.patches for each in visuals if each.patches is not None]
        batch = self.runner.collate([each.ids for each in visuals], [_grids(each.grid) for each in visuals], patches)
        try:
            with self._autocast():
                states = self.runner.visual_states(self.model, batch.to(self.device))
            assert states is not None  # noqa: S101  there are patches
            return list(torch.split(states.cpu(), [each.visual_tokens for each in visuals]))
        except Exception as error:
            if not is_out_of_memory(error) or len(visuals) == 1:
                raise
        self._shrink()
        middle = len(visuals) // 2
        return self._tower(visuals[:middle]) + self._tower(visuals[middle:])

    def _vectors(self, seen: Sequence[Seen], spool: Spool) -> torch.Tensor:
        """(chunk, D) float32 unit rows, with a graph where one is wanted."""
        waiting = [spool.get(each.place) for each in seen if each.place is not None]
        patches = None if self._vision_is_frozen else [each.numpy() for each in waiting]
        ids, grids = [each.ids for each in seen], [_grids(each.grid) for each in seen]
        batch = self.runner.collate(ids, grids, patches).to(self.device)
        self._keys.of_rows = [each.key for each in seen]
        self._keys.lengths = [len(each.ids) for each in seen]
        with self._autocast():
            if self._vision_is_frozen:
                visual = torch.cat(waiting).to(self.device) if waiting else None
            else:
                visual = self.runner.visual_states(self.model, batch)
            pooled = self.runner.pooled(self.model, batch, visual)
        return nn.functional.normalize(pooled.float(), dim=-1)

    def _in_chunks(self, seen: Sequence[Seen], run: Callable[[list[int]], None], forget: Callable[[], None]) -> None:
        """Run over inputs of near-equal length together; from the beginning with half the chunk when memory ends."""
        order = sorted(range(len(seen)), key=lambda at: (-len(seen[at].ids), at))
        while True:
            try:
                for start in range(0, len(order), self.chunk_size):
                    run(order[start : start + self.chunk_size])
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.chunk_size == 1:
                    longest = len(seen[order[0]].ids)
                    raise VlmRagError(
                        f"one input of {longest} tokens does not fit the memory of {self.device}; "
                        "set gradient_checkpointing: true, or a smaller max_pixels"
                    ) from error
            self._shrink()
            forget()

    def _shrink(self) -> None:
        """Outside an exception's handler, where the failed pass's tensors are no longer held."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.chunk_size = max(1, self.chunk_size // 2)
        logger.warning("out of memory on %s: going on with chunks of %d", self.device, self.chunk_size)

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16)


def _grids(grid: tuple[int, int, int] | None) -> list[tuple[int, int, int]]:
    return [] if grid is None else [grid]


def _groups(slots: Iterable[Slot], size: int) -> Iterator[list[Slot]]:
    group: list[Slot] = []
    for each in slots:
        group.append(each)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
