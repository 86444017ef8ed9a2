"""Any LangChain chat model behind our interface: page images and clip frames go as standard content blocks."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.chat.messages import Message, Part, TextPart

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.messages.content import ContentBlock


class LangChainChat:
    """A LangChain chat model that answers.

    Args:
        model: Any `BaseChatModel`.
        name: As people know it; None takes what the model itself says.
    """

    def __init__(self, model: BaseChatModel, name: str | None = None) -> None:
        self._model = model
        said = next((str(getattr(model, each)) for each in ("model_name", "model") if getattr(model, each, None)), "")
        self.name = name or said or type(model).__name__

    @property
    def sees_images(self) -> bool:
        """What the model's profile says; without one, images are sent."""
        profile: dict[str, Any] = getattr(self._model, "profile", None) or {}
        return bool(profile.get("image_inputs", True))

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """See `ChatModel.stream`."""
        for chunk in self._model.stream([to_langchain(message) for message in messages]):
            yield str(chunk.text)


def to_langchain(message: Message) -> BaseMessage:
    """A message as LangChain has it; text alone stays a plain string, which every provider takes."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    roles: dict[str, Any] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    if all(isinstance(part, TextPart) for part in message.parts):
        words: BaseMessage = roles[message.role](message.text)
        return words
    with_images: BaseMessage = roles[message.role](content_blocks=[content_block(part) for part in message.parts])
    return with_images


def content_block(part: Part) -> ContentBlock:
    """A part of a message as LangChain's standard content block; an image as a base64 JPEG."""
    from langchain_core.messages.content import create_image_block, create_text_block

    if isinstance(part, TextPart):
        return create_text_block(part.text)
    return create_image_block(base64=base64.b64encode(part.jpeg()).decode(), mime_type="image/jpeg")
