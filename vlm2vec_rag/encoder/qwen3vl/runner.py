"""The forward pass of Qwen3-VL-Embedding: chat prompts with 3-D positions, the last token's state.

The vision tower gives a state for each visual token, and further ones of earlier layers (DeepStack) that the first
layers of the language model add to it; here they are the columns of one matrix, S = (1 + layers) * D.
Padding stands to the right, behind the causal mask, where nothing can see it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from vlm2vec_rag.encoder.base import Frames, Images, Visual
from vlm2vec_rag.encoder.patches import Patches, PatchSettings, Plan
from vlm2vec_rag.encoder.qwen3vl.patches import cut_image, cut_video, image_plan, video_plan
from vlm2vec_rag.encoder.qwen3vl.prompts import VIDEO
from vlm2vec_rag.encoder.runner import Batch, Prepared, Runner, last_token
from vlm2vec_rag.errors import EmptyInput, InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

MAX_TOKENS = 8192  # where the reference cuts
FRAMES_PER_SECOND = 2.0  # of a list of frames without times, as the reference assumes


class Qwen3VLRunner(Runner):
    """Runs Qwen3-VL on chats."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        settings: PatchSettings,
        max_pixels: int,
        *,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: With Qwen's special tokens.
            settings: The vision tower's constants.
            max_pixels: Budget of one image or frame.
            max_tokens: Where an input is cut.

        Raises:
            InvalidInput: The vocabulary has no visual tokens.
        """
        self.settings, self.max_pixels, self.max_tokens = settings, max_pixels, max_tokens
        self._tokenizer = tokenizer
        ids = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
        if None in ids or tokenizer.unk_token_id in ids:
            raise InvalidInput("the tokenizer has no <|image_pad|> or <|video_pad|>; it is not one of a Qwen3-VL")
        self.image_id, self.video_id = int(ids[0]), int(ids[1])
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ids[0])

    def prepare(self, prompt: str, visual: Visual) -> Prepared:
        """See `Runner.prepare`; one visual token stands for each image, one video token for a clip."""
        plans = self._plans(visual)
        is_video = isinstance(visual, Sequence) and not isinstance(visual, Images)
        shown = prompt
        if is_video and plans:
            shown = prompt.replace(VIDEO, _timed(visual, plans[0]), 1)
        ids: list[int] = self._tokenizer.encode(shown, add_special_tokens=False)
        if not ids:
            raise EmptyInput("a prompt without a token cannot be encoded; drop empty texts before encoding")
        visual_id = self.video_id if is_video else self.image_id
        counts = _counts(plans, is_video)
        found = [each for each in ids if each in (self.image_id, self.video_id)]
        if found != [visual_id] * len(counts):
            needed = f"one {VIDEO}" if is_video else f"{len(plans)} <|image_pad|>"
            raise InvalidInput(
                f"the prompt {prompt[:80]!r} holds {len(found)} visual tokens; with what it shows it needs {needed}"
            )
        waiting = iter(counts)
        whole = [each for id_ in ids for each in ([id_] * next(waiting) if id_ == visual_id and counts else [id_])]
        return Prepared(ids=tuple(self._cut_text(whole)), visual=visual, plans=plans)

    def cut(self, prepared: Prepared) -> list[Patches]:
        """See `Runner.cut`."""
        visual, plans = prepared.visual, prepared.plans
        if visual is None:
            return []
        if isinstance(visual, Sequence) and not isinstance(visual, Images):
            return [cut_video(visual, plans[0], self.settings)]
        images = visual if isinstance(visual, Images) else [visual]
        return [cut_image(image, plan, self.settings) for image, plan in zip(images, plans, strict=True)]

    def positions(self, ids: Sequence[int], grids: Sequence[tuple[int, int, int]]) -> torch.Tensor:
        """(3, T): text counts on along all three axes, a block of pixels along its rows and columns.

        Each step of a video is a block of its own: its time stands in the text before it.
        Source: `get_rope_index` of transformers 5.24, modeling_qwen3_vl.py.
        """
        merge = self.settings.merge
        blocks = [(rows // merge, columns // merge) for steps, rows, columns in grids for _ in range(steps)]
        places = torch.zeros((3, len(ids)), dtype=torch.int64)
        at = counted = 0
        for rows, columns in blocks:
            start = next(i for i in range(at, len(ids)) if ids[i] in (self.image_id, self.video_id))
            places[:, at:start] = counted + torch.arange(start - at)
            counted += start - at
            end = start + rows * columns
            places[0, start:end] = counted
            places[1, start:end] = counted + torch.arange(rows).repeat_interleave(columns)
            places[2, start:end] = counted + torch.arange(columns).repeat(rows)
            counted += max(rows, columns)
            at = end
        places[:, at:] = counted + torch.arange(len(ids) - at)
        return places

    def is_visual(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Runner.is_visual`."""
        return (ids == self.image_id) | (ids == self.video_id)

    def visual_states(self, model: Any, batch: Batch) -> torch.Tensor | None:
        """See `Runner.visual_states`."""
        if batch.patches is None:
            return None
        seen = model.visual(batch.patches.to(model.visual.patch_embed.proj.weight.dtype), grid_thw=batch.grids)
        return torch.cat([seen.pooler_output, *seen.deepstack_features], dim=1)

    def pooled(self, model: Any, batch: Batch, visual: torch.Tensor | None) -> torch.Tensor:
        """The last real token's state, see `Runner.pooled`."""
        embeddings = model.language_model.embed_tokens(batch.ids)  # (B, T, D)
        deepstack: dict[str, Any] = {}
        if visual is not None:
            first, *deeper = torch.split(visual.to(embeddings.dtype), embeddings.shape[-1], dim=1)
            embeddings = embeddings.masked_scatter(batch.is_visual.unsqueeze(-1), first)
            deepstack = {"visual_pos_masks": batch.is_visual, "deepstack_visual_embeds": deeper}
        states = model.language_model(
            inputs_embeds=embeddings, position_ids=batch.positions, attention_mask=None, use_cache=False, **deepstack
        ).last_hidden_state  # (B, T, D)
        return last_token(states, batch.lengths)

    def _plans(self, visual: Visual) -> tuple[Plan, ...]:
        if visual is None:
            return ()
        if isinstance(visual, Images):
            return tuple(image_plan(image, self.max_pixels, self.settings) for image in visual)
        if isinstance(visual, Sequence):
            return (video_plan(visual, self.max_pixels, self.settings),)
        return (image_plan(visual, self.max_pixels, self.settings),)

    def _cut_text(self, ids: list[int]) -> list[int]:
        """The first tokens, as many as are read; pixels come first and are never cut.

        Raises:
            InvalidInput: The pixels alone are more.
        """
        if len(ids) <= self.max_tokens:
            return ids
        if any(each in (self.image_id, self.video_id) for each in ids[self.max_tokens :]):
            raise InvalidInput(
                f"an input shows more than the {self.max_tokens} tokens that are read; "
                "give fewer images or load the encoder with a smaller max_pixels"
            )
        logger.warning("an input of %d tokens is cut to %d, all the model reads", len(ids), self.max_tokens)
        return ids[: self.max_tokens]


def _timed(frames: Any, plan: Plan) -> str:
    """The text of a clip: for every step its time, the mean of its two frames', and its block."""
    times = (
        list(frames.times_s) if isinstance(frames, Frames) else [at / FRAMES_PER_SECOND for at in range(len(frames))]
    )
    if len(times) % 2:
        # the reference repeats a list's last frame, which gets a time of its own, and a file's last index with it
        times.append(times[-1] if isinstance(frames, Frames) else len(times) / FRAMES_PER_SECOND)
    steps = [(times[2 * step] + times[2 * step + 1]) / 2 for step in range(plan.grid[0])]
    return "".join(f"<{time_s:.1f} seconds><|vision_start|>{VIDEO}<|vision_end|>" for time_s in steps)


def _counts(plans: Sequence[Plan], is_video: bool) -> list[int]:
    """How many tokens each visual token stands for: an image's, or those of one step of a clip."""
    if is_video and plans:
        steps = plans[0].grid[0]
        return [plans[0].tokens // steps] * steps
    return [plan.tokens for plan in plans]
