"""`EdgeClient` answers as qdrant-client's own store does, so that what is built for QdrantClient can be built on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from vlm2vec_rag.collection.edge.client import EdgeClient
from vlm2vec_rag.errors import CollectionNotFound, InvalidInput

NAME = "things"
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((30, 4)).astype(np.float32)
QUERY = [0.3, -1.0, 0.5, 0.2]


def _points() -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=n if n % 2 else str(uuid.UUID(int=n)),
            vector={
                "dense": VECTORS[n].tolist(),
                "words": models.SparseVector(indices=[n % 5, 7], values=[1.0 + n, 0.5]),
            },
            payload={
                "n": n,
                "kind": "even" if n % 2 == 0 else "odd",
                "tags": [f"t{n % 3}", f"t{n % 4}"],
                "when": datetime(2026, 1, 1 + n % 28, tzinfo=timezone.utc),
                "parts": [{"size": n, "ok": n % 2 == 0}, {"size": -n, "ok": True}],
                "where": {"lon": n / 10, "lat": 50.0},
                "flag": n % 3 == 0,
                "text": ["red cat", "blue dog runs", "green"][n % 3],
                **({"maybe": [None, [], 1][n % 3]} if n % 7 else {}),
            },
        )
        for n in range(30)
    ]


def _fill(client: Any) -> None:
    client.create_collection(
        NAME,
        vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        metadata={"made": "by a test"},
    )
    client.upload_points(NAME, _points(), batch_size=7)


@pytest.fixture(scope="module")
def reference() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    _fill(client)
    yield client
    client.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    client = EdgeClient(tmp_path_factory.mktemp("edge"))
    _fill(client)
    client.create_payload_index(NAME, "n", models.PayloadSchemaType.INTEGER)  # to order by it
    client.create_payload_index(NAME, "kind")  # to count its values
    yield client
    client.close()


def key(name: str, **condition: Any) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=name, **condition)])


FILTERS = {
    "value": key("kind", match=models.MatchValue(value="odd")),
    "true": key("flag", match=models.MatchValue(value=True)),
    "any": key("n", match=models.MatchAny(any=[3, 4, 99])),
    "except": key("n", match=models.MatchExcept(**{"except": [3, 4]})),
    "in a list": key("tags", match=models.MatchValue(value="t2")),
    "text": key("text", match=models.MatchText(text="cat")),
    "any text": key("text", match=models.MatchTextAny(text_any="cat runs")),
    "phrase": key("text", match=models.MatchPhrase(phrase="dog runs")),
    "range": key("n", range=models.Range(gt=3, lte=11)),
    "times": key("when", range=models.DatetimeRange(gte=datetime(2026, 1, 5), lt=datetime(2026, 1, 9))),
    "count of values": key("tags", values_count=models.ValuesCount(gte=2)),
    "circle": key("where", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=1, lat=50), radius=30_000)),
    "box": key(
        "where",
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=0.5, lat=51), bottom_right=models.GeoPoint(lon=1.5, lat=49)
        ),
    ),
    "empty": models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="maybe"))]),
    "null": models.Filter(must=models.IsNullCondition(is_null=models.PayloadField(key="maybe"))),
    "ids": models.Filter(must=[models.HasIdCondition(has_id=[1, 3, str(uuid.UUID(int=4))])]),
    "vector": models.Filter(must_not=[models.HasVectorCondition(has_vector="dense")]),
    "nested": models.Filter(
        must=[
            models.NestedCondition(
                nested=models.Nested(
                    key="parts",
                    filter=models.Filter(
                        must=[
                            models.FieldCondition(key="size", range=models.Range(gt=9)),
                            models.FieldCondition(key="ok", match=models.MatchValue(value=True)),
                        ]
                    ),
                )
            )
        ]
    ),
    "should": models.Filter(
        should=[
            models.FieldCondition(key="n", match=models.MatchValue(value=1)),
            models.Filter(must_not=[models.FieldCondition(key="n", range=models.Range(lt=28))]),
        ]
    ),
    "at least two": models.Filter(
        min_should=models.MinShould(
            conditions=[
                models.FieldCondition(key="kind", match=models.MatchValue(value="odd")),
                models.FieldCondition(key="n", range=models.Range(lt=10)),
                models.FieldCondition(key="tags", match=models.MatchValue(value="t0")),
            ],
            min_count=2,
        )
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_mean_the_same(edge: EdgeClient, reference: QdrantClient, name: str) -> None:
    def ids(client: Any) -> set[Any]:
        return {record.id for record in client.scroll(NAME, scroll_filter=FILTERS[name], limit=100)[0]}

    expected = ids(reference)
    assert ids(edge) == expected
    assert edge.count(NAME, FILTERS[name]).count == len(expected)
    assert len(expected) < 30 or name == "count of values"
    assert expected or name == "vector"


WORDS = models.SparseVector(indices=[2, 7], values=[1.0, 1.0])
QUERIES: dict[str, dict[str, Any]] = {
    "list": {"query": QUERY, "using": "dense"},
    "array": {"query": np.array(QUERY, np.float32), "using": "dense"},
    "nearest": {"query": models.NearestQuery(nearest=QUERY), "using": "dense", "limit": 3, "offset": 2},
    "sparse": {"query": WORDS, "using": "words", "limit": 5},
    "a point": {"query": 3, "using": "dense", "query_filter": models.Filter(must_not=FILTERS["ids"].must)},
    "threshold": {"query": QUERY, "using": "dense", "score_threshold": 0.5, "limit": 30},
    "diverse": {
        "query": models.NearestQuery(nearest=QUERY, mmr=models.Mmr(diversity=0.7, candidates_limit=20)),
        "using": "dense",
        "limit": 5,
    },
    "hybrid": {
        "prefetch": [
            models.Prefetch(query=QUERY, using="dense", limit=9, filter=FILTERS["value"]),
            models.Prefetch(query=WORDS, using="words", limit=6),
        ],
        "query": models.RrfQuery(rrf=models.Rrf(k=60, weights=[2.5, 1.0])),
        "limit": 4,
    },
    "fused by distribution": {
        "prefetch": [
            models.Prefetch(query=QUERY, using="dense", limit=9),
            models.Prefetch(query=WORDS, using="words", limit=6),
        ],
        "query": models.FusionQuery(fusion=models.Fusion.DBSF),
        "limit": 4,
    },
    "ordered": {
        "query": models.OrderByQuery(order_by=models.OrderBy(key="n", direction=models.Direction.DESC)),
        "limit": 4,
    },
    "rescored": {"prefetch": models.Prefetch(query=WORDS, using="words", limit=6), "query": QUERY, "using": "dense"},
    "no payload": {"query": QUERY, "using": "dense", "with_payload": False},
    "some payload": {"query": QUERY, "using": "dense", "with_payload": ["n", "tags"]},
    "payload without": {
        "query": QUERY,
        "using": "dense",
        "with_payload": models.PayloadSelectorExclude(exclude=["parts", "when"]),
    },
    "vectors": {"query": QUERY, "using": "dense", "with_vectors": True, "limit": 2},
    "one vector": {"query": QUERY, "using": "dense", "with_vectors": ["words"], "limit": 2},
}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_mean_the_same(edge: EdgeClient, reference: QdrantClient, name: str) -> None:
    ours = edge.query_points(NAME, **QUERIES[name]).points
    theirs = reference.query_points(NAME, **QUERIES[name]).points
    assert [point.id for point in ours] == [point.id for point in theirs]
    assert [point.score for point in ours] == pytest.approx([point.score for point in theirs], abs=1e-5)
    assert [point.payload for point in ours] == [point.payload for point in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.vector or {}).keys() == (other.vector or {}).keys()
        for vector in mine.vector or {}:
            _assert_same_vector(mine.vector[vector], other.vector[vector])


def _assert_same_vector(mine: Any, other: Any) -> None:
    if isinstance(other, models.SparseVector):
        assert mine == other
    else:
        assert mine == pytest.approx(other, abs=1e-6)


def test_scrolling_means_the_same(edge: EdgeClient, reference: QdrantClient) -> None:
    for arguments in (
        {"limit": 7},
        {"limit": 7, "offset": 5},
        {"limit": 4, "order_by": "n"},
        {"limit": 4, "order_by": models.OrderBy(key="n", direction=models.Direction.DESC, start_from=20)},
    ):
        ours, our_offset = edge.scroll(NAME, **arguments)
        theirs, their_offset = reference.scroll(NAME, **arguments)
        assert [record.payload["n"] for record in ours] == [record.payload["n"] for record in theirs]
        assert our_offset == their_offset


def test_retrieving_and_counting_values_mean_the_same(edge: EdgeClient, reference: QdrantClient) -> None:
    ids = [3, str(uuid.UUID(int=8)), 999, uuid.UUID(int=10)]
    for arguments in ({}, {"with_payload": ["n"], "with_vectors": ["dense"]}, {"with_payload": False}):
        ours = {record.id: record for record in edge.retrieve(NAME, ids, **arguments)}
        theirs = {record.id: record for record in reference.retrieve(NAME, ids, **arguments)}
        assert ours.keys() == theirs.keys()
        for each, record in ours.items():
            assert record.payload == theirs[each].payload
            assert bool(record.vector) == bool(theirs[each].vector)
    hits = {hit.value: hit.count for hit in edge.facet(NAME, "kind", exact=True).hits}
    assert hits == {hit.value: hit.count for hit in reference.facet(NAME, "kind", exact=True).hits}


SELECTED = models.FilterSelector(filter=FILTERS["any"])
CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda client: client.set_payload(NAME, {"new": 1, "n": 0}, [1, 3]),
    "set below": lambda client: client.set_payload(NAME, {"deep": 1}, [1], key="where"),
    "set by filter": lambda client: client.set_payload(NAME, {"new": 2}, SELECTED),
    "overwrite": lambda client: client.overwrite_payload(NAME, {"only": 1}, models.PointIdsList(points=[1])),
    "delete keys": lambda client: client.delete_payload(NAME, ["tags", "where"], FILTERS["any"]),
    "clear": lambda client: client.clear_payload(NAME, [5]),
    "delete": lambda client: client.delete(NAME, [1, str(uuid.UUID(int=2)), 777]),
    "delete by filter": lambda client: client.delete(NAME, SELECTED),
    "vectors": lambda client: client.update_vectors(
        NAME, [models.PointVectors(id=9, vector={"dense": [1.0, 0.0, 0.0, 0.0]})]
    ),
    "no vector": lambda client: client.delete_vectors(NAME, ["words"], [9, 11]),
    "batch": lambda client: client.upsert(
        NAME, models.Batch(ids=[1, 77], vectors={"dense": [[1.0, 2.0, 0.0, 0.0]] * 2}, payloads=[{"a": 1}, {}])
    ),
    "only new": lambda client: client.upsert(
        NAME,
        [models.PointStruct(id=each, vector={}, payload={"new": 1}) for each in (1, 78)],
        update_mode=models.UpdateMode.INSERT_ONLY,
    ),
    "only some": lambda client: client.upsert(
        NAME,
        [models.PointStruct(id=each, vector={}, payload={"new": 1}) for each in (1, 3)],
        update_filter=FILTERS["any"],
    ),
    "metadata": lambda client: client.update_collection(NAME, metadata={"made": None, "more": {"x": 1}}),
}


def test_changes_mean_the_same(tmp_path: Path) -> None:
    """One after the other, comparing everything after each."""
    edge, reference = EdgeClient(tmp_path / "edge"), QdrantClient(":memory:")
    for client in (edge, reference):
        _fill(client)
    for name, change in CHANGES.items():
        change(edge)
        change(reference)
        assert _everything(edge) == _everything(reference), name
    edge.close()
    reopened = EdgeClient(tmp_path / "edge")
    assert _everything(reopened) == _everything(reference)
    reopened.close()
    reference.close()


def _everything(client: Any) -> Any:
    records = client.scroll(NAME, limit=1000, with_vectors=True)[0]
    points = {
        str(record.id): (
            record.payload,
            {
                name: [round(each, 5) for each in vector] if isinstance(vector, list) else vector.model_dump()
                for name, vector in (record.vector or {}).items()
            },
        )
        for record in records
    }
    return points, client.get_collection(NAME).config.metadata


@pytest.mark.parametrize("name", ["set", "set below", "overwrite", "vectors", "no vector", "clear"])
def test_a_change_of_a_point_that_is_not_there_changes_nothing(tmp_path: Path, name: str) -> None:
    client = EdgeClient(tmp_path / "edge")
    _fill(client)
    client.delete(NAME, [1, 5, 9])
    before = _everything(client)
    with pytest.raises(InvalidInput, match=r"there is no point [159] to change; nothing was changed"):
        CHANGES[name](client)
    assert _everything(client) == before
    client.close()


def test_a_collection_with_one_nameless_vector(tmp_path: Path) -> None:
    client = EdgeClient(tmp_path / "edge")
    client.create_collection("plain", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("plain", [models.PointStruct(id=1, vector=[1.0, 2.0]), models.PointStruct(id=2, vector=[3.0, 0.0])])
    assert [(each.id, each.score) for each in client.query_points("plain", query=[1.0, 0.0]).points] == [
        (2, 3.0),
        (1, 1.0),
    ]
    assert client.retrieve("plain", [1], with_vectors=True)[0].vector == [1.0, 2.0]
    assert client.get_collection("plain").config.params.vectors.size == 2  # type: ignore[union-attr]
    client.close()


def test_multivectors_are_compared_by_their_best_pairs(tmp_path: Path) -> None:
    client = EdgeClient(tmp_path / "edge")
    params = models.VectorParams(
        size=2,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    client.create_collection("late", vectors_config=params)
    client.upsert("late", [models.PointStruct(id=1, vector=[[1.0, 0.0], [0.0, 2.0]])])
    assert client.query_points("late", query=[[1.0, 1.0], [3.0, 0.0]]).points[0].score == 2.0 + 3.0
    client.close()


def test_collections_are_listed_described_and_deleted(edge: EdgeClient) -> None:
    assert [each.name for each in edge.get_collections().collections] == [NAME]
    assert edge.collection_exists(NAME)
    described = edge.get_collection(NAME)
    assert described.points_count == 30
    assert described.config.metadata == {"made": "by a test"}
    assert {name: each.data_type for name, each in described.payload_schema.items()} == {
        "n": models.PayloadSchemaType.INTEGER,
        "kind": models.PayloadSchemaType.KEYWORD,
    }
    edge.create_collection("other", vectors_config=models.VectorParams(size=2, distance=models.Distance.EUCLID))
    with pytest.raises(InvalidInput, match="collection 'other' already exists"):
        edge.create_collection("other", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    assert edge.delete_collection("other")
    assert not edge.delete_collection("other")
    with pytest.raises(CollectionNotFound, match=f"collection 'other' not found in .*; there are: {NAME}"):
        edge.count("other")


RECOMMENDED = models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
UNSUPPORTED: dict[str, Callable[[Any], Any]] = {
    "query_points_groups": lambda client: client.query_points_groups(NAME, group_by="kind"),
    "create_snapshot": lambda client: client.create_snapshot(NAME),
    "a query of type Document": lambda client: client.query_points(NAME, query=models.Document(text="x", model="m")),
    "a query of type RecommendQuery": lambda client: client.query_points(NAME, query=RECOMMENDED),
    "a change of hnsw_config": lambda client: client.update_collection(NAME, hnsw_config=models.HnswConfigDiff(m=8)),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_it_cannot_do_is_said_by_name(edge: EdgeClient, what: str) -> None:
    with pytest.raises(InvalidInput, match=f"cannot be asked for {what}; use a Qdrant server"):
        UNSUPPORTED[what](edge)


def test_a_sample_is_drawn(edge: EdgeClient) -> None:
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    assert len({point.id for point in edge.query_points(NAME, query=sample, limit=20).points}) == 20


def test_a_bad_question_is_refused_in_words(edge: EdgeClient) -> None:
    with pytest.raises(InvalidInput, match=r"vector 'dense' of the query has shape \(2,\)"):
        edge.query_points(NAME, query=[1.0, 2.0], using="dense")
    with pytest.raises(InvalidInput, match="there is no vector 'nose'"):
        edge.query_points(NAME, query=QUERY, using="nose")
    with pytest.raises(InvalidInput, match="no point 555 with a vector 'dense' to search by"):
        edge.query_points(NAME, query=555, using="dense")
