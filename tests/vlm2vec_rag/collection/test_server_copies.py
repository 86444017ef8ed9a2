"""Copies on a cluster never stay apart: how a collection is made, what all copies are asked, what is compared."""

from __future__ import annotations

from typing import Any

import pytest
from fake_qdrant import FakeCluster, FakeQdrant
from points_and_places import DIM, FINGERPRINT, page

from vlm2vec_rag.collection import Cluster, Collection, open_collection
from vlm2vec_rag.collection.replicas import compare_copies
from vlm2vec_rag.collection.retry import RetryPolicy
from vlm2vec_rag.errors import CollectionError, InvalidInput

PAGES = [page(number, source=f"{number % 5}.pdf", file_hash="h", file_points=12, encoded=True) for number in range(60)]


def opened(servers: FakeCluster, cluster: Cluster | None = None) -> Collection:
    collection = open_collection(servers.urls, fingerprint=FINGERPRINT, cluster=cluster)
    transport = collection._engine.client.http.client._client._transport
    transport.policy = RetryPolicy(times=1, first_s=0.001)
    return collection


@pytest.mark.parametrize(
    ("nodes", "asked", "made"),
    [
        (3, None, {"shard_number": 1, "replication_factor": 2}),
        (2, None, {"shard_number": 1}),
        (3, Cluster(replication_factor=3), {"shard_number": 1, "replication_factor": 3}),
        (3, Cluster(shard_number=6), {"shard_number": 6, "replication_factor": 2}),
        (3, Cluster(replication_factor=1), {"shard_number": 1, "replication_factor": 1}),
    ],
)
def test_a_cluster_of_three_keeps_two_copies_of_one_shard(nodes: int, asked: Cluster | None, made: Any) -> None:
    with FakeCluster(nodes) as cluster:
        with opened(cluster, asked) as collection:
            info = collection.info()
            assert (info.shards, info.copies) == (made["shard_number"], made.get("replication_factor", 1))
        creation = cluster.store.creations["default"].model_dump(exclude_none=True)
        placed = ("shard_number", "replication_factor", "write_consistency_factor")
        assert {name: creation[name] for name in placed if name in creation} == made


def test_a_single_server_is_asked_for_one_shard_and_no_copies(fake: FakeQdrant) -> None:
    open_collection(fake.url, fingerprint=FINGERPRINT).close()
    creation = fake.creations["default"]
    assert (creation.shard_number, creation.replication_factor) == (1, None)


def test_with_one_confirmation_writes_go_on_and_the_copy_that_was_away_catches_up() -> None:
    with FakeCluster() as cluster, opened(cluster) as collection:
        collection.upsert(PAGES[:30])
        cluster.kill(2)
        collection.upsert(PAGES[30:])
        assert collection.count() == 60
        cluster.revive(2)
        assert {collection.count() for _ in range(8)} == {60}
        assert compare_copies(collection).are_equal


def apart(cluster: FakeCluster) -> Collection:
    """A collection whose copies differ, as a refused write leaves them, while all call themselves Active."""
    collection = opened(cluster, Cluster(shard_number=3, replication_factor=2, write_consistency_factor=2))
    collection.upsert(PAGES[:30])
    cluster.kill(2)
    with pytest.raises(CollectionError, match="shards failed to apply operation"):
        collection.upsert(PAGES[30:])
    cluster.revive(2)
    return collection


def test_a_file_is_complete_only_when_all_copies_have_it() -> None:
    """The next run finds it incomplete, writes it again, and so heals the copies."""
    with FakeCluster() as cluster, apart(cluster) as collection:
        assert len({collection.count() for _ in range(8)}) > 1  # as it was seen
        for _ in range(4):  # whichever copy is asked
            assert not all(source.is_complete for source in collection.sources().values())
        collection.upsert(PAGES)
        for _ in range(4):
            assert all(source.is_complete for source in collection.sources().values())
        assert {collection.count() for _ in range(8)} == {60}


def test_vectors_are_reused_only_when_all_copies_have_them() -> None:
    with FakeCluster() as cluster, apart(cluster) as collection:
        hashes = [each.payload.content_hash for each in PAGES]
        counts = {len(collection.vectors_by_content(hashes)) for _ in range(4)}
        assert len(counts) == 1 and max(counts) < 60


def test_while_a_node_is_down_the_copies_that_answer_are_read(caplog: pytest.LogCaptureFixture) -> None:
    with FakeCluster() as cluster, opened(cluster, Cluster(shard_number=3)) as collection:
        collection.upsert(PAGES)
        cluster.kill(2)
        assert sum(source.points for source in collection.sources().values()) == 60
        told = [each.message for each in caplog.records if "copies cannot be compared" in each.message]
        assert told == ["default: a node is down, so copies cannot be compared; reading those that answer"]
        # asked once and not again: it cannot be had while the node is down
        asked = [each for node in cluster.nodes for each in node.requests if "consistency" in each.query]
        assert len(asked) == 1


def test_copies_that_differ_are_told() -> None:
    with FakeCluster() as cluster, apart(cluster) as collection:
        found = compare_copies(collection)
        assert not found.are_equal
        assert found.shards == 3 and found.copies == 2 and found.states == {"Active": 6}
        assert len(found.counts) > 1 and found.in_all_copies < max(found.counts)
        assert "write the same points again" in found.verdict
        collection.upsert(PAGES)
        assert compare_copies(collection).verdict == "all copies have the same 60 points"


def test_a_node_that_is_down_is_told() -> None:
    with FakeCluster() as cluster, opened(cluster, Cluster(shard_number=3)) as collection:
        collection.upsert(PAGES)
        cluster.kill(2)
        collection.upsert(PAGES)
        found = compare_copies(collection)
        assert found.nodes == 3 and found.nodes_away == ["http://127.0.0.1:7335/"]
        assert found.states["Dead"] >= 1 and not found.are_equal
        assert "1 of 3 nodes is away" in found.verdict


def test_a_server_of_its_own_has_nothing_to_compare(fake: FakeQdrant) -> None:
    with open_collection(fake.url, fingerprint=FINGERPRINT) as collection:
        collection.upsert(PAGES)
        found = compare_copies(collection)
        assert found.are_equal and (found.nodes, found.copies, found.in_all_copies) == (1, 1, 60)
    with open_collection(fingerprint=FINGERPRINT) as here, pytest.raises(InvalidInput, match="no server"):
        compare_copies(here)


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


def test_a_search_goes_on_while_a_node_is_down() -> None:
    with FakeCluster() as cluster, opened(cluster) as collection:
        collection.upsert([page(number, "cat") for number in range(30)])
        cluster.kill(0)
        assert len(collection.search([1.0] * DIM, "cat", limit=5)) == 5
