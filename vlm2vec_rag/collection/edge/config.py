"""The configuration of a collection: qdrant-client's models as the embedded engine's, and back in its description."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from vlm2vec_rag.collection.edge.to_edge import unsupported

# Qdrant's own defaults, written down because the engine wants a number for each
HNSW_M = 16
HNSW_EF_CONSTRUCT = 100
FULL_SCAN_KB = 10_000

INDEXING_THRESHOLD_KB = 10_000
"""Fewer bytes of vectors than this are compared one by one: 1,666 of width 1,536, a matter of a millisecond."""

_DISTANCES = {
    models.Distance.COSINE: edge.Distance.Cosine,
    models.Distance.DOT: edge.Distance.Dot,
    models.Distance.EUCLID: edge.Distance.Euclid,
    models.Distance.MANHATTAN: edge.Distance.Manhattan,
}
_DATATYPES = {
    None: None,
    models.Datatype.FLOAT32: edge.VectorStorageDatatype.Float32,
    models.Datatype.FLOAT16: edge.VectorStorageDatatype.Float16,
    models.Datatype.UINT8: edge.VectorStorageDatatype.Uint8,
}
_PAYLOAD_TYPES = {
    models.PayloadSchemaType.KEYWORD: edge.PayloadSchemaType.Keyword,
    models.PayloadSchemaType.INTEGER: edge.PayloadSchemaType.Integer,
    models.PayloadSchemaType.FLOAT: edge.PayloadSchemaType.Float,
    models.PayloadSchemaType.BOOL: edge.PayloadSchemaType.Bool,
    models.PayloadSchemaType.GEO: edge.PayloadSchemaType.Geo,
    models.PayloadSchemaType.DATETIME: edge.PayloadSchemaType.Datetime,
    models.PayloadSchemaType.TEXT: edge.PayloadSchemaType.Text,
    models.PayloadSchemaType.UUID: edge.PayloadSchemaType.Uuid,
}


def dense_params(config: models.CreateCollection) -> dict[str, models.VectorParams]:
    """The dense vectors by name; one without a name is called ``."""
    vectors = config.vectors or {}
    return dict(vectors) if isinstance(vectors, dict) else {"": vectors}


def edge_config(config: models.CreateCollection, *, threads: int) -> Any:
    """What the engine is told when a shard is made."""
    return edge.EdgeConfig(
        vectors={name: _vector_params(each, threads) for name, each in dense_params(config).items()} or None,
        sparse_vectors={name: _sparse_params(each) for name, each in (config.sparse_vectors or {}).items()} or None,
        hnsw_config=_hnsw(config.hnsw_config, threads),
        quantization_config=_quantization(config.quantization_config),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=INDEXING_THRESHOLD_KB),
        payload_memory=edge.Memory.Cold,
        wal_enabled=True,
    )


def _vector_params(params: models.VectorParams, threads: int) -> Any:
    if params.datatype not in _DATATYPES:
        raise unsupported(f"vectors of type {params.datatype}")
    return edge.EdgeVectorParams(
        size=params.size,
        distance=_DISTANCES[params.distance],
        memory=edge.Memory.Cold if params.on_disk else edge.Memory.Cached,
        datatype=_DATATYPES[params.datatype],
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
        if params.multivector_config
        else None,
        quantization_config=_quantization(params.quantization_config),
        hnsw_config=_hnsw(params.hnsw_config, threads) if params.hnsw_config else None,
    )


def _sparse_params(params: models.SparseVectorParams) -> Any:
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if params.modifier == models.Modifier.IDF else None)


def _hnsw(hnsw: models.HnswConfigDiff | None, threads: int) -> Any:
    hnsw = hnsw or models.HnswConfigDiff()
    return edge.HnswIndexConfig(
        m=HNSW_M if hnsw.m is None else hnsw.m,
        ef_construct=hnsw.ef_construct or HNSW_EF_CONSTRUCT,
        full_scan_threshold=hnsw.full_scan_threshold or FULL_SCAN_KB,
        max_indexing_threads=hnsw.max_indexing_threads or threads,
        payload_m=hnsw.payload_m,
    )


def _quantization(quantization: Any) -> Any:
    match quantization:
        case None:
            return None
        case models.ScalarQuantization():
            memory = edge.Memory.Pinned if quantization.scalar.always_ram else None
            return edge.ScalarQuantizationConfig(
                type=edge.ScalarType.Int8, quantile=quantization.scalar.quantile, memory=memory
            )
    raise unsupported(type(quantization).__name__)


def edge_payload_schema(schema: Any) -> Any:
    """What kind of index a payload field gets."""
    kind = models.PayloadSchemaType(schema if isinstance(schema, str) else schema.type.value)
    match schema:
        case models.KeywordIndexParams():
            return edge.KeywordIndexParams(is_tenant=schema.is_tenant)
        case models.IntegerIndexParams():
            return edge.IntegerIndexParams(lookup=schema.lookup, range=schema.range)
        case models.TextIndexParams() if schema.tokenizer or schema.stopwords or schema.stemmer:
            raise unsupported("a text index with a tokenizer, stopwords or a stemmer of its own")
    return _PAYLOAD_TYPES[kind]


def describe(config: models.CreateCollection, info: Any) -> models.CollectionInfo:
    """A collection as `get_collection` describes it."""
    kinds = {kind: name for name, kind in _PAYLOAD_TYPES.items()}
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        indexed_vectors_count=info.indexed_vectors_count,
        points_count=info.points_count,
        segments_count=info.segments_count,
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=config.vectors, sparse_vectors=config.sparse_vectors, shard_number=1, replication_factor=1
            ),
            hnsw_config=models.HnswConfig(
                m=HNSW_M, ef_construct=HNSW_EF_CONSTRUCT, full_scan_threshold=FULL_SCAN_KB
            ).model_copy(update=(config.hnsw_config or models.HnswConfigDiff()).model_dump(exclude_none=True)),
            optimizer_config=models.OptimizersConfig(
                default_segment_number=0, indexing_threshold=INDEXING_THRESHOLD_KB, flush_interval_sec=0
            ),
            quantization_config=config.quantization_config,
            metadata=config.metadata,
        ),
        payload_schema={
            name: models.PayloadIndexInfo(data_type=kinds[each.data_type], points=each.points)
            for name, each in info.payload_schema.items()
        },
    )
