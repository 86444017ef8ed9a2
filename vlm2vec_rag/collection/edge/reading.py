"""The reading half of `EdgeClient`: search, scroll, retrieve, count, facet."""

# ruff: noqa: PLR0917  the arguments are QdrantClient's, in its order
from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # `models.QueryResponse` is another one, of fastembed

from vlm2vec_rag.collection.edge import from_edge, to_edge
from vlm2vec_rag.collection.edge.shard import Shard
from vlm2vec_rag.errors import InvalidInput


class Reading:
    """Reads of one collection each, named as in `qdrant_client.QdrantClient`."""

    def _shard(self, name: str) -> Shard:
        """The shard of a collection; the client that this is mixed into knows it."""
        raise NotImplementedError

    def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: Any = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = to_edge.DEFAULT_LIMIT,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        **_: Any,
    ) -> QueryResponse:
        request = models.QueryRequest.model_construct(
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            limit=limit,
            offset=offset,
            with_payload=with_payload,
            with_vector=with_vectors,
            score_threshold=score_threshold,
        )
        return self.query_batch_points(collection_name, [request])[0]

    def query_batch_points(
        self, collection_name: str, requests: Sequence[models.QueryRequest], **_: Any
    ) -> list[QueryResponse]:
        shard = self._shard(collection_name)

        def resolve(query: Any, using: str) -> Any:
            if isinstance(query, int | str | UUID):
                return _vector_of_point(shard, query, using)
            return shard.rules.one(using, query, of="the query")

        batch = edge.QueryBatchRequest([to_edge.request_of(each, resolve) for each in requests])
        answers = zip(requests, shard.engine.query_batch(batch), strict=True)
        return [QueryResponse.model_construct(points=_scored(found, request)) for request, found in answers]

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = to_edge.DEFAULT_LIMIT,
        order_by: models.OrderBy | str | None = None,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        **_: Any,
    ) -> tuple[list[models.Record], int | str | None]:
        request = edge.ScrollRequest(
            offset=None if offset is None else to_edge.id_of(offset),
            limit=limit,
            filter=to_edge.filter_of(scroll_filter),
            with_payload=to_edge.payload_of(with_payload),
            with_vector=to_edge.vectors_of(with_vectors),
            order_by=None if order_by is None else to_edge.order_of(order_by),
        )
        records, following = self._shard(collection_name).engine.scroll(request)
        return [from_edge.record(each) for each in records], None if following is None else from_edge.id_of(following)

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: Any = False,
        **_: Any,
    ) -> list[models.Record]:
        found = self._shard(collection_name).engine.retrieve(
            [to_edge.id_of(each) for each in ids], to_edge.payload_of(with_payload), to_edge.vectors_of(with_vectors)
        )
        return [from_edge.record(each) for each in found]

    def count(
        self, collection_name: str, count_filter: models.Filter | None = None, exact: bool = True, **_: Any
    ) -> models.CountResult:
        request = edge.CountRequest(exact=exact, filter=to_edge.filter_of(count_filter))
        return models.CountResult(count=self._shard(collection_name).engine.count(request))

    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: models.Filter | None = None,
        limit: int = to_edge.DEFAULT_LIMIT,
        exact: bool = False,
        **_: Any,
    ) -> models.FacetResponse:
        request = edge.FacetRequest(key, limit=limit, exact=exact, filter=to_edge.filter_of(facet_filter))
        hits = self._shard(collection_name).engine.facet(request).hits
        return models.FacetResponse(hits=[models.FacetValueHit(value=hit.value, count=hit.count) for hit in hits])


def _scored(found: Sequence[Any], request: models.QueryRequest) -> list[models.ScoredPoint]:
    return [from_edge.scored_point(each, with_vectors=bool(request.with_vector)) for each in found]


def _vector_of_point(shard: Shard, point_id: Any, using: str) -> Any:
    found = shard.engine.retrieve([to_edge.id_of(point_id)], False, shard.rules.known([using]))
    vectors = found[0].vector if found else {}
    if using not in vectors:
        raise InvalidInput(f"there is no point {point_id} with a vector {using!r} to search by")
    return vectors[using]
