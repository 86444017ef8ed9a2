"""What was recorded of a real Qdrant server, and which requests are covered by it.

tests/data/qdrant_wire holds exchanges with 1.18.3 of 2026-11-30. A request is covered when every part of it was seen in
some recorded request to the same path: the fields of its body and what kind of value each has, names of collections,
vectors and payload fields aside, and the arguments behind its path.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "data" / "qdrant_wire"
FILES = ("contract.jsonl.gz", "single_node.jsonl", "keys.jsonl", "three_nodes.jsonl")

# Sent, though no recording has it: what is believed without having been recorded, and on what ground.
NOT_RECORDED: dict[str, str] = {
    r"POST /collections/\*/points/query \.prefetch\[\]\.(filter|params)": (
        "both are fields of a prefetch in Qdrant's API, as of a query; sent by hand to 1.18.3 when fusion was timed"
    ),
    r"POST /collections/aliases \.actions\[\]\.delete_alias\.alias_name string": (
        "the counterpart of create_alias in Qdrant's API; several actions of one request are taken together"
    ),
    r"POST /collections/\*/points/query \.with_vector": (
        "a field of every read in Qdrant's API; recorded for scroll and retrieve, and LlamaIndex's own store asks so"
    ),
    r"Condition \.range\.(lte|gt) string": (
        "the other two ends of a range of times in Qdrant's API; gte and lt were recorded"
    ),
    r"POST /collections/\*/points/scroll\?consistency": (
        "recorded for a query; every read of Qdrant's API takes it, and counts of copies were compared so by hand"
    ),
}


def exchanges(name: str) -> Iterator[dict[str, Any]]:
    """The exchanges of one recording, in order."""
    path = FOLDER / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    return (json.loads(line) for line in text.splitlines())


def is_covered(method: str, path: str, query: dict[str, str], body: Any) -> str:
    """Empty when it is; else the first part of the request that no recording has."""
    known = _recorded()
    for part in parts(method, path, query, body):
        if part not in known and not any(re.fullmatch(pattern, part) for pattern in NOT_RECORDED):
            return part
    return ""


def parts(method: str, path: str, query: dict[str, str], body: Any) -> Iterator[str]:
    """A request in parts, such as `POST /collections/*/points/query .prefetch[].limit number`.

    What Qdrant's API defines once and uses in many places is one part wherever it stands: filters and their conditions,
    queries, search parameters.
    """
    where = f"{method} {re.sub(r'/collections/(?!aliases)[^/]+', '/collections/*', path)}"
    where = re.sub(r"/vectors/[^/]+", "/vectors/*", where)
    yield where
    for name in query:
        yield f"{where}?{name}"
    yield from _inside(body, f"{where} ")


_FREE = frozenset({"payload", "metadata"})  # whatever a user puts there
_NAMED = frozenset({"vector", "vectors", "sparse_vectors"})  # by names that are free
_SHARED = {
    "query": "Query ",
    "params": "SearchParams ",
    "with_payload": "WithPayload ",
    "with_vector": "WithVector ",
}
_CLAUSES = ("must", "should", "must_not")


def _inside(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if each is not None:
                yield from _field(key, each, at)
    elif isinstance(value, list):
        for each in value[:1] if value and isinstance(value[0], int | float | str) else value:
            yield from _inside(each, f"{at}[]")
    else:
        yield f"{at} {_kind(value)}"


def _field(key: str, value: Any, at: str) -> Iterator[str]:
    if key in _FREE:
        yield f"{at}.{key}"
    elif key in _NAMED and isinstance(value, dict):
        for inner in value.values():
            yield from _inside(inner, f"{at}.{key}.*")
    elif key == "filter" and isinstance(value, dict):
        yield f"{at}.filter"
        yield from _filter(value)
    elif key in _SHARED:
        yield f"{at}.{key}"
        yield from _inside(value, _SHARED[key])
    else:
        yield from _inside(value, f"{at}.{key}")


def _filter(value: dict[str, Any]) -> Iterator[str]:
    for clause, conditions in value.items():
        if conditions is None:
            continue
        yield f"Filter .{clause}"
        for each in conditions if isinstance(conditions, list) else [conditions]:
            yield from _filter(each) if set(_CLAUSES) & each.keys() else _inside(each, "Condition ")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "string"


@functools.cache
def _recorded() -> frozenset[str]:
    seen: set[str] = set()
    for name in FILES:
        for each in exchanges(name):
            path, _, query = each["path"].partition("?")
            arguments = dict(pair.split("=") for pair in query.split("&")) if query else {}
            body = None if isinstance(each["body"], str) else each["body"]
            seen.update(parts(each["method"], path, arguments, body))
    return frozenset(seen)
