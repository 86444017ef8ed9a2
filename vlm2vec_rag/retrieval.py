"""A question to hits: what was found, where it is, and a way to its pixels."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.errors import EmptyInput, InvalidInput
from vlm2vec_rag.items import Hit, Kind, Query

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL.Image import Image as PILImage
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection, Found
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.thumbnails import Thumbnails

logger = logging.getLogger(__name__)

NOTHING_FOUND = (
    "Nothing in the collection fits this question. Check its spelling, ask with other words, or see what is indexed."
)


class Retriever:
    """Answers questions from one collection. Safe to use from several threads."""

    def __init__(
        self, collection: Collection, encoder: Encoder | None = None, *, thumbnails: Thumbnails | None = None
    ) -> None:
        """Join a collection with the encoder it was built with.

        Args:
            collection: An open collection.
            encoder: None searches by words only.
            thumbnails: Where small images of the items are kept, if anywhere.

        Raises:
            FingerprintMismatch: The encoder is not the one the collection was built with.
        """
        if encoder is not None:
            collection.require(encoder.fingerprint)
        self.collection, self.encoder, self.thumbnails = collection, encoder, thumbnails

    def search(
        self,
        query: Query | str,
        *,
        mode: Mode = "hybrid",
        limit: int = 10,
        filter: Filter | None = None,
    ) -> list[Hit]:
        """Find what answers a question, best first.

        The words of the question are matched with page text, subtitles and captions (`bm25`), its vector with the
        items' own (`dense`); `hybrid` joins both rankings. A question of pixels alone has no word side.

        Args:
            query: A question; a string is always words, never a path or an address.
            mode: hybrid, dense or bm25.
            limit: At most so many hits.
            filter: Which items may be found. Where it lets one kind pass, the question is asked as to that kind.

        Raises:
            EmptyInput: The question has neither words nor pixels, or none that the mode can use.
            InvalidInput: The mode needs an encoder and there is none, or there is no such mode.
        """
        asked = Query(text=query) if isinstance(query, str) else query
        return [self.hit(each, asked.text) for each in self.find(asked, mode=mode, limit=limit, filter=filter)]

    def find(
        self,
        query: Query,
        *,
        vector: ArrayLike | None = None,
        mode: Mode = "hybrid",
        limit: int = 10,
        filter: Filter | models.Filter | None = None,
    ) -> list[Found]:
        """`search`, with the whole payload of each point instead of a hit.

        Args:
            query: The question.
            vector: (D,) the question where it is encoded already.
            mode: As for `search`, as are the others.
            limit: At most so many.
            filter: A `qdrant_client.models.Filter` is taken as it is.
        """
        from vlm2vec_rag.collection.searching import MODES

        if mode not in MODES:
            raise InvalidInput(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
        if query.is_empty and vector is None:
            raise EmptyInput("the question has neither words nor pixels; ask with text, an image or a clip")
        if mode != "bm25" and vector is None and self.encoder is not None:
            vector = self.encoder.encode_queries([query], target=target_of(filter))[0]
        if mode == "dense" and vector is None:
            raise InvalidInput("mode 'dense' needs an encoder; give the Retriever one, or search with mode='bm25'")
        if vector is None:
            mode = "bm25"  # one side alone has nothing to be fused with, and keeps its own scores
        return self.collection.search(vector, query.text or None, mode=mode, limit=limit, filter=filter)

    def hit(self, found: Found, question: str = "") -> Hit:
        """What a collection found for the words of a question, as a hit."""
        payload = found.payload
        return Hit(
            id=payload.document_id or found.id,
            score=found.score,
            kind=payload.kind,
            source=payload.source,
            place=payload.place,
            text=payload.text,
            title=payload.title,
            page=payload.page,
            label=payload.label,
            start_s=payload.start_s,
            end_s=payload.end_s,
            dense_score=found.dense_score,
            bm25_score=found.bm25_score,
            thumbnail=self.thumbnails.find(payload.content_hash) if self.thumbnails else None,
            metadata=payload.metadata,
            question=question,
        )


def images_of(
    hit: Hit, reader: MediaReader, *, max_pixels: int | None = None, frames: int | None = None
) -> tuple[PILImage, ...]:
    """The pixels of a hit, read again from its source: a page, an image, or the frames of a clip.

    Args:
        hit: What a search found.
        reader: Opens the source, in its own process and under its limits.
        max_pixels: Budget of each image; None takes the reader's own.
        frames: How many of a clip; None takes the reader's own.

    Raises:
        MediaError: The source is gone or can no longer be read.
    """
    match hit.kind:
        case "page":
            return (reader.page(hit.source, hit.page or 1, max_pixels=max_pixels).image,)
        case "image":
            return (reader.image(hit.source, max_pixels=max_pixels).image,)
        case "clip":
            start_s, end_s = hit.start_s or 0.0, hit.end_s or 0.0
            return reader.clip(hit.source, start_s, end_s, frames=frames, max_pixels=max_pixels).frames
    return ()


def target_of(filter: Filter | models.Filter | None) -> Kind | None:
    """The one kind that a filter lets pass; None where it lets several, or does not say."""
    return filter.kinds[0] if isinstance(filter, Filter) and len(filter.kinds) == 1 else None
