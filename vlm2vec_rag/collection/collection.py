"""A collection: the points of one vector space in Qdrant, written once for every engine.

The collection is its own manifest: which sources it holds, and whether each is complete, is read from the points.
"""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection import searching
from vlm2vec_rag.collection.batches import batches
from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.collection.engine import Engine
from vlm2vec_rag.collection.filters import Filter, matching
from vlm2vec_rag.collection.info import CollectionInfo
from vlm2vec_rag.collection.manifest import MANIFEST_FIELDS, Source, sources_of
from vlm2vec_rag.collection.points import FIELDS, Found, Point, to_json
from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.collection.schema import BM25, DENSE, search_params
from vlm2vec_rag.collection.searching import Mode
from vlm2vec_rag.collection.structs import dense_of, point_of, structs_of
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

PAGE_POINTS = 256  # points per request when going through many: a megabyte of text, or of vectors
MOST_SOURCES = 1_000_000  # sources looked through for a pattern
MOST_MATCHES = 10_000  # sources a pattern may stand for; every one of them travels with the search


class Collection:
    """Points that can be written, counted and searched; made by `open_collection`.

    Safe to use from several threads. Every method raises CollectionError when the engine fails, with the next step.
    """

    def __init__(self, engine: Engine, name: str, record: Record) -> None:
        self.name = name
        self._engine = engine
        self._record = record
        self._bm25 = Bm25(record.language)

    # what it is

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors in here were made with."""
        return self._record.fingerprint

    @property
    def dim(self) -> int:
        """Width of the dense vectors; 0 when the collection holds words only."""
        return self._record.fingerprint.dim

    @property
    def settings(self) -> Mapping[str, Any]:
        """How files became items, as whoever indexed them wrote down with `update_settings`."""
        return self._record.settings

    def update_settings(self, settings: Mapping[str, Any]) -> None:
        """Set some settings and keep the others; they stay with the collection and must be JSON."""
        record = dataclasses.replace(self._record, settings={**self._record.settings, **to_json(settings)})
        with self._engine.errors("write the settings"):
            self.client.update_collection(self.name, metadata=record.to_metadata())
        self._record = record

    @property
    def client(self) -> QdrantClient:
        """The store itself, with the methods of `qdrant_client.QdrantClient`: for the frameworks' own Qdrant stores."""
        # not one on every engine, but shaped like one; the frameworks' stores ask for this type
        return cast("QdrantClient", self._engine.client)

    @property
    def aclient(self) -> Any:
        """The same, with the methods of `qdrant_client.AsyncQdrantClient`.

        For a server each access gives a client with connections of its own, to be closed by who asked for it.
        """
        return self._engine.aclient

    def info(self) -> CollectionInfo:
        with self._engine.errors("describe the collection"):
            described = self.client.get_collection(self.name)
        points, words = self.count(), self.count(models.Filter(must=[models.HasVectorCondition(has_vector=BM25)]))
        return CollectionInfo(
            name=self.name,
            location=self._engine.location,
            engine=self._engine.kind,
            points=points,
            # Qdrant counts sparse vectors as indexed, all of them, and deleted ones until it tidies up
            indexed_vectors=min(points, max(0, (described.indexed_vectors_count or 0) - words)),
            fingerprint=self.fingerprint,
            language=self._record.language,
            settings=self.settings,
            size_bytes=self._engine.size_bytes(self.name),
        )

    # writing

    def upsert(self, points: Iterable[Point]) -> int:
        """Write points, replacing those with the same id, and return how many.

        Each is checked before any of its batch is sent. A point may lack a vector, a text or both; it is then found
        by what it has. Written points survive the death of the process at once, and a power cut after `flush`.

        Raises:
            InvalidInput: A vector has the wrong width or holds a NaN, or is given where only words are searched.
        """
        written = 0
        for batch in batches(points, dim=self.dim):
            structs = structs_of(batch, dim=self.dim, bm25=self._bm25)
            with self._engine.errors("write points"):
                self.client.upsert(self.name, points=structs, wait=True)
            written += len(structs)
        return written

    def delete(self, points: Iterable[str] | Filter | models.Filter) -> None:
        """Delete the points with these ids, or all that pass the filter; ids that are not there are no error."""
        selected = self._selector(points)
        if isinstance(selected, models.PointIdsList) and not selected.points:
            return  # a server refuses an empty list
        with self._engine.errors("delete points"):
            self.client.delete(self.name, points_selector=selected, wait=True)

    def set_payload(self, points: Iterable[str] | Filter, fields: Mapping[str, Any]) -> None:
        """Set payload fields of these points and keep the others.

        Raises:
            InvalidInput: There is no such field; one's own belong into `metadata`.
        """
        unknown = sorted(set(fields) - FIELDS)
        if unknown:
            raise InvalidInput(f"no payload field {', '.join(map(repr, unknown))}; one's own fields go into 'metadata'")
        with self._engine.errors("set payload fields"):
            self.client.set_payload(self.name, payload=to_json(fields), points=self._selector(points), wait=True)

    # reading

    def count(self, filter: Filter | models.Filter | None = None) -> int:
        """How many points there are, or pass the filter; exact."""
        with self._engine.errors("count points"):
            return self.client.count(self.name, count_filter=self._condition(filter), exact=True).count

    def retrieve(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The points with these ids, in the order asked for; ids that are not there are left out."""
        with self._engine.errors("read points"):
            records = self.client.retrieve(
                self.name, ids=list(ids), with_payload=True, with_vectors=self._vector_names(with_vectors)
            )
        found = {str(record.id): point_of(record) for record in records}
        return [found[each] for each in ids if each in found]

    def scroll(self, filter: Filter | models.Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points, or all that pass the filter, in no particular order; read page by page."""
        for record in self._records(filter, with_payload=True, with_vectors=self._vector_names(with_vectors)):
            yield point_of(record)

    def sources(self, filter: Filter | None = None) -> dict[str, Source]:
        """Every source in the collection with what its points say of it, by name.

        Reads a few payload fields of every point, once; give a filter to ask about some sources only.
        """
        records = self._records(filter, with_payload=sorted(MANIFEST_FIELDS), with_vectors=False)
        return sources_of(record.payload or {} for record in records)

    def texts_of(self, *keys: str) -> set[str]:
        """Every text that a payload field holds; reads that field of every point, once.

        Args:
            keys: The field's name, and those below it where it is nested: `"metadata", "author"`.
        """
        texts: set[str] = set()
        for record in self._records(None, with_payload=[keys[0]], with_vectors=False):
            value: Any = record.payload
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            texts.update(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
        return texts

    def vectors_by_content(self, content_hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Dense vectors already here, (D,) float32 by content hash, so that unchanged content is not encoded again.

        Hashes without a point are left out, and points whose vector did not come from encoding that very content.
        """
        hashes = list(dict.fromkeys(content_hashes))
        found: dict[str, NDArray[np.float32]] = {}
        for at in range(0, len(hashes) if self.dim else 0, PAGE_POINTS):
            part = Filter(content_hashes=hashes[at : at + PAGE_POINTS])
            for record in self._records(part, with_payload=["content_hash", "encoded"], with_vectors=[DENSE]):
                vector, payload = dense_of(record), record.payload or {}
                if vector is not None and payload.get("encoded"):
                    found[str(payload["content_hash"])] = vector
        return found

    def search(
        self,
        vector: ArrayLike | None = None,
        text: str | None = None,
        *,
        mode: Mode = "hybrid",
        limit: int = 10,
        filter: Filter | models.Filter | None = None,
        exact: bool = False,
        dense_weight: float | None = None,
    ) -> list[Found]:
        """The points nearest to a vector, or that share words with a text, or both fused; best first.

        One round trip to a server, whatever the mode. A side without an answer never takes the other's away: a text
        of stopwords finds nothing, and the vector's answer stands.

        Args:
            vector: (D,) the encoded question, for the dense side.
            text: The question's words, for the bm25 side.
            mode: `hybrid` joins both rankings by reciprocal rank fusion with k = 60, the dense one with the weight that
                its model asks for (`Fingerprint.dense_weight`); `dense` or `bm25` asks one.
            limit: At most so many.
            filter: Which points may be found; a `qdrant_client.models.Filter` is taken as it is.
            exact: Compare the vector with every point instead of walking the search index; slow, and for checking it.
            dense_weight: Weight of the dense ranking in `hybrid`, where that of words has 1; None is the model's own.

        Raises:
            EmptyInput: Neither a vector nor a text that the mode can use.
            InvalidInput: The vector does not fit, or the limit is below 1.
        """
        requests = searching.requests_of(
            vector,
            text,
            mode=mode,
            limit=limit,
            condition=self._condition(filter),
            dim=self.dim,
            bm25=self._bm25,
            params=search_params(exact=exact) if self._engine.has_indexes else None,
            # fusion looks at ten times the points it gives back: from afar they come with their texts in one round
            # trip; in this process a second question costs less than the texts of points that drop out
            with_payload=mode != "hybrid" or not self._engine.is_here,
        )
        if not requests:
            return []
        weight = self.fingerprint.dense_weight if dense_weight is None else dense_weight
        with self._engine.errors("search"):
            responses = self.client.query_batch_points(self.name, requests=list(requests.values()))
            answer = searching.Answer.of(requests, responses, mode=mode, limit=limit, dense_weight=weight)
            missing = answer.without_payload
            return answer.found(self.client.retrieve(self.name, ids=missing) if missing else ())

    # keeping

    def flush(self) -> None:
        """Make everything written so far survive a power cut."""
        with self._engine.errors("flush"):
            self._engine.flush(self.name)

    def optimize(self, *, wait: bool = True) -> bool:
        """Build the search index over the points that have none; worth it after many upserts.

        The embedded engine builds in a process of its own while this one goes on searching and writing; with
        `wait=False` that goes on in the background. A server does it by itself, and nothing happens here.

        Returns:
            Whether an index was built or, with `wait=False`, is being built.
        """
        with self._engine.errors("build the search index"):
            return self._engine.optimize(self.name, wait=wait)

    def replace_by(self, other: Collection) -> None:
        """Let another collection of the same place take this one's, under its name. Open it again afterwards."""
        with self._engine.errors("put the new collection in the old one's place"):
            self._engine.replace(self.name, other.name)

    def drop(self) -> None:
        """Delete the collection with all its points, and close it."""
        with self._engine.errors("delete the collection"):
            self.client.delete_collection(self.name)
        self.close()

    def close(self) -> None:
        """Flush and let go of the store; closing twice is fine."""
        self._engine.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Collection {self.name!r} at {self._engine.location} ({self._engine.kind}), {self.fingerprint}>"

    # inside

    def _records(
        self, filter: Filter | models.Filter | None, *, with_payload: bool | list[str], with_vectors: bool | list[str]
    ) -> Iterator[models.Record]:
        condition = self._condition(filter)
        offset = None
        while True:
            with self._engine.errors("read points"):
                records, offset = self.client.scroll(
                    self.name,
                    scroll_filter=condition,
                    limit=PAGE_POINTS,
                    offset=offset,
                    with_payload=with_payload,
                    with_vectors=with_vectors,
                )
            yield from records
            if offset is None:
                return

    def _condition(self, filter: Filter | models.Filter | None) -> models.Filter | None:
        if filter is None or isinstance(filter, models.Filter):
            return filter
        return filter.to_qdrant(self._sources_matching(filter.patterns) if filter.patterns else ())

    def _sources_matching(self, patterns: Sequence[str]) -> list[str]:
        with self._engine.errors("list the sources"):
            facet = self.client.facet(self.name, key="source", limit=MOST_SOURCES, exact=True)
        matched = matching(patterns, (str(hit.value) for hit in facet.hits))
        if len(matched) > MOST_MATCHES:
            raise InvalidInput(
                f"{', '.join(patterns)} matches {len(matched)} sources, more than {MOST_MATCHES}; "
                "name a folder instead, with a slash at its end"
            )
        return matched

    def _selector(self, points: Iterable[str] | Filter | models.Filter) -> models.FilterSelector | models.PointIdsList:
        if isinstance(points, Filter | models.Filter):
            return models.FilterSelector(filter=self._condition(points) or models.Filter())
        return models.PointIdsList(points=list(points))

    def _vector_names(self, with_vectors: bool) -> bool | list[str]:
        return [DENSE] if with_vectors and self.dim else False
