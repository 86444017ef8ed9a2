"""The test server answers as a real one did: every recorded exchange is replayed against it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_qdrant import FakeQdrant
from fake_qdrant_access import Access
from fake_qdrant_cluster import Cluster
from qdrant_recordings import exchanges, is_covered

IGNORED = frozenset(
    {
        # numbers that a server gives to operations, and that say nothing of the answer
        "operation_id", "version", "time", "usage", "commit",
        # of one server's own clock, disk and network
        "creation_time", "checksum", "size", "raft_info", "consensus_thread_status", "message_send_failures",
        # how far its optimizer had come
        "segments_count", "indexed_vectors_count",
    }
)  # fmt: skip


def ask(client: httpx.Client, exchange: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[int, Any]:
    body = exchange["body"]
    if isinstance(body, str):  # written down in words, being 34 MB long
        body = {"points": [{"id": 1, "vector": {}, "payload": {"text": "x" * 34_000_000}}]}
    response = client.request(exchange["method"], exchange["path"], json=body, headers=headers)
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, response.text


def differences(expected: Any, given: Any, at: str = "") -> Iterator[str]:
    """Where two answers differ, but for what says nothing and for the order of equal scores."""
    if isinstance(expected, dict) and isinstance(given, dict):
        for key in expected.keys() | given.keys():
            if key in IGNORED or (expected.get(key) is None and given.get(key) is None):
                continue
            yield from differences(expected.get(key), given.get(key), f"{at}.{key}")
    elif isinstance(expected, list) and isinstance(given, list):
        yield from _list_differences(expected, given, at)
    elif isinstance(expected, float) and isinstance(given, int | float):
        if not math.isclose(expected, given, rel_tol=1e-5, abs_tol=1e-6):
            yield f"{at}: {expected} there, {given} here"
    elif isinstance(expected, str) and isinstance(given, str):
        if _essence(expected) != _essence(given):
            yield f"{at}: {expected!r} there, {given!r} here"
    elif expected != given:
        yield f"{at}: {expected!r} there, {given!r} here"


def _list_differences(expected: list[Any], given: list[Any], at: str) -> Iterator[str]:
    if expected and isinstance(expected[0], dict) and "score" in expected[0]:
        yield from _ranking_differences(expected, given, at)
    elif len(expected) != len(given):
        yield f"{at}: {len(expected)} there, {len(given)} here"
    else:
        for number, pair in enumerate(zip(_sorted(expected), _sorted(given), strict=True)):
            yield from differences(*pair, f"{at}[{number}]")


def _essence(text: str) -> str:
    """A text without what is a clock's, or one of several wordings of the network's library."""
    text = re.sub(r"Tonic status error.*", "", text, flags=re.DOTALL)
    text = re.sub(r"JSON payload \(\d+ bytes\)", "JSON payload", text)
    return re.sub(r"-.*\.snapshot$", ".snapshot", text)


def fused_differences(client: httpx.Client, exchange: dict[str, Any], given: Any) -> Iterator[str]:
    """Where two fused rankings differ by more than the order in which each server ranks equal scores.

    Qdrant's sum: 1 / ((rank / weight) + k - 1) over the sides, ranks from 1.
    """
    rrf = exchange["body"]["query"]["rrf"]
    bounds: dict[Any, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for side, weight in zip(exchange["body"]["prefetch"], rrf.get("weights", [1.0, 1.0]), strict=True):
        alone = client.post(f"{exchange['path']}/batch", json={"searches": [{**side, "limit": 100}]}).json()
        points = alone["result"][0]["points"]
        scores = {each["id"]: round(each["score"], 5) for each in points}
        for point, score in scores.items():
            first = 1 + sum(other > score for other in scores.values())
            last = sum(other >= score for other in scores.values())
            if first <= side["limit"]:
                bounds[point][1] += 1 / (first / weight + rrf["k"] - 1)
            if last <= side["limit"]:
                bounds[point][0] += 1 / (last / weight + rrf["k"] - 1)
    for name, answer in (("there", exchange["answer"]), ("here", given)):
        for point in answer["result"]["points"]:
            low, high = bounds[point["id"]]
            if not low - 1e-6 <= point["score"] <= high + 1e-6:
                yield f"{point['id']} has {point['score']} {name}, expected {low} to {high}"


def _sorted(values: list[Any]) -> list[Any]:
    """Lists whose order is no promise: names, facets of equal count, shards."""
    if values and isinstance(values[0], dict):
        for names in (("name",), ("id", "hits"), ("alias_name",), ("value",), ("shard_id", "peer_id")):
            if names[0] in values[0]:
                return sorted(values, key=lambda each: [str(each.get(name)) for name in names])
    return values


def _ranking_differences(expected: list[Any], given: list[Any], at: str) -> Iterator[str]:
    if [round(each["score"], 4) for each in expected] != [round(each["score"], 4) for each in given]:
        yield f"{at}: scores {[each['score'] for each in expected]} there, {[each['score'] for each in given]} here"
        return
    groups: dict[str, tuple[dict[Any, Any], dict[Any, Any]]] = defaultdict(lambda: ({}, {}))
    for side, points in enumerate((expected, given)):
        for each in points:
            groups[f"{each['score']:.4f}"][side][each["id"]] = {name: each.get(name) for name in ("payload", "vector")}
    last = f"{expected[-1]['score']:.4f}"
    for score, (there, here) in groups.items():
        # of the points that share the last score, a limit may leave out any
        if score != last and there.keys() != here.keys():
            yield f"{at}: at score {score} {sorted(there)} there, {sorted(here)} here"
        for each in there.keys() & here.keys():
            yield from differences(there[each], here[each], f"{at}.{each}")


def replayed(fake: FakeQdrant, name: str, prepare: Any = None, headers: Any = None) -> list[str]:
    """What differs, one line each."""
    apart = []
    with httpx.Client(base_url=fake.url, timeout=60) as client:
        for exchange in exchanges(name):
            if prepare:
                prepare(exchange)
            status, answer = ask(client, exchange, headers(exchange) if headers else None)
            label = f"{exchange.get('case') or exchange.get('test')}: {exchange['method']} {exchange['path']}"
            if status != exchange["status"]:
                apart.append(f"{label}: status {exchange['status']} there, {status} here ({answer})")
            elif "prefetch" in (exchange["body"] or ()):
                apart.extend(f"{label}: {each}" for each in fused_differences(client, exchange, answer))
            else:
                apart.extend(f"{label}: {each}" for each in differences(exchange["answer"], answer))
    return apart


def test_the_contracts_exchanges_are_answered_as_recorded() -> None:
    with FakeQdrant() as fake:
        assert replayed(fake, "contract.jsonl.gz") == []
        assert len(fake.requests) == 1116


def test_one_nodes_exchanges_are_answered_as_recorded() -> None:
    with FakeQdrant() as fake:
        for name in ("restored", "special"):  # were there already
            httpx.put(f"{fake.url}/collections/{name}", json={"vectors": {"dense": {"size": 4, "distance": "Cosine"}}})
        action = {"create_alias": {"collection_name": "special", "alias_name": "special-alias"}}
        httpx.post(f"{fake.url}/collections/aliases", json={"actions": [action]})
        assert replayed(fake, "single_node.jsonl") == []


def test_keys_and_tokens_are_answered_as_recorded() -> None:
    keys = {
        "full key": "full", "wrong key": "wrong", "read-only key": "read-only", "token: read all": "reads all",
        "token: read c": "reads c", "token: write c": "writes c", "token: expired": "old",
        "token: another collection": "reads other",
    }  # fmt: skip
    tokens = {
        "reads all": Access(writes=None),
        "reads c": Access(reads="c", writes=None),
        "writes c": Access(reads="c", writes="c"),
        "old": Access(is_expired=True),
        "reads other": Access(reads="another"),
    }
    with FakeQdrant(api_key="full", read_only_key="read-only", tokens=tokens) as fake:
        body = {"vectors": {"dense": {"size": 4, "distance": "Cosine"}}}
        httpx.put(f"{fake.url}/collections/other", json=body, headers={"api-key": "full"})

        def headers(exchange: dict[str, Any]) -> dict[str, str]:
            key = next((key for case, key in keys.items() if exchange["case"].startswith(case)), None)
            return {"api-key": key} if key else {}

        assert replayed(fake, "keys.jsonl", headers=headers) == []


def test_three_nodes_exchanges_are_answered_as_recorded() -> None:
    peers = [6246785285009975, 2981540466954118, 30104700196731]
    cluster = Cluster(3, ports=[7135, 7235, 7335], peers=peers)
    where = next(each for each in exchanges("three_nodes.jsonl") if each["case"] == "where its shards are")["answer"]
    placement: dict[int, list[int]] = defaultdict(list)
    for copy in where["result"]["local_shards"]:
        placement[copy["shard_id"]].append(0)
    for copy in where["result"]["remote_shards"]:
        placement[copy["shard_id"]].append(peers.index(copy["peer_id"]))
    with FakeQdrant(cluster=cluster) as fake:

        def prepare(exchange: dict[str, Any]) -> None:
            case = exchange["case"]
            if case == "create, 6 shards twice":
                cluster.placement = dict(placement)
            elif case == "search, one node dead":
                cluster.is_up[2] = False
            elif case.startswith("shards while it comes back"):
                cluster.recover(2)

        apart = replayed(fake, "three_nodes.jsonl", prepare)
    # which shard a point goes to is the server's own secret
    assert [each for each in apart if "points_count" not in each] == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "missing"),
    [
        ("POST", "/collections/c/points/query", {}, {"query": [1.0], "limit": 3}, ""),
        ("POST", "/collections/c/points/query", {"consistency": "all"}, {"query": [1.0]}, ""),
        ("POST", "/collections/c/points/query", {"speed": "9"}, {}, "POST /collections/*/points/query?speed"),
        (
            "POST", "/collections/c/points/query", {}, {"query": [1.0], "lookup_from": {"collection": "d"}},
            "POST /collections/*/points/query .lookup_from.collection string",
        ),
        ("POST", "/collections/c/points/recommend", {}, {}, "POST /collections/*/points/recommend"),
    ],
)  # fmt: skip
def test_what_no_recording_has_is_told(method: str, path: str, query: dict[str, str], body: Any, missing: str) -> None:
    assert is_covered(method, path, query, body) == missing


def test_a_request_that_no_recording_covers_fails_the_test_that_sends_it() -> None:
    with (
        pytest.raises(
            AssertionError, match="no recording of a real server covers: POST /collections/\\*/points/nonsense"
        ),
        FakeQdrant() as fake,
    ):
        assert httpx.post(f"{fake.url}/collections/c/points/nonsense", json={}).status_code == 501
