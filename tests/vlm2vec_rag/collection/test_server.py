"""A collection on a server: what is sent, what is asked again, and what a refusal says. Over real HTTP, to the fake."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fake_qdrant import CUT, FakeQdrant, Fault
from points_and_places import DIM, FINGERPRINT, page
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages
from qdrant_client.grpc import points_service_pb2_grpc, qdrant_pb2_grpc

from vlm2vec_rag.collection import Cluster, Collection, open_collection
from vlm2vec_rag.collection.collection import Collection as OpenCollection
from vlm2vec_rag.collection.record import Record
from vlm2vec_rag.collection.retry import RetryPolicy
from vlm2vec_rag.collection.server import ServerEngine, check_key_is_safe, without_credentials
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


def test_a_server_is_given_the_time_it_asks_for(collection: Collection, fake: FakeQdrant) -> None:
    fake.fail(Fault(429, headers=(("Retry-After", "1"),)))
    started = time.monotonic()
    collection.upsert([page(1)])
    assert 1.0 <= time.monotonic() - started < 3.0


@pytest.mark.parametrize(("header", "expected_s"), [("7", 7.0), ("999", 30.0), ("0", 0.5), ("Fri, 31 Dec", 0.5)])
def test_retry_after_is_kept_within_reason(header: str, expected_s: float) -> None:
    response = httpx.Response(429, headers={"Retry-After": header})
    assert RetryPolicy(longest_s=30.0).wait_s(0.5, response) == expected_s


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


def test_a_request_that_is_too_large_says_so(collection: Collection, fake: FakeQdrant) -> None:
    fake.fail(413)
    with pytest.raises(CollectionError, match="too large for it or for a proxy before it"):
        collection.upsert([page(1)])


def test_a_slow_server_is_waited_for_and_then_named(fake: FakeQdrant) -> None:
    with open_quickly(fake.url) as collection:
        pass
    engine = ServerEngine(fake.url, timeout_s=1, retry_policy=RetryPolicy(times=0))
    collection = OpenCollection(engine, "default", Record(fingerprint=FINGERPRINT, language="english"))
    fake.fail(Fault(wait_s=1.6))
    with pytest.raises(CollectionError, match="no answer within 1 s; raise timeout_s"):
        collection.count()
    collection.close()


def test_writes_are_cut_into_requests_a_server_takes(collection: Collection, fake: FakeQdrant) -> None:
    long = "word " * 200_000  # a megabyte each
    collection.upsert([page(number, long) for number in range(30)])
    bodies = [len(json.dumps(request.body)) for request in fake.asked("/points")]
    assert len(bodies) >= 2
    assert max(bodies) < 16 * 2**20
    assert collection.count() == 30


def test_a_wrong_address_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(CollectionError, match=rf"cannot connect at {url}: nothing answers \(.*\); check the address"):
        open_collection(url, fingerprint=FINGERPRINT)
    assert time.monotonic() - started < 5


def test_what_is_no_qdrant_is_told() -> None:
    with FakeQdrant(version="") as fake:
        fake.answer = lambda *_: ["some other server"]  # type: ignore[method-assign]
        with pytest.raises(CollectionError, match=r"is this a Qdrant server\?"):
            open_collection(fake.url, fingerprint=FINGERPRINT)


def test_a_server_too_old_to_keep_a_fingerprint_is_refused() -> None:
    with (
        FakeQdrant(version="1.15.4") as fake,
        pytest.raises(CollectionError, match=r"is version 1\.15\.4; 1\.16 or later is needed"),
    ):
        open_collection(fake.url, fingerprint=FINGERPRINT)


# keys


def test_a_key_is_sent_and_never_printed(caplog: pytest.LogCaptureFixture) -> None:
    with FakeQdrant(api_key="right-key") as fake:
        with open_quickly(fake.url, api_key="right-key") as collection:
            fake.fail(503)
            assert collection.count() == 0
            assert "right-key" not in repr(collection) + repr(collection.info())
        with pytest.raises(CollectionError, match=r"the API key was refused \(HTTP 401\)") as caught:
            open_collection(fake.url, fingerprint=FINGERPRINT, api_key="wrong-key")
        assert "wrong-key" not in str(caught.value)
        with pytest.raises(CollectionError, match=r"it wants an API key .*QDRANT_API_KEY"):
            open_collection(fake.url, fingerprint=FINGERPRINT)
    assert "right-key" not in caplog.text


def test_a_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "from-outside")
    with FakeQdrant(api_key="from-outside") as fake:
        open_collection(fake.url, fingerprint=FINGERPRINT).close()


@pytest.mark.parametrize("url", ["http://qdrant.example:6333", "http://10.0.0.7:6333", "http://localhost.evil.example"])
def test_a_key_is_not_sent_unencrypted_to_another_machine(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"an API key would be sent to .* unencrypted; use https"):
        open_collection(url, fingerprint=FINGERPRINT, api_key="secret")


@pytest.mark.parametrize(
    "url", ["http://localhost:6333", "http://127.0.0.1:6333", "http://[::1]:6333", "https://q.example"]
)
def test_a_key_may_go_to_this_machine_or_over_https(url: str) -> None:
    check_key_is_safe(url, "secret")


def test_credentials_in_an_address_are_not_shown() -> None:
    assert without_credentials("https://user:pass@q.example:6333/path?token=1") == "https://q.example:6333/path"


def test_an_address_without_a_host_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'http:///x' is no address; expected http://host:6333"):
        open_collection("http:///x")


# what a collection is made with


@pytest.mark.parametrize(
    ("nodes", "cluster"),
    [(1, None), (3, Cluster(shard_number=6, replication_factor=2, write_consistency_factor=2))],
    ids=["one-node", "three-nodes"],
)
def test_a_collection_is_asked_for_as_written_down(fake: FakeQdrant, nodes: int, cluster: Cluster | None) -> None:
    """The exact request, so that a change of it is seen; what a cluster makes of it only a cluster can show."""
    open_collection(fake.url, fingerprint=FINGERPRINT, cluster=cluster).close()
    made = [request for request in fake.requests if str(request) == "PUT /collections/default"]
    assert [request.body for request in made] == [json.loads((GOLDEN / f"create_{nodes}_node.json").read_text())]


def test_payload_indexes_are_made_before_the_first_point(collection: Collection, fake: FakeQdrant) -> None:
    collection.upsert([page(1)])
    paths = [str(request) for request in fake.requests]
    assert max(at for at, path in enumerate(paths) if path.endswith("/index")) < paths.index(
        "PUT /collections/default/points"
    )
    indexed = {request.body["field_name"]: request.body["field_schema"] for request in fake.asked("/index")}
    assert indexed == json.loads((GOLDEN / "payload_indexes.json").read_text())


def test_indexes_that_are_missing_are_made_when_it_is_opened(fake: FakeQdrant) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    del fake.indexes["default"]["page"]
    fake.requests.clear()
    open_collection(fake.url).close()
    assert [request.body["field_name"] for request in fake.asked("/index")] == ["page"]


def test_two_that_make_the_same_collection_at_once_both_get_it(
    fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    answers = iter([False])  # as it was a moment before the other one made it
    monkeypatch.setattr(QdrantClient, "collection_exists", lambda *args: next(answers, True))
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


def test_a_search_is_one_request(collection: Collection, fake: FakeQdrant) -> None:
    collection.upsert([page(1, "cat")])
    fake.requests.clear()
    collection.search([1.0] * DIM, "cat")
    assert [str(request) for request in fake.requests] == ["POST /collections/default/points/query/batch"]
    dense, words = fake.requests[0].body["searches"]
    assert dense["params"] == {"hnsw_ef": 128, "exact": False, "quantization": {"rescore": True, "oversampling": 2.0}}
    assert (dense["using"], words["using"]) == ("dense", "bm25")


# gRPC


class _BusyTwice(points_service_pb2_grpc.PointsServicer):
    """Answers a count with UNAVAILABLE twice, then with 3."""

    calls = 0

    def Count(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  the service's own name
        self.calls += 1
        if self.calls <= 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting up")
        return messages.CountResponse(result=messages.CountResult(count=3))


class _Health(qdrant_pb2_grpc.QdrantServicer):
    def HealthCheck(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.HealthCheckReply(title="qdrant", version="1.20.0")


def test_grpc_requests_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    busy = _BusyTwice()
    points_service_pb2_grpc.add_PointsServicer_to_server(busy, server)
    qdrant_pb2_grpc.add_QdrantServicer_to_server(_Health(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setattr("vlm2vec_rag.collection.server.GRPC_PORT", port)
    engine = ServerEngine("http://127.0.0.1:6333", prefer_grpc=True, retry_policy=QUICK)
    assert engine.client.count("any").count == 3
    assert busy.calls == 3
    engine.close()
    server.stop(None).wait()
