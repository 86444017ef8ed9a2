"""A collection on a server: what is sent, what is asked again, and what a refusal says. Over real HTTP, to the fake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_qdrant import CUT, FakeQdrant, Fault
from points_and_places import DIM, FINGERPRINT, page
from qdrant_client import QdrantClient

from vlm2vec_rag.collection import Cluster, Collection, Filter, open_collection
from vlm2vec_rag.collection.collection import Collection as OpenCollection
from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.collection.retry import RetryingTransport, RetryPolicy
from vlm2vec_rag.collection.server import ServerEngine
from vlm2vec_rag.errors import CollectionError, InvalidInput

QUICK = RetryPolicy(times=3, first_s=0.01)
GOLDEN = Path(__file__).parents[2] / "data" / "collection"


def open_quickly(url: str, **options: Any) -> Collection:
    """A collection on a server that is asked again without much waiting."""
    open_collection(url, fingerprint=FINGERPRINT, api_key=options.get("api_key")).close()
    record = Record(fingerprint=FINGERPRINT, language="english")
    return OpenCollection(ServerEngine(url, retry_policy=QUICK, **options), "default", record)


@pytest.fixture
def collection(fake: FakeQdrant) -> Iterator[Collection]:
    with open_quickly(fake.url) as collection:
        yield collection


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, CUT])
def test_a_write_and_a_read_are_asked_again(collection: Collection, fake: FakeQdrant, status: int) -> None:
    fake.fail(status, status)
    collection.upsert([page(1)])
    fake.fail(status)
    assert collection.count() == 1
    assert len(fake.asked("/points")) == 3
    assert len(fake.asked("/points/count")) == 2


def test_waits_grow_and_are_never_all_alike() -> None:
    retry_policy = RetryPolicy(times=6, first_s=1.0, longest_s=10.0)
    runs = [list(retry_policy.waits()) for _ in range(50)]
    for at, whole in enumerate([1.0, 2.0, 4.0, 8.0, 10.0, 10.0]):
        waits = {run[at] for run in runs}
        assert len(waits) > 40
        assert all(whole / 2 <= wait <= whole for wait in waits)


@pytest.mark.parametrize(
    ("headers", "text", "expected_s"),
    [
        ((("Retry-After", "7"),), "", 7.0),
        ((), "Rate limiting exceeded: Read rate limit exceeded: [...]. Retry after 30s", 30.0),
        ((("Retry-After", "86400"),), "", 300.0),  # a day is no answer: five minutes, and then it is told
        ((("Retry-After", "Fri, 31 Dec"),), "", 0.01),
        ((), "", 0.01),
    ],
    ids=["header", "text", "within-reason", "date", "nothing"],
)  # fmt: skip
def test_a_server_is_given_the_time_it_asks_for(
    collection: Collection, fake: FakeQdrant, headers: Any, text: str, expected_s: float
) -> None:
    slept: list[float] = []
    transport_of(collection)._sleep = slept.append
    fake.fail(Fault(429, headers=headers, text=text))
    collection.upsert([page(1)])
    assert slept == [pytest.approx(expected_s, rel=0.5)]


def transport_of(collection: Collection) -> RetryingTransport:
    transport = collection._engine.client.http.client._client._transport
    assert isinstance(transport, RetryingTransport)
    return transport


@pytest.mark.parametrize("fault", [Fault(500, text="Service internal error: No space left on device: WAL"), Fault(507)])
def test_a_full_disk_is_not_asked_again(collection: Collection, fake: FakeQdrant, fault: Fault) -> None:
    fake.fail(fault)
    with pytest.raises(CollectionError, match=r"the server's disk is full .* make room on it"):
        collection.upsert([page(1)])
    assert len(fake.asked("/points")) == 1


def test_an_answer_that_is_cut_off_is_asked_for_again(collection: Collection, fake: FakeQdrant) -> None:
    """A kept connection that the other end closed meanwhile is no reason to wait, or to take a node for dead."""
    slept: list[float] = []
    transport_of(collection)._sleep = slept.append
    fake.fail(CUT)
    collection.upsert([page(1)])
    assert slept == [0.0]


def test_patience_ends(collection: Collection, fake: FakeQdrant) -> None:
    fake.fail(*[503] * 10)
    with pytest.raises(CollectionError, match=r"cannot write points at http://127.*: HTTP 503, injected 503"):
        collection.upsert([page(1)])
    assert len(fake.asked("/points")) == 1 + QUICK.times


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_what_would_fail_again_is_not_asked_again(collection: Collection, fake: FakeQdrant, status: int) -> None:
    fake.fail(status)
    with pytest.raises(CollectionError, match=f"HTTP {status}, injected {status}"):
        collection.count()
    assert len(fake.asked("/points/count")) == 1


async def test_the_asynchronous_client_asks_again_as_well(collection: Collection, fake: FakeQdrant) -> None:
    fake.fail(503, CUT)
    aclient = collection.aclient
    assert (await aclient.count(collection.name)).count == 0
    assert len(fake.asked("/points/count")) == 3
    await aclient.close()


def test_a_frameworks_store_asks_again_as_well(collection: Collection, fake: FakeQdrant) -> None:
    fake.fail(503)
    assert collection.client.scroll(collection.name) == ([], None)


def test_writes_are_cut_into_requests_a_server_takes(collection: Collection, fake: FakeQdrant) -> None:
    long = "word " * 200_000  # a megabyte each
    collection.upsert([page(number, long) for number in range(17)])
    bodies = [len(json.dumps(request.body)) for request in fake.asked("/points")]
    assert len(bodies) >= 2
    assert max(bodies) < 16 * 2**20
    assert collection.count() == 17


# what a collection is made with


@pytest.mark.parametrize(("nodes", "cluster"), [(1, None), (3, Cluster(replication_factor=2))])
def test_a_collection_is_asked_for_as_written_down(fake: FakeQdrant, nodes: int, cluster: Cluster | None) -> None:
    """The exact request, so that a change of it is seen; what a cluster makes of it only a cluster can show."""
    open_collection(fake.url, fingerprint=FINGERPRINT, cluster=cluster).close()
    made = [request for request in fake.requests if str(request) == "PUT /collections/default"]
    assert [request.body for request in made] == [json.loads((GOLDEN / f"create_{nodes}_node.json").read_text())]


def test_a_server_with_memory_tiers_is_asked_for_them() -> None:
    """1.19 takes `memory` where 1.18 takes `on_disk` and `always_ram`; no 1.19 was there to be recorded."""
    with FakeQdrant(version="1.19.0", is_checked=False) as fake:
        open_collection(fake.url, fingerprint=FINGERPRINT).close()
        [made] = [request.body for request in fake.requests if str(request) == "PUT /collections/default"]
        assert made["vectors"]["dense"] == {"size": DIM, "distance": "Cosine", "memory": "cold"}
        assert made["quantization_config"]["scalar"] == {"type": "int8", "quantile": 0.99, "memory": "pinned"}
        indexed = {request.body["field_name"]: request.body["field_schema"] for request in fake.asked("/index")}
        small = {"type": "keyword", "memory": "cold", "enable_hnsw": False}
        assert indexed["content_hash"] == indexed["file_hash"] == small
        assert indexed["source"] == "keyword"


def test_vectors_may_be_kept_in_memory_by_turboquant() -> None:
    with FakeQdrant(is_checked=False) as fake:
        open_collection(fake.url, fingerprint=FINGERPRINT, quantization="turbo4").close()
        [made] = [request.body for request in fake.requests if str(request) == "PUT /collections/default"]
        assert made["quantization_config"] == {"turbo": {"always_ram": True, "bits": "bits4"}}
    with pytest.raises(InvalidInput, match="quantization is 'int4'; expected one of int8, turbo4, turbo2"):
        open_collection(fingerprint=FINGERPRINT, quantization="int4")  # type: ignore[arg-type]


def test_payload_indexes_are_made_before_the_first_point(collection: Collection, fake: FakeQdrant) -> None:
    collection.upsert([page(1)])
    paths = [str(request) for request in fake.requests]
    assert max(at for at, path in enumerate(paths) if path.endswith("/index")) < paths.index(
        "PUT /collections/default/points"
    )
    indexed = {request.body["field_name"]: request.body["field_schema"] for request in fake.asked("/index")}
    assert indexed == json.loads((GOLDEN / "payload_indexes.json").read_text())


def test_indexes_that_are_missing_are_made_by_the_first_write(fake: FakeQdrant) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    del fake.indexes["default"]["page"]
    fake.requests.clear()
    with open_collection(fake.url) as collection:
        assert [request.method for request in fake.requests] == ["GET", "GET", "GET"]
        collection.upsert([page(1)])
        collection.upsert([page(2)])
    assert [request.body["field_name"] for request in fake.asked("/index")] == ["page"]


def test_two_that_make_the_same_collection_at_once_both_get_it(
    fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    answers, exists = iter([False]), QdrantClient.collection_exists  # first as it was before the other one made it

    def a_moment_ago(client: QdrantClient, name: str) -> bool:
        return exists(client, name) and (name != "default" or next(answers, True))

    monkeypatch.setattr(QdrantClient, "collection_exists", a_moment_ago)
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        assert collection.count() == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"shard_number": 0}, "shard_number is 0; expected 1 or more"),
        ({"replication_factor": 2, "write_consistency_factor": 3}, "every write would be refused"),
    ],
)
def test_a_cluster_that_could_not_work_is_refused(settings: dict[str, int], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Cluster(**settings)


PARAMS = {"hnsw_ef": 128, "exact": False, "quantization": {"rescore": True, "oversampling": 2.0}}


def test_a_hybrid_search_is_one_query_that_the_server_fuses(collection: Collection, fake: FakeQdrant) -> None:
    collection.upsert([page(1, "cat")])
    fake.requests.clear()
    collection.search([1.0] * DIM, "cat", limit=7, filter=Filter(kinds=["page"]))
    assert [str(request) for request in fake.requests] == ["POST /collections/default/points/query"]
    body = fake.requests[0].body
    dense, words = body.pop("prefetch")
    # Qdrant counts ranks from 0, this package from 1: so the k of 60 is written 61
    assert body == {"query": {"rrf": {"k": 61}}, "limit": 7, "with_payload": True}
    condition = {"must": [{"key": "kind", "match": {"any": ["page"]}}]}
    assert (dense["using"], dense["limit"], dense["params"], dense["filter"]) == ("dense", 50, PARAMS, condition)
    assert (words["using"], words["limit"], words["filter"]) == ("bm25", 50, condition)


@pytest.mark.parametrize(
    ("version", "weight"), [("1.16.2", 1.0), ("1.18.3", 0.02)], ids=["older-server", "weights-that-differ"]
)
def test_what_a_server_cannot_fuse_alike_is_asked_in_one_batch(version: str, weight: float) -> None:
    """Qdrant divides ranks by the weight; the models' weights are made for a sum of weight / (60 + rank)."""
    with FakeQdrant(version=version) as fake:
        fingerprint = replace(FINGERPRINT, dense_weight=weight)
        with open_collection(fake.url, fingerprint=fingerprint) as collection:
            collection.upsert([page(1, "cat"), page(2, "dog")])
            fake.requests.clear()
            first, second = collection.search(page(2).vector, "cat")
        assert [str(request) for request in fake.requests] == ["POST /collections/default/points/query/batch"]
        dense, words = fake.requests[0].body["searches"]
        assert (dense["using"], dense["params"], words["using"]) == ("dense", PARAMS, "bm25")
        scores = {1: weight / 62 + 1 / 61, 2: weight / 61}
        assert {each.payload.page: each.score for each in (first, second)} == pytest.approx(scores)


