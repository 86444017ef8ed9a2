"""A chat model of LlamaIndex that answers with its question, and remembers what it was shown."""

from __future__ import annotations

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.mock import MockLLMWithChatMemoryOfLastCall
from PIL import Image


class Seeing(MockLLMWithChatMemoryOfLastCall):
    """LlamaIndex's fake, with room for images."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=200_000, num_output=256, is_chat_model=True)

    @property
    def shown(self) -> list[str]:
        return [block.block_type for message in self.last_chat_messages or () for block in message.blocks]

    @property
    def told(self) -> str:
        return "\n".join(message.content or "" for message in self.last_chat_messages or ())

    def images(self) -> list[Image.Image]:
        blocks = [block for message in self.last_chat_messages or () for block in message.blocks]
        return [Image.open(each.resolve_image()) for each in blocks if each.block_type == "image"]  # type: ignore[union-attr]
