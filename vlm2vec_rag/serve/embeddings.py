"""Embeddings in the shapes of existing clients: OpenAI's `/v1/embeddings` with vLLM's `messages`, Cohere's `/v2/embed`.

Needs an encoder and no collection. Nothing is fetched: images come as data: URIs. OpenAI's shape does not say whether
a text is a question or something to be found, which this model's vectors depend on; `input_type` says it, or the end of
the model's name, `nano:query`. Without either a text is taken for something to be found.
Sources of the shapes: OpenAI's API reference; vllm/entrypoints/pooling/base/protocol.py at 020638a; Cohere v2 embed.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import Image, Item, Query, Text
from vlm2vec_rag.serve.inline_images import read_image

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Vectors
    from vlm2vec_rag.media import MediaReader

MOST_INPUTS = 2048  # of a request, as OpenAI takes
MOST_CHARS = 200_000  # of a text

Side = Literal["query", "document"]
_SIDES: dict[str, Side] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "classification": "document",
    "clustering": "document",
    "image": "document",
}


class ImageUrl(BaseModel):
    """An image as a data: URI."""

    url: str


class Part(BaseModel):
    """A piece of a message: words or an image."""

    model_config = ConfigDict(extra="ignore")

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None


class MessageIn(BaseModel):
    """A message of vLLM's chat form."""

    role: str
    content: str | list[Part] = ""


class EmbeddingRequest(BaseModel):
    """What OpenAI's clients send; vLLM's `messages` in place of `input` for images."""

    model_config = ConfigDict(extra="ignore")

    input: str | list[str] | list[int] | list[list[int]] | None = None
    messages: list[MessageIn] | None = None
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)
    input_type: str | None = None
    user: str | None = None


class CohereContent(BaseModel):
    """An input of words and images together."""

    content: list[Part]


class EmbedRequest(BaseModel):
    """What Cohere's clients send."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    input_type: str
    texts: list[str] | None = None
    images: list[str] | None = None
    inputs: list[CohereContent] | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = Field(None, ge=1)


def embedding_routes(encoder_of: Callable[[str], Encoder], reader: MediaReader) -> APIRouter:
    """`/v1/embeddings`, `/v1/models` and `/v2/embed`.

    Args:
        encoder_of: The encoder for a model's name; an empty name takes the default one. Raises for a name it does not
            know.
        reader: Opens the images that are sent, in its own process.
    """
    router = APIRouter(tags=["embeddings"])

    def openai(asked: Annotated[EmbeddingRequest, Body()]) -> Response:
        """One vector for each text, or one for a message of words and images."""
        name, side = _side(asked.model, asked.input_type)
        encoder = encoder_of(name)
        _check_dimensions(asked.dimensions, encoder)
        if asked.messages is not None:
            vectors = _of_message(asked.messages, encoder, side, reader)
        else:
            vectors = _of_texts(_texts(asked.input), encoder, side)
        data = [
            {"object": "embedding", "index": index, "embedding": _written(vector, asked.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        answer = {
            "id": f"embd-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": encoder.fingerprint.model,
            "data": data,
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
        }
        return JSONResponse(answer, headers={"X-Fingerprint": encoder.fingerprint.digest})

    def models() -> dict[str, Any]:
        """The model whose vectors are given."""
        encoder = encoder_of("")
        model = {"id": encoder.fingerprint.model, "object": "model", "created": 0, "owned_by": "vlm2vec-rag"}
        return {"object": "list", "data": [model]}

    def cohere(asked: Annotated[EmbedRequest, Body()]) -> Response:
        """One vector for each text, image, or input of both."""
        name, side = _side(asked.model, asked.input_type)
        encoder = encoder_of(name)
        _check_dimensions(asked.output_dimension, encoder)
        kinds = asked.embedding_types or ["float"]
        if unknown := sorted(set(kinds) - {"float", "base64"}):
            raise InvalidInput(f"embedding_types holds {', '.join(unknown)}; expected float or base64")
        vectors = _of_items(_cohere_items(asked, reader), encoder, side)
        written: dict[str, list[Any]] = {
            kind: [_written(vector, "base64" if kind == "base64" else "float") for vector in vectors] for kind in kinds
        }
        answer = {
            "id": str(uuid.uuid4()),
            "embeddings": written,
            "texts": asked.texts or [],
            "images": [],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 0}},
            "response_type": "embeddings_by_type",
        }
        return JSONResponse(answer, headers={"X-Fingerprint": encoder.fingerprint.digest})

    router.add_api_route("/v1/embeddings", openai, methods=["POST"], response_class=Response)
    router.add_api_route("/v1/models", models, methods=["GET"])
    router.add_api_route("/v2/embed", cohere, methods=["POST"], response_class=Response)
    return router


def _side(model: str, input_type: str | None) -> tuple[str, Side]:
    """The model's name without its ending, and the side that the inputs are on."""
    name, colon, ending = model.rpartition(":")
    if colon and ending in _SIDES:
        model = name
        input_type = input_type or ending
    if input_type is None:
        return model, "document"
    if input_type not in _SIDES:
        raise InvalidInput(f"input_type is {input_type!r}; expected query or document")
    return model, _SIDES[input_type]