def test_ten_payloads_travel_in_place_of_a_hundred() -> None:
    """Measured in bytes, since no server was there to be timed: the answer to a hybrid search of ten."""
    text = "many words of a page that is found by both sides " * 40
    sizes = {}
    for version in ("1.16.2", "1.18.3"):
        with FakeQdrant(version=version) as fake, open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
            collection.upsert([page(number, text) for number in range(100)])
            lengths: list[int] = []
            client = collection._engine.client.http.client._client
            client.event_hooks["response"].append(lambda response: lengths.append(len(response.read())))  # noqa: B023
            collection.search([1.0] * DIM, "many words", limit=10)
            sizes[version] = sum(lengths)
    assert sizes["1.18.3"] * 9 < sizes["1.16.2"]


def test_answers_are_not_compressed_and_connections_are_kept(collection: Collection, fake: FakeQdrant) -> None:
    connections = set()
    setup = fake._server.RequestHandlerClass.setup
    fake._server.RequestHandlerClass.setup = lambda each: (connections.add(each.client_address), setup(each))[1]  # type: ignore[method-assign,misc]
    fake.requests.clear()
    for _ in range(5):
        collection.count()
    assert {request.headers["accept-encoding"] for request in fake.requests} == {"identity"}
    assert len(connections) <= 1


def test_a_server_further_than_two_minor_versions_away_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for version, step in (("1.17.1", "update the server"), ("1.23.0", "update qdrant-client"), ("1.18.3", "")):
        caplog.clear()
        with FakeQdrant(version=version, is_checked=False) as fake:
            open_collection(fake.url, fingerprint=FINGERPRINT).close()
        assert [step in each.message and f"is version {version[:4]}" in each.message for each in caplog.records] == (
            [True] if step else []
        )
