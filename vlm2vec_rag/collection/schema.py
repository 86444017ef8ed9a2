"""The schema of a collection: names of the vectors, their configuration, the payload indexes.

One schema for every engine: what is written here is what the embedded engine, a server and a cluster are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from qdrant_client import models

from vlm2vec_rag.collection.limits import HNSW_EF, OVERSAMPLING, Limits
from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.errors import InvalidInput

DENSE = "dense"
BM25 = "bm25"

_KEYWORD, _INTEGER, _FLOAT, _DATETIME = (
    models.PayloadSchemaType.KEYWORD,
    models.PayloadSchemaType.INTEGER,
    models.PayloadSchemaType.FLOAT,
    models.PayloadSchemaType.DATETIME,
)

# built before the first upload: Qdrant then adds the links to the HNSW graph that keep a filtered search quick
PAYLOAD_INDEXES: dict[str, models.PayloadSchemaType] = {
    "source": _KEYWORD,
    "folders": _KEYWORD,
    "kind": _KEYWORD,
    "content_hash": _KEYWORD,
    "file_hash": _KEYWORD,
    "page": _INTEGER,
    "start_s": _FLOAT,
    "end_s": _FLOAT,
    "modified_at": _DATETIME,
}

LOOKED_UP = frozenset({"content_hash", "file_hash"})
"""Fields that are looked up and never searched within: their indexes stay on disk and add no links to the graph."""

Quantization: TypeAlias = Literal["int8", "turbo4", "turbo2"]
QUANTIZATIONS: tuple[Quantization, ...] = ("int8", "turbo4", "turbo2")
TURBO_BITS = {"turbo4": models.TurboQuantBitSize.BITS4, "turbo2": models.TurboQuantBitSize.BITS2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How a server spreads a collection over its nodes when it is made.

    For three nodes or more, two copies of one shard: `Cluster(replication_factor=2)`, which `open_collection` chooses
    there by itself. It loses no point and refuses none with any one node.

    Copies are what keeps a collection up, not shards, and words are ranked within a shard: with more than one, `idf`
    counts differ and so do the answers (docs/cluster.md has the curve). More shards than one pay where one node cannot
    hold the collection.

    `write_consistency_factor` stays at 1. A write that fewer copies confirm than it asks for is refused, and yet it has
    been applied by those that are up; every copy then calls itself whole, nothing is repaired, and counts differ from
    one question to the next until the same write is sent again (seen on three nodes of 1.18.3). With 1 the copy on the
    dead node is marked dead, writes go on, and it catches up by itself: nothing apart, nothing lost. What that risks:
    when the node with the only live copy is lost for good before the other has caught up, so are the writes in between;
    the next run of `index` finds what is missing and writes it.
    """

    shard_number: int | None = None  # None: one, whatever the server's default
    replication_factor: int | None = None  # copies of each shard; None: two from three nodes on, else the server's
    write_consistency_factor: int | None = None  # copies that must confirm before a write counts; see above

    def __post_init__(self) -> None:
        for name in ("shard_number", "replication_factor", "write_consistency_factor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(f"{name} is {value}; expected 1 or more, or None to leave it to the server")
        if (self.write_consistency_factor or 1) > (self.replication_factor or 1):
            raise InvalidInput(
                f"write_consistency_factor {self.write_consistency_factor} asks for more copies than "
                f"replication_factor {self.replication_factor or 1} makes; every write would be refused"
            )

    def settings(self) -> dict[str, int]:
        """The arguments of `create_collection` that are set."""
        chosen = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in chosen.items() if value is not None}


def creation(
    record: Record,
    cluster: Cluster | None = None,
    *,
    quantization: Quantization = "int8",
    has_memory_tiers: bool = False,
) -> dict[str, Any]:
    """The arguments of `create_collection` for a collection of this description.

    A fingerprint of dim 0 makes a collection of words only: the `bm25` vector and no `dense` one.

    Args:
        record: What the collection says of itself.
        cluster: How a server spreads it.
        quantization: What is kept in memory in place of the vectors: `int8`, a quarter of their size, or TurboQuant
            with 4 or 2 bits a number.
        has_memory_tiers: Whether the server takes `memory` in place of `on_disk` and `always_ram`; 1.19 and later do.
    """
    arguments: dict[str, Any] = {
        "vectors_config": {},
        "sparse_vectors_config": {BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        "metadata": record.to_metadata(),
    }
    if record.fingerprint.dim:
        # the originals stay on disk: they are read only to rescore the few that the quantized ones put first
        originals: dict[str, Any] = {"memory": models.Memory.COLD} if has_memory_tiers else {"on_disk": True}
        pinned: dict[str, Any] = {"memory": models.Memory.PINNED} if has_memory_tiers else {"always_ram": True}
        arguments |= {
            "vectors_config": {
                DENSE: models.VectorParams(size=record.fingerprint.dim, distance=models.Distance.COSINE, **originals)
            },
            "hnsw_config": models.HnswConfigDiff(m=16, ef_construct=100),
            "quantization_config": _quantized(quantization, pinned),
        }
    if cluster is not None:
        arguments |= cluster.settings()
    return arguments


def _quantized(quantization: Quantization, pinned: dict[str, Any]) -> Any:
    if quantization in TURBO_BITS:
        return models.TurboQuantization(
            turbo=models.TurboQuantQuantizationConfig(bits=TURBO_BITS[quantization], **pinned)
        )
    # a quarter of the memory, and on 50,000 points a third of the time to build the graph
    return models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, **pinned)
    )


def payload_index(field: str, *, has_memory_tiers: bool = False) -> Any:
    """The schema of a payload index; small for what is only looked up, where the server can make it so."""
    kind = PAYLOAD_INDEXES[field]
    if field in LOOKED_UP and has_memory_tiers:
        return models.KeywordIndexParams(
            type=models.KeywordIndexType.KEYWORD, memory=models.Memory.COLD, enable_hnsw=False
        )
    return kind


def search_params(limits: Limits, *, exact: bool = False) -> models.SearchParams:
    """How the dense side searches, within the server's bounds."""
    return models.SearchParams(
        hnsw_ef=min(HNSW_EF, limits.hnsw_ef or HNSW_EF),
        exact=exact,
        quantization=models.QuantizationSearchParams(
            rescore=True, oversampling=min(OVERSAMPLING, limits.oversampling or OVERSAMPLING)
        ),
    )
