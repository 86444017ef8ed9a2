"""A collection: the points of one vector space in Qdrant, written once for every engine.

The collection is its own manifest: which sources it holds, and whether each is complete, is read from the points.
"""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike
from qdrant_client import models

from vlm2vec_rag.collection.batches import batches
from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.collection.engine import Engine
from vlm2vec_rag.collection.filters import Filter, matching
from vlm2vec_rag.collection.indexes import PayloadIndexes, indexed_fields
from vlm2vec_rag.collection.info import CollectionInfo
from vlm2vec_rag.collection.limits import Limits
from vlm2vec_rag.collection.manifest import MANIFEST_FIELDS, Source, sources_of
from vlm2vec_rag.collection.points import FIELDS, WORDLESS, Found, Point, to_json
from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.collection.schema import BM25, DENSE, Cluster, search_params
from vlm2vec_rag.collection.searching import Mode, Search
from vlm2vec_rag.collection.structs import dense_of, point_of, structs_of
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.languages import ASSUMED, DetectedLanguage, detect_language

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)

MOST_SOURCES = 1_000_000  # sources looked through for a pattern
MOST_MATCHES = 10_000  # sources a pattern may stand for; every one of them travels with the search


class Collection:
    """Points that can be written, counted and searched; made by `open_collection`.

    Safe to use from several threads. Every method raises CollectionError when the engine fails, with the next step.
    """

    def __init__(
        self, engine: Engine, name: str, record: Record, described: models.CollectionInfo | None = None
    ) -> None:
        self.name = name
        self._engine = engine
        self._record = record
        # of a collection without texts: there are but names of files to be found, until the first text decides
        self._bm25 = Bm25(record.language or ASSUMED)
        self.detected_language: DetectedLanguage | None = None  # where it was decided by texts, while this was open
        config = described.config if described else None
        self._limits = Limits.of(config.strict_mode_config if config else None)
        self._copies = (config.params.replication_factor if config else None) or 1
        self._indexes = PayloadIndexes(engine, name, described.payload_schema if described else None)

    # what it is

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors in here were made with."""
        return self._record.fingerprint

    def require(self, fingerprint: Fingerprint) -> None:
        """Refuse vectors that would not belong among those in here.

        Raises:
            FingerprintMismatch: Naming both, and every field in which they differ.
        """
        self._record.require(fingerprint, where=self._where)

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
        self._write_record(dataclasses.replace(self._record, settings={**self._record.settings, **to_json(settings)}))

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
            words = models.Filter(must=[models.HasVectorCondition(has_vector=BM25)])
        points, with_words = self.count(), self.count(words) if self.dim else 0
        return CollectionInfo(
            name=self.name,
            location=self._engine.location,
            engine=self._engine.kind,
            points=points,
            is_exact=self._limits.is_exact_allowed,
            # Qdrant counts sparse vectors as indexed, all of them, and deleted ones until it tidies up
            indexed_vectors=min(points, max(0, (described.indexed_vectors_count or 0) - with_words))
            if self.dim
            else None,
            shards=described.config.params.shard_number or 1,
            copies=described.config.params.replication_factor or 1,
            fingerprint=self.fingerprint,
            language=self._record.language,
            settings=self.settings,
            size_bytes=self._engine.size_bytes(self.name),
        )

    @property
    def language(self) -> str:
        """Whose stopwords and stemming its words are cut with; empty until the first text decides it."""
        return self._record.language

    def settle_language(self, language: str) -> None:
        """Choose the language of a collection that has none yet; from then on it keeps to it.

        Raises:
            InvalidInput: There is no such language, or the collection has another one.
        """
        self._record.require_language(language, where=self._where)
        if not self._record.language:
            bm25 = Bm25(language)  # refuses an unknown one before it is written
            self._write_record(dataclasses.replace(self._record, language=language))
            self._bm25 = bm25
            self.upsert(self.scroll(with_vectors=True))  # images so far, whose names are words too

    def detect_language(self, texts: Iterable[str]) -> None:
        """Choose the language that texts are written in; not where there is one already, or there are no texts."""
        given = [text for text in texts if text.strip()] if not self._record.language else []
        if given:
            found = detect_language(given)
            self.settle_language(found.language)
            self.detected_language = found
            logger.info("language of collection %r: %s", self.name, found)

    @property
    def indexed_fields(self) -> Mapping[str, str]:
        """Fields of `metadata` with a payload index, and their types; "" until a point with the field tells."""
        return self._record.indexed

    @property
    def cluster(self) -> Cluster | None:
        """How a server spreads it over its nodes; None where it is on no server."""
        if self._engine.is_here:
            return None
        with self._engine.errors("describe the collection"):
            params = self.client.get_collection(self.name).config.params
        return Cluster(shard_number=params.shard_number, replication_factor=params.replication_factor)

    @property
    def engine(self) -> Engine:
        """The place it lives at, open."""
        return self._engine

    @property
    def limits(self) -> Limits:
        """The bounds that the server sets for requests."""
        return self._limits

    # writing

    def make_indexes(self) -> None:
        """Make the payload indexes that every collection has, where they are missing; the first write does it too."""
        with self._engine.errors("make payload indexes"):
            self._indexes.make_missing()

    def index_fields(self, fields: Mapping[str, str] | Sequence[str]) -> None:
        """Make payload indexes of fields of `metadata`, so that filtering by them is quick, or allowed at all.

        Servers in strict mode, as managed clouds run them, filter by indexed fields only.

        Args:
            fields: Names, with dots between those of nested fields; or names and their types: keyword, integer, float,
                bool or datetime. Without a type the first point that has the field tells.

        Raises:
            InvalidInput: There is no such type.
        """
        wanted = indexed_fields(fields)
        apart = {name: kind for name, kind in wanted.items() if kind or name not in self._record.indexed}
        self._record_indexed({**self._record.indexed, **apart})
        with self._engine.errors("make payload indexes"):
            self._indexes.make_fields({name: kind for name, kind in wanted.items() if kind})

    def upsert(self, points: Iterable[Point]) -> int:
        """Write points, replacing those with the same id, and return how many.

        Each is checked before any of its batch is sent. A point may lack a vector, a text or both; it is then found
        by what it has. Written points survive the death of the process at once, and a power cut after `flush`.

        Raises:
            InvalidInput: A vector has the wrong width or holds a NaN, or is given where only words are searched.
        """
        written = 0
        for batch in batches(points, dim=self.dim, most_points=self._limits.batch_points):
            self.detect_language(point.payload.text for point in batch)
            structs = structs_of(batch, dim=self.dim, bm25=self._bm25)
            self.write_structs(structs)
            written += len(structs)
        return written

    def write_structs(self, structs: Sequence[models.PointStruct]) -> None:
        """Write points as Qdrant takes them, all in one request; `upsert` checks and cuts."""
        with self._engine.errors("write points"):
            self._indexes.make_missing()
            if told := self._indexes.told_by(structs, self._record.indexed):
                self._record_indexed({**self._record.indexed, **told})
                self._indexes.make_fields(told)
            if not self._record.has_wordless and any(WORDLESS in (each.payload or {}) for each in structs):
                self._write_record(dataclasses.replace(self._record, has_wordless=True))
            self.client.upsert(self.name, points=list(structs), wait=True)

    def delete(self, points: Iterable[str] | Filter | models.Filter) -> None:
        """Delete the points with these ids, or all that pass the filter; ids that are not there are no error."""
        selected = self._selectors(points)
        with self._engine.errors("delete points"):
            for each in selected:
                self.client.delete(self.name, points_selector=each, wait=True)

    def set_payload(self, points: Iterable[str] | Filter, fields: Mapping[str, Any]) -> None:
        """Set payload fields of these points and keep the others.

        Raises:
            InvalidInput: There is no such field; one's own belong into `metadata`.
        """
        unknown = sorted(set(fields) - FIELDS)
        if unknown:
            raise InvalidInput(f"no payload field {', '.join(map(repr, unknown))}; one's own fields go into 'metadata'")
        selected = self._selectors(points)
        with self._engine.errors("set payload fields"):
            for each in selected:
                self.client.set_payload(self.name, payload=to_json(fields), points=each, wait=True)

    # reading

    def count(self, filter: Filter | models.Filter | None = None) -> int:
        """How many points there are, or pass the filter; exact unless the server forbids exact counts."""
        conditions = self._conditions(filter)
        exact = self._limits.is_exact_allowed
        with self._engine.errors("count points"):
            return sum(self.client.count(self.name, count_filter=each, exact=exact).count for each in conditions)

    def count_in_all_copies(self) -> int:
        """How many points every copy has that a server keeps; they are read, ids alone, and counted here."""
        return sum(1 for _ in self._records(None, with_payload=False, with_vectors=False, agreed=True))

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

    def records(self, *, with_payload: bool | list[str] = True, with_vectors: bool = False) -> Iterator[models.Record]:
        """All points as Qdrant gives them, with all vectors or none; read page by page."""
        return self._records(None, with_payload=with_payload, with_vectors=with_vectors)

    def read_records(
        self, ids: Sequence[str], with_payload: bool | list[str], *, with_vectors: bool = False
    ) -> list[models.Record]:
        """Points by id as Qdrant gives them, in no particular order."""
        with self._engine.errors("read points"):
            return self.client.retrieve(self.name, ids=list(ids), with_payload=with_payload, with_vectors=with_vectors)

    def sources(self, filter: Filter | None = None) -> dict[str, Source]:
        """Every source in the collection with what its points say of it, by name.

        Reads a few payload fields of every point, once; give a filter to ask about some sources only. Where a server
        keeps several copies, a point counts that all of them have.
        """
        records = self._records(filter, with_payload=sorted(MANIFEST_FIELDS), with_vectors=False, agreed=True)
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
        page = self._limits.page_points
        fields = ["content_hash", "encoded"]
        for at in range(0, len(hashes) if self.dim else 0, page):
            part = Filter(content_hashes=hashes[at : at + page])
            for record in self._records(part, with_payload=fields, with_vectors=[DENSE], agreed=True):
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

        One round trip to a server, whatever the mode. If only one side finds something, its points are returned: a text
        of stopwords finds nothing, and the vector's stand. But where a model matches words and not meaning
        (`Fingerprint.matches_words`), and no word of the text occurs, the vector finds only points that have no words.
        Equal scores are ordered by source, then by place.

        Args:
            vector: (D,) the encoded question, for the dense side.
            text: The question's words, for the bm25 side.
            mode: `hybrid` joins both rankings by reciprocal rank fusion with k = 60, the dense one with the weight that
                its model asks for (`Fingerprint.dense_weight`); points without words come by turns with the others, by
                their dense rank (see `hybrid_fusion`). `dense` or `bm25` asks one.
            limit: At most so many.
            filter: Which points may be found; a `qdrant_client.models.Filter` is taken as it is.
            exact: Compare the vector with every point instead of walking the search index; slow, and for checking it.
            dense_weight: Weight of the dense ranking in `hybrid`, where that of words has 1; None is the model's own.

        Returns:
            Points with their scores. A server of version 1.17 or later fuses sides of equal weight by itself where all
            points have words: `dense_score` and `bm25_score` are None then, and different points whose scores on one
            side are equal take its ranks in an order of its own.

        Raises:
            EmptyInput: Neither a vector nor a text that the mode can use.
            InvalidInput: The vector does not fit, the limit is below 1, or the server allows no such search.
        """
        search = Search.of(
            vector,
            text,
            mode=mode,
            limit=limit,
            dim=self.dim,
            bm25=self._bm25,
            dense_weight=self.fingerprint.dense_weight if dense_weight is None else dense_weight,
            has_wordless=self._record.has_wordless,
            matches_words=self.fingerprint.matches_words,
            params=search_params(self._limits, exact=exact) if self._engine.has_indexes else None,
        )
        self._limits.check_search(limit, exact=exact)
        if not search.sides:
            return []
        search = dataclasses.replace(search, conditions=self._conditions(filter))
        with self._engine.errors("search"):
            ranking = self._engine.search(self.name, search, self._limits)
            missing = ranking.without_payload
            return ranking.found(self._engine.payloads(self.name, missing) if missing else None)

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

    @property
    def rebuild_name(self) -> str:
        """Under which name to build a collection that will take this one's place."""
        with self._engine.errors("look up its name"):
            return self._engine.rebuild_name(self.name)

    def replace_by(self, other: Collection) -> None:
        """Let another collection of the same place take this one's, under its name. Open it again afterwards."""
        with self._engine.errors("put the new collection in the old one's place"):
            self._engine.replace(self.name, other.name)

    def drop(self) -> None:
        """Delete the collection with all its points, and close it."""
        with self._engine.errors("delete the collection"):
            self._engine.drop(self.name)
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

    @property
    def _where(self) -> str:
        return f"collection {self.name!r} at {self._engine.location}"

    def _record_indexed(self, indexed: Mapping[str, str]) -> None:
        if indexed != self._record.indexed:
            self._write_record(dataclasses.replace(self._record, indexed=indexed))

    def _write_record(self, record: Record) -> None:
        with self._engine.errors("write the settings"):
            self.client.update_collection(self.name, metadata=record.to_metadata())
        self._record = record

    def _records(
        self,
        filter: Filter | models.Filter | None,
        *,
        with_payload: bool | list[str],
        with_vectors: bool | list[str],
        agreed: bool = False,
    ) -> Iterator[models.Record]:
        """Points page by page; `agreed` takes those alone that all copies have, while every copy answers."""
        copies: dict[str, Any] = {"consistency": "all"} if agreed and self._copies > 1 else {}
        for condition in self._conditions(filter):
            offset = None
            while True:
                with self._engine.errors("read points"):
                    page = functools.partial(
                        self.client.scroll,
                        self.name,
                        scroll_filter=condition,
                        limit=self._limits.page_points,
                        offset=offset,
                        with_payload=with_payload,
                        with_vectors=with_vectors,
                    )
                    try:
                        records, offset = page(**copies)
                    except Exception as error:
                        if not copies or not self._engine.is_copy_missing(error):
                            raise
                        logger.warning(
                            "%s: a node is down, so copies cannot be compared; reading those that answer", self.name
                        )
                        copies = {}
                        records, offset = page()
                yield from records
                if offset is None:
                    break

    def condition(self, filter: Filter | models.Filter | None) -> models.Filter | None:
        """A filter in Qdrant's terms, patterns looked up, to be joined with others; None where everything passes."""
        parts = self._conditions(filter)
        known: list[Any] = [each for each in parts if each is not None]
        if len(known) < len(parts):
            return None
        return parts[0] if len(parts) == 1 else models.Filter(should=known)

    def _conditions(self, filter: Filter | models.Filter | None) -> list[models.Filter | None]:
        """A filter in Qdrant's terms, in as many parts as the server's bounds make of it."""
        if filter is None or isinstance(filter, models.Filter):
            return [filter]
        matched = self._sources_matching(filter.patterns) if filter.patterns else []
        parts = self._limits.parts_of(filter, matched)
        most = self._limits.values
        return [None if part is None else part.to_qdrant(sources, most_values=most) for part, sources in parts]

    def _sources_matching(self, patterns: Sequence[str]) -> list[str]:
        matched = matching(patterns, self._source_names())
        if len(matched) > MOST_MATCHES:
            raise InvalidInput(
                f"{', '.join(patterns)} matches {len(matched)} sources, more than {MOST_MATCHES}; "
                "name a folder instead, with a slash at its end"
            )
        return matched

    def _source_names(self) -> Iterable[str]:
        """The names of all sources."""
        most = min(MOST_SOURCES, self._limits.points or MOST_SOURCES)
        with self._engine.errors("list the sources"):
            hits = self.client.facet(self.name, key="source", limit=most, exact=self._limits.is_exact_allowed).hits
        if len(hits) < most:
            return [str(hit.value) for hit in hits]
        records = self._records(None, with_payload=["source"], with_vectors=False)  # more than the server lists at once
        return {str((record.payload or {})["source"]): None for record in records}

    def _selectors(
        self, points: Iterable[str] | Filter | models.Filter
    ) -> list[models.FilterSelector | models.PointIdsList]:
        if isinstance(points, Filter | models.Filter):
            return [models.FilterSelector(filter=each or models.Filter()) for each in self._conditions(points)]
        ids: list[Any] = list(points)
        return [models.PointIdsList(points=ids)] if ids else []  # a server refuses an empty list

    def _vector_names(self, with_vectors: bool) -> bool | list[str]:
        return [DENSE] if with_vectors and self.dim else False
