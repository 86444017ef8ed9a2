"""The forward pass of VLM2Vec-V2: token ids and patches to one state per input.

Three things keep the vectors equal to the public code's on today's transformers: positions are plain 0..n-1 on all
three axes (the prompts hold no `<|vision_start|>`, so the model was trained that way), the state is the last real
token's after the final norm, and padding stands to the right, behind the causal mask, where nothing can see it.
No logits are computed and no layer's states are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from vlm2vec_rag.encoder.base import Images, Visual
from vlm2vec_rag.encoder.patches import Patches, PatchSettings
from vlm2vec_rag.encoder.qwen2vl.patches import cut, plan
from vlm2vec_rag.encoder.qwen2vl.tokens import PromptTokens
from vlm2vec_rag.encoder.runner import Batch, Prepared, Runner, last_token
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from transformers import Qwen2VLModel


class Qwen2VLRunner(Runner):
    """Runs Qwen2-VL on bare prompts."""

    def __init__(self, tokens: PromptTokens, settings: PatchSettings, max_pixels: int) -> None:
        self.tokens, self.settings, self.max_pixels = tokens, settings, max_pixels
        self.pad_id = tokens.pad_id
        self._visual_ids = torch.tensor([tokens.image_id, tokens.video_id])

    def prepare(self, prompt: str, visual: Visual) -> Prepared:
        """See `Runner.prepare`."""
        if isinstance(visual, Images):
            raise InvalidInput(f"{len(visual)} images were given for one input; this model takes one image or one clip")
        if visual is None:
            return Prepared(ids=tuple(self.tokens.ids(prompt, is_video=False, visual_tokens=0)))
        chosen = plan(visual, self.max_pixels, self.settings)
        ids = self.tokens.ids(prompt, is_video=isinstance(visual, Sequence), visual_tokens=chosen.tokens)
        return Prepared(ids=tuple(ids), visual=visual, plans=(chosen,))

    def cut(self, prepared: Prepared) -> list[Patches]:
        """See `Runner.cut`."""
        visual = prepared.visual
        return [] if visual is None else [cut(visual, prepared.plans[0], self.settings)]

    def positions(self, ids: Sequence[int], grids: Sequence[tuple[int, int, int]]) -> torch.Tensor:
        """(T,): plain, also over pixels."""
        return torch.arange(len(ids))

    def is_visual(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Runner.is_visual`."""
        return torch.isin(ids, self._visual_ids)

    def visual_states(self, model: Qwen2VLModel, batch: Batch) -> torch.Tensor | None:
        """See `Runner.visual_states`; S is D."""
        if batch.patches is None:
            return None
        dtype = model.visual.patch_embed.proj.weight.dtype
        states: torch.Tensor = model.visual(batch.patches.to(dtype), grid_thw=batch.grids).pooler_output
        return states

    def pooled(self, model: Qwen2VLModel, batch: Batch, visual: torch.Tensor | None) -> torch.Tensor:
        """The last real token's state, see `Runner.pooled`.

        Source: `MMEBModel.encode_input` and `_pooling`, src/model/model.py:99-122 at 6e1e1d4.
        """
        embeddings = model.language_model.embed_tokens(batch.ids)  # (B, T, D)
        if visual is not None:
            embeddings = embeddings.masked_scatter(batch.is_visual.unsqueeze(-1), visual.to(embeddings.dtype))
        positions = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand(batch.ids.shape)
        states = model.language_model(
            inputs_embeds=embeddings, position_ids=positions, attention_mask=None, use_cache=False
        ).last_hidden_state  # (B, T, D)
        return last_token(states, batch.lengths)
