"""The bounds a server sets for requests, as managed clouds do with Qdrant's strict mode, and how they are kept.

They stand in the description of a collection (`config.strict_mode_config`). What a bound leaves possible is done in
smaller pieces; what it forbids is refused here, with the bound named.
"""

# ruff: noqa: A002  `filter` as in Collection
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm2vec_rag.collection.filters import Filter, is_pattern
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from qdrant_client import models

PAGE_POINTS = 256  # points per request when going through many: a megabyte of text, or of vectors
BATCH_POINTS = 256
HNSW_EF = 128
OVERSAMPLING = 2.0  # int8 does not rescore unless asked to, and recall@10 is 0.978 then, not 1.0

_LISTS = ("sources", "content_hashes", "file_hashes")  # fields of a Filter of which any one value suffices


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold; None where there is no bound."""

    points: int | None = None  # that an answer brings
    batch: int | None = None  # points of an upsert
    searches: int | None = None  # in one batch of searches
    hnsw_ef: int | None = None
    oversampling: float | None = None
    conditions: int | None = None  # of a filter
    values: int | None = None  # of one condition
    is_exact_allowed: bool = True  # searches that compare everything, and exact counts

    @classmethod
    def of(cls, strict: models.StrictModeConfig | models.StrictModeConfigOutput | None) -> Limits:
        if strict is None or not strict.enabled:
            return cls()
        return cls(
            points=strict.max_query_limit,
            batch=strict.upsert_max_batchsize,
            searches=strict.search_max_batchsize,
            hnsw_ef=strict.search_max_hnsw_ef,
            oversampling=strict.search_max_oversampling,
            conditions=strict.filter_max_conditions,
            values=strict.condition_max_size,
            is_exact_allowed=strict.search_allow_exact is not False,
        )

    @property
    def page_points(self) -> int:
        """How many points to read at a time."""
        return min(PAGE_POINTS, self.points or PAGE_POINTS)

    @property
    def batch_points(self) -> int:
        """How many points to write at a time."""
        return min(BATCH_POINTS, self.batch or BATCH_POINTS)

    def check_search(self, limit: int, *, exact: bool) -> None:
        """Refuse a search that the server would refuse.

        Raises:
            InvalidInput: It asks for too many points, or for a comparison with all where that is not allowed.
        """
        if self.points is not None and limit > self.points:
            raise InvalidInput(
                f"limit is {limit}, and this server's strict mode answers with at most {self.points} points "
                "(max_query_limit); ask for fewer"
            )
        if exact and not self.is_exact_allowed:
            raise InvalidInput(
                "this server's strict mode allows no exact search (search_allow_exact); search without exact"
            )

    def parts_of(self, filter: Filter | None, matched: Sequence[str] = ()) -> list[tuple[Filter | None, Sequence[str]]]:
        """A filter as several that stay below the bounds; whatever passes it passes exactly one of them.

        Args:
            filter: Its longest lists are cut.
            matched: The sources that its patterns stand for.

        Returns:
            Filters, each with the part of `matched` that goes with it.
        """
        if filter is None or self.values is None:
            return [(filter, matched)]
        by_list = [(filter, matched)] if len(filter.paths) + len(matched) <= self.values else []
        if not by_list:
            files, folders = _disjoint([path for path in filter.paths if not is_pattern(path)], matched)
            by_list = [(dataclasses.replace(filter, paths=part), ()) for part in self._cut(folders)]
            by_list += [(dataclasses.replace(filter, paths=()), part) for part in self._cut(files)]
        for name in _LISTS:
            values = list(dict.fromkeys(getattr(filter, name)))
            if len(values) > self.values:
                by_list = [
                    (dataclasses.replace(each, **{name: part}), sources)  # type: ignore[arg-type]
                    for each, sources in by_list
                    if each is not None
                    for part in self._cut(values)
                ]
        return list(by_list)

    def _cut(self, values: Sequence[str]) -> Iterator[Sequence[str]]:
        size = self.values or len(values)
        return (values[at : at + size] for at in range(0, len(values), size))


def _disjoint(paths: Iterable[str], matched: Iterable[str]) -> tuple[list[str], list[str]]:
    """(files, folders) without those that lie in another of the folders, so that no point is counted twice."""
    given = list(dict.fromkeys([*paths, *matched]))
    matched = set(matched)
    folders = [path for path in given if path.endswith("/") and path not in matched]
    outer = [path for path in given if not any(path.startswith(each) and path != each for each in folders)]
    return [path for path in outer if path not in folders], [path for path in outer if path in folders]
