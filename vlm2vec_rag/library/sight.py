"""What a model can see, checked before anything rests on it: a model that reads print takes a cat for a cup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Sight


def check_sight(encoder: Encoder | None, sight: Sight, doing: str) -> None:
    """Refuse what rests on seeing where the model does not see it.

    Args:
        encoder: The model; None knows words only.
        sight: What has to be seen: print, photographs or video.
        doing: What was asked for, as the subject of a sentence.

    Raises:
        InvalidInput: The model does not see it; the message names models that do.
    """
    if encoder is not None and sight in encoder.sees:
        return
    from vlm2vec_rag.encoder.names import DEFAULT_MODEL

    has = "searches by words only" if encoder is None else f"is {encoder.fingerprint.model}, which sees no {sight}"
    raise InvalidInput(
        f"{doing} needs a model that sees {sight}, and this one {has}; open it with one that does, such as "
        f"--model {DEFAULT_MODEL} (an existing collection is converted by: vlm2vec-rag reindex --model {DEFAULT_MODEL})"
    )
