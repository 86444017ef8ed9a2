"""Checks of a server that embeds: are the vectors that it gives those that the model gives here?

It speaks OpenAI's `/v1/embeddings`. Our own `serve` is asked for the side of a question and that of an item, for others
`input` is something to be found. Images go as vLLM's `messages`; a server that takes none is compared by texts alone.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm2vec_rag.collection.addresses import check_key_is_safe, without_credentials
from vlm2vec_rag.doctor.check import Check, within
from vlm2vec_rag.doctor.golden import QUERIES, TOLERANCE, apart, golden_image
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.encoder.base import Encoder, Vectors

OURS = "vlm2vec-rag"
TIMEOUT_S = 120.0  # a model that is loaded by the first question
TEXTS = ("The label's angle of rotation is measured in degrees.", "Revenue grew by nine percent in the second quarter.")


def check_encoder_server(url: str, encoder: Encoder, *, token: str | None = None) -> Iterator[Check]:
    """Ask a server for vectors and compare them with the local ones.

    Args:
        url: Its address, with or without `/v1` at the end.
        encoder: The model that it should run.
        token: Sent as a bearer token, over https or to this machine only.

    Raises:
        InvalidInput: The address is none, or the token would travel unencrypted.
    """
    import httpx

    shown = without_credentials(url)
    check_key_is_safe(shown, token, variable="VLM2VEC_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    base = url.rstrip("/").removesuffix("/v1") + "/v1"
    name = "encoder server"
    with httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_S) as client:
        try:
            models = _answer(client.get("/models"))["data"]
            model, is_ours = str(models[0]["id"]), models[0].get("owned_by") == OURS
        except (httpx.HTTPError, InvalidInput, KeyError, IndexError, TypeError, ValueError) as error:
            yield Check(
                name=name,
                state="fault",
                got=f"{shown}: {str(error) or type(error).__name__}",
                expected="a server with /v1/models and /v1/embeddings",
                next_step="check the address; a token goes into VLM2VEC_TOKEN",
            )
            return
        yield Check(name=name, got=f"{shown} serves {model}" + (", by vlm2vec-rag" if is_ours else ""))
        suffix = ":document" if is_ours else ""
        same = functools.partial(_compared, client=client, encoder=encoder)
        yield same("texts", encoder.encode_items(TEXTS), model=model + suffix, asked={"input": list(TEXTS)})
        if is_ours:
            questions = encoder.encode_queries(QUERIES)
            yield same("questions", questions, model=f"{model}:query", asked={"input": list(QUERIES)})
        image = golden_image()
        content = [{"type": "image_url", "image_url": {"url": _data_uri(image)}}]
        asked = {"messages": [{"role": "user", "content": content}]}
        yield same("an image", encoder.encode_items([Image(image=image)]), model=model + suffix, asked=asked)


def _compared(what: str, mine: Vectors, *, client: Any, encoder: Encoder, model: str, asked: dict[str, Any]) -> Check:
    """Ask for the vectors of some inputs and compare them with those of this machine."""
    import httpx

    name = f"server's vectors of {what}"
    tolerance = max(TOLERANCE.values())  # the server may run in a coarser format than this machine
    try:
        answer = _answer(client.post("/embeddings", json={"model": model, "encoding_format": "float", **asked}))
        rows = sorted(answer["data"], key=lambda each: each["index"])
        theirs = np.asarray([each["embedding"] for each in rows], dtype=np.float32)
    except (httpx.HTTPError, InvalidInput, KeyError, TypeError, ValueError) as error:
        return Check(
            name=name,
            state="fault" if "input" in asked else "warning",
            got=str(error) or type(error).__name__,
            expected=f"vectors of {encoder.fingerprint.model}",
            next_step="look at the server's log" if "input" in asked else "this server is compared by texts alone",
        )
    if theirs.shape != mine.shape:
        return Check(
            name=name,
            state="fault",
            got=f"{theirs.shape} numbers",
            expected=f"{mine.shape}, as {encoder.fingerprint.model} gives",
            next_step="the server runs another model, or cuts its vectors; name its model with --model",
        )
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    distance = apart(mine, theirs / np.maximum(lengths, 1e-12))
    got = f"{distance:.1g} from those of {encoder.fingerprint.model} here (1 - cosine)"
    return within(
        name,
        distance,
        tolerance,
        got=got,
        next_step="it runs another model, adapter or prompt: index and search with one of the two",
    )


def _answer(response: Any) -> Any:
    """What a server answered.

    Raises:
        InvalidInput: It refused, with its reason.
    """
    if response.is_success:
        return response.json()
    said = " ".join(response.text.split())[:200]
    raise InvalidInput(f"HTTP {response.status_code} from {response.request.url.path}: {said}")


def _data_uri(image: PILImage) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
