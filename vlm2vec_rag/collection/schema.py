"""The schema of a collection: names of the vectors, their configuration, the payload indexes.

One schema for every engine: what is written here is what the embedded engine, a server and a cluster are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.errors import InvalidInput

DENSE = "dense"
BM25 = "bm25"

# built before the first upload: Qdrant then adds the links to the HNSW graph that keep a filtered search quick
PAYLOAD_INDEXES: dict[str, models.PayloadSchemaType] = {
    "source": models.PayloadSchemaType.KEYWORD,
    "folders": models.PayloadSchemaType.KEYWORD,
    "kind": models.PayloadSchemaType.KEYWORD,
    "content_hash": models.PayloadSchemaType.KEYWORD,
    "file_hash": models.PayloadSchemaType.KEYWORD,
    "page": models.PayloadSchemaType.INTEGER,
    "start_s": models.PayloadSchemaType.FLOAT,
    "end_s": models.PayloadSchemaType.FLOAT,
    "modified_at": models.PayloadSchemaType.DATETIME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How a server spreads a collection over its nodes; None leaves the choice to the server.

    For three nodes or more: `Cluster(shard_number=6, replication_factor=2, write_consistency_factor=2)` loses no
    point with any one node, and refuses a write it could not store twice.
    """

    shard_number: int | None = None  # shards in all; more than nodes, so that there is something to move to a new one
    replication_factor: int | None = None  # copies of each shard
    write_consistency_factor: int | None = None  # copies that must confirm before a write counts

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


def creation(record: Record, cluster: Cluster | None = None) -> dict[str, Any]:
    """The arguments of `create_collection` for a collection of this description.

    A fingerprint of dim 0 makes a collection of words only: the `bm25` vector and no `dense` one.
    """
    arguments: dict[str, Any] = {
        "vectors_config": {},
        "sparse_vectors_config": {BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        "metadata": record.to_metadata(),
    }
    if record.fingerprint.dim:
        arguments |= {
            # the originals stay on disk: they are read only to rescore the few that int8 put first
            "vectors_config": {
                DENSE: models.VectorParams(size=record.fingerprint.dim, distance=models.Distance.COSINE, on_disk=True)
            },
            "hnsw_config": models.HnswConfigDiff(m=16, ef_construct=100),
            # a quarter of the memory, and on 50,000 points a third of the time to build the graph
            "quantization_config": models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
            ),
        }
    if cluster is not None:
        chosen = {
            "shard_number": cluster.shard_number,
            "replication_factor": cluster.replication_factor,
            "write_consistency_factor": cluster.write_consistency_factor,
        }
        arguments |= {name: value for name, value in chosen.items() if value is not None}
    return arguments


def search_params(*, exact: bool = False, hnsw_ef: int = 128, oversampling: float = 2.0) -> models.SearchParams:
    """How the dense side searches. int8 does not rescore unless asked to, and recall@10 is 0.978 then, not 1.0."""
    return models.SearchParams(
        hnsw_ef=hnsw_ef,
        exact=exact,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=oversampling),
    )