def _check_dimensions(dimensions: int | None, encoder: Encoder) -> None:
    if dimensions is not None and dimensions != encoder.dim:
        raise InvalidInput(
            f"dimensions is {dimensions}; {encoder.fingerprint.model} gives {encoder.dim} and cannot be shortened"
        )


def _texts(given: str | Sequence[Any] | None) -> list[str]:
    """The texts of an OpenAI request.

    Raises:
        InvalidInput: There are token ids in it, which are another model's.
        EmptyInput: There is nothing in it.
    """
    texts = [given] if isinstance(given, str) else list(given or ())
    if not texts:
        raise EmptyInput("input is empty; send a text, a list of texts, or messages")
    if any(not isinstance(each, str) for each in texts):
        raise InvalidInput(
            "input holds token ids, which belong to another model's tokenizer; send texts "
            "(with langchain-openai: OpenAIEmbeddings(check_embedding_ctx_length=False))"
        )
    if len(texts) > MOST_INPUTS:
        raise InvalidInput(f"input holds {len(texts)} texts; send at most {MOST_INPUTS} at once")
    if any(len(each) > MOST_CHARS for each in texts):
        raise InvalidInput(f"a text has over {MOST_CHARS} characters; cut it into passages")
    return texts


def _of_texts(texts: list[str], encoder: Encoder, side: Side) -> Vectors:
    return encoder.encode_queries(texts) if side == "query" else encoder.encode_items(texts)


def _of_message(messages: list[MessageIn], encoder: Encoder, side: Side, reader: MediaReader) -> Vectors:
    """One vector for a conversation of vLLM's form: the system's words are the instruction, the user's the input."""
    instruction: str | None = None
    words: list[str] = []
    images: list[Any] = []
    for message in messages:
        content = message.content
        parts = [Part(type="text", text=content)] if isinstance(content, str) else content
        texts, shown = _pieces(parts, reader)
        if message.role == "system":
            instruction = " ".join(texts).strip() or None
        elif message.role == "user":
            words += texts
            images += shown
    if len(images) > 1:
        raise InvalidInput(f"the message shows {len(images)} images; the model takes one at a time")
    text, image = " ".join(words).strip(), images[0] if images else None
    if side == "query" or instruction is not None:
        return encoder.encode_queries([Query(text=text, image=image, instruction=instruction)])
    return encoder.encode_items([_item(text, image)], with_text=image is not None)


def _cohere_items(asked: EmbedRequest, reader: MediaReader) -> list[tuple[str, Any]]:
    """Words and image of each input of a Cohere request."""
    given = [each for each in (asked.texts, asked.images, asked.inputs) if each is not None]
    if len(given) != 1:
        raise InvalidInput("expected one of texts, images and inputs")
    if not given[0]:
        raise EmptyInput("there is nothing to embed; send texts, images or inputs")
    if len(given[0]) > MOST_INPUTS:
        raise InvalidInput(f"there are {len(given[0])} inputs; send at most {MOST_INPUTS} at once")
    if asked.texts is not None:
        return [(text, None) for text in _texts(asked.texts)]
    if asked.images is not None:
        return [("", read_image(each, reader)) for each in asked.images]
    found = []
    for each in asked.inputs or ():
        texts, images = _pieces(each.content, reader)
        if len(images) > 1:
            raise InvalidInput(f"an input shows {len(images)} images; the model takes one at a time")
        found.append((" ".join(texts).strip(), images[0] if images else None))
    return found


def _of_items(pairs: list[tuple[str, Any]], encoder: Encoder, side: Side) -> Vectors:
    if side == "query":
        return encoder.encode_queries([Query(text=text, image=image) for text, image in pairs])
    return encoder.encode_items([_item(text, image) for text, image in pairs], with_text=True)


def _item(text: str, image: Any) -> Item:
    return Text(text=text) if image is None else Image(image=image, text=text)


def _pieces(parts: Sequence[Part], reader: MediaReader) -> tuple[list[str], list[Any]]:
    texts: list[str] = []
    images: list[Any] = []
    for part in parts:
        if part.type == "text":
            texts.append(part.text or "")
        elif part.type == "image_url" and part.image_url is not None:
            address = part.image_url if isinstance(part.image_url, str) else part.image_url.url
            images.append(read_image(address, reader))
        else:
            raise InvalidInput(f"a part is of type {part.type!r}; expected text or image_url")
    return texts, images


def _written(vector: Any, encoding_format: str) -> Any:
    """A vector as JSON numbers, or its little-endian float32 bytes in base64."""
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(each) for each in vector]
