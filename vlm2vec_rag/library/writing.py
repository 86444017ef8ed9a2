"""Items to points: encoded where new, and written batch by batch. Every face that fills a collection writes here.

A vector is written only by what encodes the item itself, or is one that was: points say so (`Payload.encoded`), and
only theirs are taken again for equal content.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from vlm2vec_rag.collection import Payload, Point
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import DiskFull, InvalidInput
from vlm2vec_rag.items import Item

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.encoder.base import Vectors
    from vlm2vec_rag.thumbnails import Thumbnails

logger = logging.getLogger(__name__)

BATCH_ITEMS = 32  # encoded and written together: 100 MB of pages, and what a kill can cost

Encode: TypeAlias = "Callable[[Sequence[Item]], Vectors]"
"""Items to (B, D) float32 rows of unit length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An item on its way into a collection, with what is kept of it."""

    item: Item
    payload: Payload

    @classmethod
    def of(cls, item: Item, document_id: str | None = None, **file: Any) -> Entry:
        """An item of a file.

        Args:
            item: What is encoded.
            document_id: An id of the user's own; None gives the one that every face knows this item by.
            file: What the item does not know of its file: `file_hash`, `file_points`, `modified_at`.
        """
        payload = Payload.of(item, **file)
        if document_id is not None and point_id_of(document_id) != payload.id:
            payload = replace(payload, document_id=document_id)
        return cls(item=item, payload=payload)

    @property
    def point_id(self) -> str:
        """The point that holds it."""
        return point_id_of(self.payload.document_id) if self.payload.document_id else self.payload.id

    @property
    def document_id(self) -> str:
        """The id by which its writer knows it."""
        return self.payload.document_id or self.payload.id


@dataclass(slots=True)
class Written:
    """What became of a batch."""

    encoded: Counter[str] = field(default_factory=Counter)  # items by kind, encoded anew
    reused: Counter[str] = field(default_factory=Counter)  # items by kind whose vector was there already
    failures: dict[int, str] = field(default_factory=dict)  # by position in the batch, with the reason


class Writer:
    """Writes entries into one collection. Safe to use from several threads where its collection and encoder are."""

    def __init__(
        self, collection: Collection, encode: Encode | None = None, *, thumbnails: Thumbnails | None = None
    ) -> None:
        """Write into a collection.

        Args:
            collection: Open.
            encode: The recorded model's; None writes words only.
            thumbnails: Where to keep small images, if anywhere.

        Raises:
            InvalidInput: The collection holds vectors, and nothing makes them.
        """
        if encode is None and collection.dim:
            raise InvalidInput(
                f"the collection {collection.name!r} holds vectors of {collection.fingerprint}, and there is no "
                "encoder to make more; open it with the model that built it"
            )
        self.collection, self.encode, self.thumbnails = collection, encode, thumbnails
        self.encode_s = 0.0
        self.write_s = 0.0

    def write(self, entries: Sequence[Entry], *, isolate: bool = False) -> Written:
        """Encode what is new and write all of it.

        Args:
            entries: A batch; see `BATCH_ITEMS`.
            isolate: An entry that fails is left out and told in the result; else its error is raised and nothing of
                the batch is written.

        Raises:
            CollectionError: The collection cannot be written to.
            DiskFull: There is no room; what was written before stays.
        """
        if not entries:
            return Written()
        written = Written()
        hashes = [each.payload.content_hash for each in entries]
        known: dict[str, Any] = dict(self.collection.vectors_by_content(hashes)) if self.encode else {}
        new = [at for at, content_hash in enumerate(hashes) if content_hash not in known]
        vectors: dict[str, Any] = dict(known)
        if self.encode is not None:
            firsts = {hashes[at]: at for at in reversed(new)}  # equal content is encoded once
            vectors |= self._encode(self.encode, entries, sorted(firsts.values()), written, isolate=isolate)
        now = datetime.now(timezone.utc)
        points: dict[int, Point] = {}
        for at, (entry, content_hash) in enumerate(zip(entries, hashes, strict=True)):
            vector = vectors.get(content_hash)
            if self.encode is not None and vector is None:
                written.failures.setdefault(at, "its content could not be encoded")
                continue
            try:
                payload = replace(entry.payload, indexed_at=now, encoded=vector is not None)
                points[at] = Point(id=entry.point_id, payload=payload, vector=vector)
            except Exception as error:
                if not isolate:
                    raise
                written.failures[at] = reason_of(error)
        if self.thumbnails:
            for at in points:  # before the points: where there is no room for them, the next run writes both
                self._keep_thumbnail(self.thumbnails, entries[at].item)
        self._upsert(points, written, isolate=isolate)
        for at in points:
            if at not in written.failures:
                (written.reused if hashes[at] in known else written.encoded)[entries[at].item.kind] += 1
        return written

    def _keep_thumbnail(self, thumbnails: Thumbnails, item: Item) -> None:
        """Keep a small image; one that cannot be made or kept is missing when the item is shown, and no more."""
        try:
            thumbnails.keep(item)
        except DiskFull:
            raise
        except Exception as error:
            logger.warning("no thumbnail of %s %s: %s", item.source, item.fragment, reason_of(error))

    def _encode(
        self, encode: Encode, entries: Sequence[Entry], chosen: list[int], written: Written, *, isolate: bool
    ) -> dict[str, Any]:
        """Vectors by content hash; where a batch fails, one by one, so that a single item cannot take others along."""
        if not chosen:
            return {}
        started = time.perf_counter()
        try:
            vectors = encode([entries[at].item for at in chosen])
            return {entries[at].payload.content_hash: vector for at, vector in zip(chosen, vectors, strict=True)}
        except Exception as error:
            if not isolate:
                raise
            if len(chosen) == 1:
                written.failures[chosen[0]] = reason_of(error)
                return {}
        finally:
            self.encode_s += time.perf_counter() - started
        alone: dict[str, Any] = {}
        for at in chosen:
            alone |= self._encode(encode, entries, [at], written, isolate=True)
        return alone

    def _upsert(self, points: dict[int, Point], written: Written, *, isolate: bool) -> None:
        """Write points; where a batch is refused, one by one. A collection that does not even answer ends the run."""
        started = time.perf_counter()
        try:
            self.collection.upsert(points.values())
            return
        except DiskFull:  # no single item's fault: the next one would fail as well
            raise
        except Exception:
            if not isolate:
                raise
        finally:
            self.write_s += time.perf_counter() - started
        self.collection.count()
        for at, point in points.items():
            try:
                self.collection.upsert([point])
            except DiskFull:
                raise
            except Exception as error:
                written.failures[at] = reason_of(error)


def reason_of(error: BaseException) -> str:
    """An error in one line, for a report."""
    return " ".join(str(error).split()) or type(error).__name__
