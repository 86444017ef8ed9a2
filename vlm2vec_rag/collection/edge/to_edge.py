"""qdrant-client's request models as the embedded engine's own: filters, rankings, search parameters, selections.

Read with the module's name: `to_edge.filter_of(condition)`, `to_edge.ranking_of(query, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timezone
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from vlm2vec_rag.errors import InvalidInput

Resolve: TypeAlias = Callable[[Any, str], Any]
"""Gives the vector a query means: looks up the one of a point that is named by its id, and checks any other."""

DEFAULT_LIMIT = 10
DEFAULT_RRF_K = 2  # Qdrant's own, when a request names none
DEFAULT_MMR_DIVERSITY = 0.5
DEFAULT_MMR_CANDIDATES = 100


def unsupported(what: object) -> InvalidInput:
    return InvalidInput(f"the embedded engine cannot be asked for {what}; use a Qdrant server for that")


def filter_of(condition: models.Filter | None) -> Any:
    if condition is None:
        return None
    return edge.Filter(
        must=_conditions(condition.must),
        should=_conditions(condition.should),
        must_not=_conditions(condition.must_not),
        min_should=_min_should(condition.min_should),
    )


def _min_should(least: models.MinShould | None) -> Any:
    return None if least is None else edge.MinShould(_conditions(least.conditions) or [], least.min_count)


def _conditions(conditions: Any) -> list[Any] | None:
    if conditions is None:
        return None
    return [_condition(each) for each in (conditions if isinstance(conditions, list) else [conditions])]


def _condition(condition: Any) -> Any:
    if type(condition) not in _CONDITIONS:
        raise unsupported(f"a filter on {type(condition).__name__}")
    return _CONDITIONS[type(condition)](condition)


def _field_condition(condition: models.FieldCondition) -> Any:
    parts: dict[str, Any] = {"key": condition.key}
    if condition.match is not None:
        parts["match"] = _match(condition.match)
    if condition.range is not None:
        parts["range"] = _range(condition.range)
    if condition.values_count is not None:
        parts["values_count"] = edge.ValuesCount(**condition.values_count.model_dump())
    if condition.geo_radius is not None:
        parts["geo_radius"] = edge.GeoRadius(_geo_point(condition.geo_radius.center), condition.geo_radius.radius)
    if condition.geo_bounding_box is not None:
        box = condition.geo_bounding_box
        parts["geo_bounding_box"] = edge.GeoBoundingBox(_geo_point(box.top_left), _geo_point(box.bottom_right))
    if condition.geo_polygon is not None:
        raise unsupported("a filter on a polygon")
    for name in ("is_empty", "is_null"):
        if (value := getattr(condition, name)) is not None:
            parts[name] = value
    return edge.FieldCondition(**parts)


def _match(wanted: Any) -> Any:
    if type(wanted) not in _MATCHES:
        raise unsupported(f"a filter on {type(wanted).__name__}")
    return _MATCHES[type(wanted)](wanted)


def _scalar(value: Any) -> Any:
    # the engine (0.9.0) reads Python's True as the number 1, which no stored `true` equals; NumPy's it reads rightly
    return np.bool_(value) if isinstance(value, bool) else value


def _range(bounds: models.Range | models.DatetimeRange) -> Any:
    ends = {name: getattr(bounds, name) for name in ("gte", "gt", "lte", "lt")}
    if isinstance(bounds, models.DatetimeRange):
        return edge.RangeDateTime(**{name: _rfc3339(end) for name, end in ends.items()})
    return edge.RangeFloat(**ends)


def _rfc3339(time: datetime | date | None) -> str | None:
    if isinstance(time, datetime) and time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)  # a server reads a time without a zone so
    return None if time is None else time.isoformat()


def _geo_point(point: models.GeoPoint) -> Any:
    return edge.GeoPoint(point.lon, point.lat)


_CONDITIONS: dict[type, Callable[[Any], Any]] = {
    models.Filter: filter_of,
    models.FieldCondition: _field_condition,
    models.HasIdCondition: lambda each: edge.HasIdCondition({id_of(point_id) for point_id in each.has_id}),
    models.HasVectorCondition: lambda each: edge.HasVectorCondition(each.has_vector),
    models.IsEmptyCondition: lambda each: edge.IsEmptyCondition(each.is_empty.key),
    models.IsNullCondition: lambda each: edge.IsNullCondition(each.is_null.key),
    models.NestedCondition: lambda each: edge.NestedCondition(each.nested.key, filter_of(each.nested.filter)),
}
_MATCHES: dict[type, Callable[[Any], Any]] = {
    models.MatchValue: lambda each: edge.MatchValue(_scalar(each.value)),
    models.MatchAny: lambda each: edge.MatchAny(list(each.any)),
    models.MatchExcept: lambda each: edge.MatchExcept(list(each.except_)),
    models.MatchText: lambda each: edge.MatchText(each.text),
    models.MatchTextAny: lambda each: edge.MatchTextAny(each.text_any),
    models.MatchPhrase: lambda each: edge.MatchPhrase(each.phrase),
    models.MatchPrefix: lambda each: edge.MatchPrefix(each.prefix),
    models.MatchSubstring: lambda each: edge.MatchSubstring(each.substring),
}


def ranking_of(query: Any, using: str | None, resolve: Resolve) -> Any:
    """What points are ranked by: a vector, an order, or the fusion of what was prefetched."""
    if query is None:
        return None
    if type(query) in _RANKINGS:
        return _RANKINGS[type(query)](query)
    nearest = query.nearest if isinstance(query, models.NearestQuery) else query
    if not isinstance(nearest, list | tuple | np.ndarray | models.SparseVector | int | str | UUID):
        raise unsupported(f"a query of type {type(nearest).__name__}")
    vector = vector_of(resolve(nearest, using or ""))
    if isinstance(query, models.NearestQuery) and query.mmr is not None:
        diversity = DEFAULT_MMR_DIVERSITY if query.mmr.diversity is None else query.mmr.diversity
        return edge.Mmr(vector, 1 - diversity, query.mmr.candidates_limit or DEFAULT_MMR_CANDIDATES, using)
    return edge.Query.Nearest(vector, using=using)


def vector_of(vector: Any) -> Any:
    """One vector: dense, a list of dense ones, or sparse."""
    if isinstance(vector, models.SparseVector):
        return edge.SparseVector(list(vector.indices), list(vector.values))
    # the engine takes lists of floats 6 times as fast as arrays
    return vector.tolist() if isinstance(vector, np.ndarray) else vector


def prefetches_of(prefetch: Any, resolve: Resolve) -> list[Any] | None:
    if not prefetch:
        return None
    return [
        edge.Prefetch(
            limit=each.limit or DEFAULT_LIMIT,
            query=ranking_of(each.query, each.using, resolve),
            prefetches=prefetches_of(each.prefetch, resolve),
            params=params_of(each.params),
            filter=filter_of(each.filter),
            score_threshold=each.score_threshold,
        )
        for each in (prefetch if isinstance(prefetch, list) else [prefetch])
    ]


def request_of(request: models.QueryRequest, resolve: Resolve) -> Any:
    return edge.QueryRequest(
        limit=request.limit or DEFAULT_LIMIT,
        offset=request.offset or 0,
        query=ranking_of(request.query, request.using, resolve),
        prefetches=prefetches_of(request.prefetch, resolve),
        with_vector=vectors_of(request.with_vector),
        with_payload=payload_of(request.with_payload),
        filter=filter_of(request.filter),
        score_threshold=request.score_threshold,
        params=params_of(request.params),
    )


def params_of(params: models.SearchParams | None) -> Any:
    if params is None:
        return None
    quantization = None
    if params.quantization is not None:
        quantization = edge.QuantizationSearchParams(
            ignore=bool(params.quantization.ignore),
            rescore=params.quantization.rescore,
            oversampling=params.quantization.oversampling,
        )
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=quantization,
    )


def order_of(order: models.OrderBy | str) -> Any:
    if isinstance(order, str):
        return edge.OrderBy(order)
    directions = {None: None, models.Direction.ASC: edge.Direction.Asc, models.Direction.DESC: edge.Direction.Desc}
    start: Any = order.start_from.isoformat() if isinstance(order.start_from, date) else order.start_from
    return edge.OrderBy(order.key, direction=directions[order.direction], start_from=start)


_RANKINGS: dict[type, Callable[[Any], Any]] = {
    models.FusionQuery: lambda each: (
        edge.Fusion.Rrf(k=DEFAULT_RRF_K) if each.fusion == models.Fusion.RRF else edge.Fusion.Dbsf()
    ),
    models.RrfQuery: lambda each: edge.Fusion.Rrf(k=each.rrf.k or DEFAULT_RRF_K, weights=each.rrf.weights),
    models.OrderByQuery: lambda each: order_of(each.order_by),
    models.SampleQuery: lambda each: edge.Sample.Random,
}


def payload_of(selector: Any) -> Any:
    """Which payload fields an answer brings: all, none, or some by name."""
    match selector:
        case None | bool():
            return bool(selector)
        case models.PayloadSelectorInclude():
            return edge.PayloadSelector.Include(list(selector.include))
        case models.PayloadSelectorExclude():
            return edge.PayloadSelector.Exclude(list(selector.exclude))
    return edge.PayloadSelector.Include(list(selector))


def vectors_of(selector: bool | Sequence[str] | None) -> Any:
    """Which vectors an answer brings: all, none, or some by name."""
    return bool(selector) if selector is None or isinstance(selector, bool) else list(selector)


def selection_of(selector: Any) -> tuple[list[Any] | None, Any]:
    """Which points an update is for: (ids, None) or (None, filter)."""
    match selector:
        case models.Filter():
            return None, filter_of(selector)
        case models.FilterSelector():
            return None, filter_of(selector.filter)
        case models.PointIdsList():
            return [id_of(each) for each in selector.points], None
        case list() | tuple():
            return [id_of(each) for each in selector], None
    return [id_of(selector)], None


def id_of(point_id: Any) -> int | str:
    """An id as the engine takes it: a whole number from 0, or a UUID.

    Raises:
        InvalidInput: It is neither.
    """
    if isinstance(point_id, int) and not isinstance(point_id, bool) and 0 <= point_id < 2**64:
        return point_id
    try:
        return str(point_id if isinstance(point_id, UUID) else UUID(point_id))
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"point id {point_id!r} is neither a whole number from 0 nor a UUID") from None
