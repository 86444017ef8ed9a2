"""The forward pass of EmbeddingGemma 2: prompts and soft tokens to the mean of all tokens' states.

Attention goes both ways, so padding is masked. No token is left out of the mean: prompt, begin and end count too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from vlm2vec_rag.encoder.base import Images, Visual
from vlm2vec_rag.encoder.embeddinggemma2.patches import cut, plan
from vlm2vec_rag.encoder.embeddinggemma2.prompts import IMAGE_TOKEN, VIDEO_TOKEN
from vlm2vec_rag.encoder.patches import Patches, Plan
from vlm2vec_rag.encoder.runner import Batch, Prepared, Runner
from vlm2vec_rag.errors import EmptyInput, InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

MAX_TOKENS = 8192
FRAMES_AT_ONCE = 16  # of the vision tower: attention is over the patches of one frame, so memory follows their number


class EmbeddingGemma2Runner(Runner):
    """Runs EmbeddingGemma 2's text encoder and vision tower."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: Mapping[str, Any],
        *,
        image_budget: int,
        frame_budget: int,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: Of the checkpoint; it puts begin and end around a text.
            config: The checkpoint's config.json, which numbers the tokens of pixels.
            image_budget: Soft tokens of an image.
            frame_budget: Soft tokens of a frame.
            max_tokens: Where text is cut.

        Raises:
            InvalidInput: The vocabulary has no image token.
        """
        tokenizer.add_special_tokens({"additional_special_tokens": [VIDEO_TOKEN]})  # as the model's processor does
        ids = tokenizer.convert_tokens_to_ids([IMAGE_TOKEN, VIDEO_TOKEN])
        if ids[0] != config["image_token_id"]:
            raise InvalidInput(f"the tokenizer has no {IMAGE_TOKEN}; it is not one of an EmbeddingGemma 2 checkpoint")
        self.image_id, self.video_id = int(ids[0]), int(ids[1])
        self.image_budget, self.frame_budget, self.max_tokens = image_budget, frame_budget, max_tokens
        self._begin, self._end = int(config["boi_token_id"]), int(config["eoi_token_id"])
        self._tokenizer, self._sees = tokenizer, bool(config.get("vision_config"))
        self.pad_id = int(config["text_config"]["pad_token_id"])

    def prepare(self, prompt: str, visual: Visual) -> Prepared:
        """See `Runner.prepare`; one image token stands for each image, one video token for a clip."""
        if visual is not None and not self._sees:
            raise InvalidInput("this checkpoint has no vision tower and reads text only; load one that has it")
        is_video = isinstance(visual, Sequence) and not isinstance(visual, Images)
        images = visual if isinstance(visual, Images) else [] if visual is None or is_video else [visual]
        plans = [plan(visual, self.frame_budget)] if is_video and visual is not None else []
        plans += [plan(image, self.image_budget) for image in images]
        ids: list[int] = self._tokenizer.encode(prompt)
        if not prompt or not ids:
            raise EmptyInput("a prompt without a token cannot be encoded; drop empty texts before encoding")
        visual_id = self.video_id if is_video else self.image_id
        found = [each for each in ids if each in (self.image_id, self.video_id)]
        if found != [visual_id] * len(plans):
            needed = f"one {VIDEO_TOKEN}" if is_video else f"{len(plans)} {IMAGE_TOKEN}"
            raise InvalidInput(
                f"the prompt {prompt[:80]!r} holds {len(found)} visual tokens; with what it shows it needs {needed}"
            )
        waiting = iter(plans)
        spread = [[each] if each not in found else self._blocks(next(waiting), each) for each in ids]
        return Prepared(ids=tuple(self._cut_text(spread, found)), visual=visual, plans=tuple(plans))

    def cut(self, prepared: Prepared) -> list[Patches]:
        """See `Runner.cut`."""
        visual, plans = prepared.visual, prepared.plans
        if visual is None:
            return []
        shown = visual if isinstance(visual, Images) else [visual]
        return [cut(each, cut_plan) for each, cut_plan in zip(shown, plans, strict=True)]

    def positions(self, ids: Sequence[int], grids: Sequence[tuple[int, int, int]]) -> torch.Tensor:
        """(T,): plain, also over pixels."""
        return torch.arange(len(ids))

    def is_visual(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Runner.is_visual`."""
        return (ids == self.image_id) | (ids == self.video_id)

    def visual_states(self, model: Any, batch: Batch) -> torch.Tensor | None:
        """See `Runner.visual_states`; S is the text encoder's width."""
        if batch.patches is None or batch.grids is None:
            return None
        states: list[torch.Tensor] = []
        at = 0
        for frames, rows, columns in batch.grids.tolist():
            count = rows * columns
            places = _places(rows, columns).to(batch.patches.device)
            for first in range(0, frames, FRAMES_AT_ONCE):
                some = min(FRAMES_AT_ONCE, frames - first)
                patches = batch.patches[at : at + some * count].view(some, count, -1)
                seen = model.vision_tower(pixel_values=patches, pixel_position_ids=places.expand(some, count, 2))
                states.append(model.embed_vision(inputs_embeds=seen.last_hidden_state))
                at += some * count
        return torch.cat(states)

    def pooled(self, model: Any, batch: Batch, visual: torch.Tensor | None) -> torch.Tensor:
        """The mean of all real tokens' projected states, see `Runner.pooled`."""
        text = model.language_model
        embeddings = text.embed_tokens(batch.ids.masked_fill(batch.is_visual, self.pad_id))  # (B, T, width)
        if visual is not None:
            embeddings = embeddings.masked_scatter(batch.is_visual.unsqueeze(-1), visual.to(embeddings.dtype))
        is_real = torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.lengths.unsqueeze(1)
        states = text(inputs_embeds=embeddings, attention_mask=is_real.long(), position_ids=batch.positions)
        summed = (states.last_hidden_state.float() * is_real.unsqueeze(-1)).sum(1)
        mean: torch.Tensor = summed / batch.lengths.unsqueeze(1)
        return mean

    def _blocks(self, visual: Plan, visual_id: int) -> list[int]:
        """The tokens of an image, or of every frame of a clip, between begin and end."""
        frames = visual.grid[0]
        return [self._begin, *[visual_id] * (visual.tokens // frames), self._end] * frames

    def _cut_text(self, spread: list[list[int]], found: list[int]) -> list[int]:
        """All tokens, or as many as are read: text goes from its end, pixels and the end token stay.

        Raises:
            InvalidInput: The pixels alone are more.
        """
        over = sum(map(len, spread)) - self.max_tokens
        if over <= 0:
            return [each for block in spread for each in block]
        kept = list(spread)
        at = len(kept) - 2  # the end token stands last
        while over > 0 and at > 0:
            if len(kept[at]) == 1:
                del kept[at]
                over -= 1
            at -= 1
        if over > 0:
            raise InvalidInput(
                f"an input shows more than the {self.max_tokens} tokens that are read; "
                "give fewer images or frames, or load the encoder with a smaller max_pixels"
            )
        logger.warning("an input is cut to %d tokens, all the model reads", self.max_tokens)
        return [each for block in kept for each in block]


def _places(rows: int, columns: int) -> torch.Tensor:
    """(rows * columns, 2): column and row of each patch."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([column, row], dim=-1).reshape(rows * columns, 2)
