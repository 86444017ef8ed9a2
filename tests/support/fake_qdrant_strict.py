"""The bounds of the fake server's strict mode, with the refusals that a real one gives (single_node.jsonl)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class RateLimit:
    """So many requests a minute: as many at once as a minute has, and then one whenever its time has come."""

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._per_minute, self._tokens, self._at_s = per_minute, float(per_minute), now_s

    def take(self, now_s: float) -> bool:
        self._tokens = min(self._per_minute, self._tokens + (now_s - self._at_s) * self._per_minute / 60)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def check_strict(bounds: Mapping[str, Any], rest: str, asks: Any, indexes: Mapping[str, Any]) -> None:
    """Refuse a request that is over a bound.

    Raises:
        Refusal: Which, and by how much.
    """
    from fake_qdrant_store import Refusal

    if not bounds.get("enabled"):
        return
    body = asks.body if isinstance(asks.body, dict) else {}
    for name, value, key in _measured(rest, body, asks.query):
        most = bounds.get(key)
        if most is not None and value > most:
            raise Refusal(
                400,
                f'Bad request: Limit exceeded {_number(value)} > {_number(most)} for "{name}". '
                f'Help: Reduce the "{name}" parameter to or below {_number(most)}.',
            )
    if bounds.get("search_allow_exact") is False and any(_exact(body)):
        raise Refusal(400, "Bad request: Exact search disabled!. Help: Set exact=false.")
    is_update = rest in ("/points/delete", "/points/payload")
    if bounds.get(f"unindexed_filtering_{'update' if is_update else 'retrieve'}") is False:
        for field, types in _filtered_fields(body):
            if field not in indexes or indexes[field].data_type.value not in types:
                raise Refusal(
                    400,
                    f'Bad request: Index required but not found for "{field}" of one of the following types: '
                    f"[{', '.join(types)}]. Help: Create an index for this key or use a different filter.",
                )


def _number(value: float) -> str:
    return f"{value:g}"


def _measured(rest: str, body: Mapping[str, Any], query: Mapping[str, str]) -> Iterator[tuple[str, float, str]]:
    """(name in the refusal, value, name of the bound) of whatever has one."""
    searches = body.get("searches", [body])
    if len(searches) > 1:
        yield "search batch size", len(searches), "search_max_batchsize"
    for each in [*searches, *(inner for search in searches for inner in search.get("prefetch") or ())]:
        if rest == "/points" and "points" in each:
            yield "upsert limit", len(each["points"]), "upsert_max_batchsize"
        if "limit" in each:
            yield "limit", each["limit"], "max_query_limit"
        params = each.get("params") or {}
        if params.get("hnsw_ef") is not None:
            yield "hnsw_ef", params["hnsw_ef"], "search_max_hnsw_ef"
        if (params.get("quantization") or {}).get("oversampling") is not None:
            yield "oversampling", params["quantization"]["oversampling"], "search_max_oversampling"
        conditions = list(_conditions(each.get("filter")))
        yield "filter conditions", len(conditions), "filter_max_conditions"
        for condition in conditions:
            yield "condition size", len((condition.get("match") or {}).get("any") or ()), "condition_max_size"
    if "timeout" in query:
        yield "timeout", float(query["timeout"]), "max_timeout"


def _exact(body: Mapping[str, Any]) -> Iterator[bool]:
    yield bool(body.get("exact"))
    for search in body.get("searches", [body]):
        yield bool((search.get("params") or {}).get("exact"))
        for each in search.get("prefetch") or ():
            yield bool((each.get("params") or {}).get("exact"))


def _filtered_fields(body: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    searches = body.get("searches", [body])
    for each in [*searches, *(inner for search in searches for inner in search.get("prefetch") or ())]:
        for condition in _conditions(each.get("filter")):
            if "key" in condition:
                yield condition["key"], _types(condition)


def _conditions(condition: Any) -> Iterator[Mapping[str, Any]]:
    """Every condition that is no filter itself."""
    if not isinstance(condition, dict):
        return
    inner = [each for name in ("must", "should", "must_not") for each in _listed(condition.get(name))]
    if inner or not condition:
        for each in inner:
            yield from _conditions(each)
    elif not {"must", "should", "must_not"} & condition.keys():
        yield condition


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _types(condition: Mapping[str, Any]) -> list[str]:
    """The types of index that a condition needs."""
    if isinstance(condition.get("range"), dict):
        bounds = [each for each in condition["range"].values() if each is not None]
        return ["datetime"] if bounds and isinstance(bounds[0], str) else ["float", "integer"]
    match = condition.get("match") or {}
    values = match.get("any") or match.get("except") or [match.get("value")]
    if isinstance(values[0], bool):
        return ["bool"]
    return ["integer"] if isinstance(values[0], int) else ["keyword"]
