"""Addresses mean what they say, and several of them are one cluster."""

from __future__ import annotations

import logging

import pytest
from fake_qdrant import FakeCluster, FakeQdrant, unused_port
from points_and_places import FINGERPRINT, page

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.collection.addresses import candidates, check_key_is_safe, is_loopback, without_credentials
from vlm2vec_rag.errors import InvalidInput


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://host:6333", [["http://host:6333"]]),
        ("https://host:443/", [["https://host:443"]]),
        ("https://host/qdrant", [["https://host:443/qdrant"]]),
        ("https://host/deep/qdrant/", [["https://host:443/deep/qdrant"]]),
        ("http://host/qdrant", [["http://host:80/qdrant"]]),
        ("https://host:8443/qdrant", [["https://host:8443/qdrant"]]),
        ("https://host", [["https://host:443", "https://host:6333"]]),
        ("http://host", [["http://host:6333", "http://host:80"]]),
        ("http://[::1]:6333", [["http://[::1]:6333"]]),
        ("http://a:1, http://b:2,", [["http://a:1"], ["http://b:2"]]),
        ("https://user:pass@q.example:6333", [["https://q.example:6333"]]),
    ],
)
def test_an_address_is_read_as_it_is_written(written: str, expected: list[list[str]]) -> None:
    assert [[str(way) for way in ways] for ways in candidates(written)] == expected


@pytest.mark.parametrize("written", ["http:///x", "https://", "http://host:port", "http://host:99999"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="expected http://host:6333"):
        open_collection(written)


@pytest.mark.parametrize(("host", "expected"), [
    ("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True),
    ("0.0.0.0", False), ("10.0.0.7", False), ("localhost.evil.example", False), ("", False),
])  # fmt: skip
def test_this_machine_is_told_from_others(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "url",
    [
        "http://qdrant.example:6333", "http://10.0.0.7:6333", "http://localhost.evil.example",
        "https://q.example,http://q2.example:6333",
    ],
)  # fmt: skip
def test_a_key_is_not_sent_unencrypted_to_another_machine(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"an API key would be sent to .* unencrypted; use https"):
        open_collection(url, fingerprint=FINGERPRINT, api_key="secret")


@pytest.mark.parametrize(
    "url", ["http://localhost:6333", "http://127.0.0.1:6333", "http://[::1]:6333", "https://q.example"]
)
def test_a_key_may_go_to_this_machine_or_over_https(url: str) -> None:
    check_key_is_safe(url, "secret")


def test_credentials_in_an_address_are_not_shown() -> None:
    shown = without_credentials("https://user:pass@q.example:6333/path?token=1,http://b:6333")
    assert shown == "https://q.example:6333/path,http://b:6333"


def test_a_path_before_qdrants_own_is_kept() -> None:
    with FakeQdrant(prefix="/qdrant") as fake:
        assert fake.url.endswith("/qdrant")
        with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
            collection.upsert([page(1, "cat")])
            assert collection.count() == 1
            assert collection.info().location == fake.url
            assert collection.search(text="cat")[0].payload.page == 1


def test_the_port_that_answers_is_kept_where_none_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeQdrant() as fake:
        for ports in ([unused_port(), fake.port], [fake.port, unused_port()]):
            monkeypatch.setitem(
                __import__("vlm2vec_rag.collection.addresses", fromlist=["PORTS"]).PORTS, "http", ports[1]
            )
            monkeypatch.setattr("vlm2vec_rag.collection.addresses.QDRANT_PORT", ports[0])
            with open_collection("http://127.0.0.1", fingerprint=FINGERPRINT) as collection:
                assert collection.count() == 0


def test_the_next_address_is_asked_when_one_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Reads and writes go on; nobody waits, and one line says so."""
    caplog.set_level(logging.WARNING)
    with FakeCluster() as cluster, open_collection(cluster.urls, fingerprint=FINGERPRINT) as collection:
        collection.upsert([page(number) for number in range(20)])
        cluster.kill(0)
        assert collection.count() == 20
        collection.upsert([page(number) for number in range(20, 40)])
        assert len(list(collection.scroll())) == 40
        away = [each.message for each in caplog.records if "is away" in each.message]
        assert len(away) == 1 and cluster.nodes[0].url in away[0] and cluster.nodes[1].url in away[0]
        assert not [each for each in caplog.records if "asking again" in each.message]


async def test_the_asynchronous_client_asks_the_next_address_as_well() -> None:
    with FakeCluster() as cluster, open_collection(cluster.urls, fingerprint=FINGERPRINT) as collection:
        collection.upsert([page(1)])
        cluster.kill(0)
        aclient = collection.aclient
        assert (await aclient.count(collection.name)).count == 1
        await aclient.close()


def test_a_cluster_whose_first_node_is_away_is_opened(caplog: pytest.LogCaptureFixture) -> None:
    with FakeCluster() as cluster:
        cluster.kill(0)
        with open_collection(cluster.urls, fingerprint=FINGERPRINT) as collection:
            collection.upsert([page(1)])
            assert collection.info().location == cluster.urls
        assert [each.message for each in caplog.records if "is away" in each.message]
