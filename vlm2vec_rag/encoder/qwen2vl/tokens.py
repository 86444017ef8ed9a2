"""Prompts to token ids, with the visual token repeated once for every token that the pixels will fill."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.qwen2vl.prompts import IMAGE_TOKEN, VIDEO_TOKEN
from vlm2vec_rag.errors import EmptyInput, InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class PromptTokens:
    """A checkpoint's tokenizer, and the rule that one visual token stands for all of a visual's tokens.

    No start, end or chat token is added: the model was trained on bare prompts.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: With Qwen2-VL's special tokens.
            max_tokens: Where text without pixels is cut; pixels are never cut.

        Raises:
            InvalidInput: The vocabulary has no visual tokens.
        """
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        ids = tokenizer.convert_tokens_to_ids([IMAGE_TOKEN, VIDEO_TOKEN])
        if None in ids or tokenizer.unk_token_id in ids:
            raise InvalidInput(
                f"the tokenizer has no {IMAGE_TOKEN} or {VIDEO_TOKEN}; it is not one of a Qwen2-VL checkpoint"
            )
        self.image_id, self.video_id = int(ids[0]), int(ids[1])
        # right-padding lies behind the causal mask, so any id will do
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ids[0])

    def ids(self, prompt: str, *, is_video: bool, visual_tokens: int) -> list[int]:
        """Token ids of one prompt.

        Args:
            prompt: As the model reads it.
            is_video: Whether the visual is a list of frames.
            visual_tokens: How many tokens its pixels fill; 0 for a prompt without a visual.

        Returns:
            The ids; exactly `visual_tokens` of them are visual.

        Raises:
            EmptyInput: There is nothing to read.
            InvalidInput: The prompt does not hold exactly one visual token of the right sort for its visual.
        """
        ids: list[int] = self._tokenizer.encode(prompt, add_special_tokens=False)
        if not ids:
            raise EmptyInput("a prompt without a token cannot be encoded; drop empty texts before encoding")
        found = [index for index, each in enumerate(ids) if each in (self.image_id, self.video_id)]
        wanted = [self.video_id if is_video else self.image_id] if visual_tokens else []
        if [ids[index] for index in found] != wanted:
            shown = f"one {VIDEO_TOKEN if is_video else IMAGE_TOKEN}" if wanted else "no visual token"
            raise InvalidInput(
                f"the prompt {prompt[:80]!r} holds {len(found)} visual tokens; with what it shows it needs {shown}"
            )
        if not found:
            if len(ids) > self._max_tokens:
                logger.warning("a text of %d tokens is cut to %d, all the model reads", len(ids), self._max_tokens)
            return ids[: self._max_tokens]
        at = found[0]
        return ids[:at] + [ids[at]] * visual_tokens + ids[at + 1 :]
