"""Any LlamaIndex LLM behind our interface: page images and clip frames go as its own image blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.chat.messages import Message, Part, TextPart

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.llms import LLM


class LlamaIndexChat:
    """A LlamaIndex LLM that answers.

    Args:
        llm: Any `LLM`.
        sees_images: Whether to send images. LlamaIndex does not say of an LLM whether it takes them.
    """

    def __init__(self, llm: LLM, *, sees_images: bool = True) -> None:
        self._llm, self.sees_images = llm, sees_images
        self.name = llm.metadata.model_name

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """See `ChatModel.stream`."""
        for response in self._llm.stream_chat([to_llama_index(message) for message in messages]):
            yield response.delta or ""


def to_llama_index(message: Message) -> ChatMessage:
    """A message as LlamaIndex has it."""
    from llama_index.core.base.llms.types import ChatMessage

    return ChatMessage(role=message.role, blocks=[_block(part) for part in message.parts])


def _block(part: Part) -> Any:
    from llama_index.core.base.llms.types import ImageBlock, TextBlock

    if isinstance(part, TextPart):
        return TextBlock(text=part.text)
    return ImageBlock(image=part.jpeg(), image_mimetype="image/jpeg")
