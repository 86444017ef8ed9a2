"""What goes to a chat model and how it answers: messages of text and images in, pieces of text out.

The one interface that every chat model is put behind, whether it runs here, in LangChain or in LlamaIndex.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Role: TypeAlias = Literal["system", "user", "assistant"]

JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a message, already within the pixel budget."""

    image: PILImage

    def jpeg(self) -> bytes:
        """The image as a JPEG file, the form in which every provider takes it."""
        buffer = io.BytesIO()
        self.image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation as a model reads it."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message of text alone."""
        return cls(role, (TextPart(text),))

    @property
    def text(self) -> str:
        """All text of the message, without its images."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers. May raise whatever it likes: `Chat` turns that into a `ChatError`."""

    @property
    def name(self) -> str:
        """As people know it: `openai:gpt-4o`, `local Qwen2-VL-2B-Instruct`."""

    @property
    def sees_images(self) -> bool:
        """Whether messages may hold images."""

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """Answer a conversation, piece by piece. Closing the iterator ends the answer."""
