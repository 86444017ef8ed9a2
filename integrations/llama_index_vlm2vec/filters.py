"""LlamaIndex's metadata filters in Qdrant's terms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from vlm2vec_rag.collection.filters import field_path
from vlm2vec_rag.collection.points import FIELDS
from vlm2vec_rag.documents import METADATA_FIELDS
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from qdrant_client import models

_STORED = (frozenset(METADATA_FIELDS) & FIELDS) | {"file_hash", "modified_at"}


def condition(filters: MetadataFilters | None) -> models.Filter | None:
    """The filters as Qdrant takes them; None where everything passes.

    A name means what it means in a node's metadata, whether it stands for a field of a file (`kind`, `source`, `page`)
    or for one of the user's own; `file_path` is `source`.

    Raises:
        InvalidInput: An operator or a field cannot be filtered; the message says what can.
    """
    if filters is None or not filters.filters:
        return None
    from qdrant_client import models

    parts: list[Any] = []
    for each in filters.filters:
        made = condition(each) if isinstance(each, MetadataFilters) else _one(each)
        if made is not None:
            parts.append(made)
    match filters.condition:
        case FilterCondition.OR:
            return models.Filter(should=parts)
        case FilterCondition.NOT:
            return models.Filter(must_not=parts)
    return models.Filter(must=parts)


def _one(wanted: MetadataFilter) -> models.Filter:
    from qdrant_client import models

    if wanted.key in ("place", "file_name"):
        raise InvalidInput(
            f"{wanted.key!r} cannot be filtered; filter by 'source' (the path), and by 'page', or 'start_s' and 'end_s'"
        )
    name = "source" if wanted.key == "file_path" else wanted.key
    keys = [field_path("metadata", *wanted.key.split("."))]
    if name in _STORED:
        keys.insert(0, name)
    make, is_negated = _operator(wanted)
    parts = [make(key) for key in keys]
    if wanted.operator == FilterOperator.IS_EMPTY or wanted.value is None:
        return models.Filter(must_not=parts) if is_negated else models.Filter(must=parts)
    found_in_any = models.Filter(should=parts)
    return models.Filter(must_not=[found_in_any]) if is_negated else found_in_any


def _operator(wanted: MetadataFilter) -> tuple[Callable[[str], Any], bool]:
    """How a field is compared, as a function of its path; and whether points that match are left out instead."""
    from qdrant_client import models

    value: Any = wanted.value
    values = value if isinstance(value, list) else [value]
    make: Callable[[str], Any]
    match wanted.operator:
        case FilterOperator.EQ | FilterOperator.NE | FilterOperator.CONTAINS:
            make = partial(_equals, value=value)
        case FilterOperator.IN | FilterOperator.NIN | FilterOperator.ANY:
            make = lambda key: models.Filter(should=[_equals(key, each) for each in values])  # noqa: E731
        case FilterOperator.ALL:
            make = lambda key: models.Filter(must=[_equals(key, each) for each in values])  # noqa: E731
        case FilterOperator.GT | FilterOperator.GTE | FilterOperator.LT | FilterOperator.LTE:
            within = models.Range(**{wanted.operator.name.lower(): value})
            make = lambda key: models.FieldCondition(key=key, range=within)  # noqa: E731
        case FilterOperator.TEXT_MATCH:
            words = models.MatchText(text=str(value))
            make = lambda key: models.FieldCondition(key=key, match=words)  # noqa: E731
        case FilterOperator.IS_EMPTY:
            make = partial(_equals, value=None)
        case _:
            raise InvalidInput(
                f"filters cannot compare {wanted.key!r} with {wanted.operator.value!r}; expected one of "
                "==, !=, >, >=, <, <=, in, nin, any, all, contains, text_match, is_empty"
            )
    return make, wanted.operator in (FilterOperator.NE, FilterOperator.NIN)


def _equals(key: str, value: Any) -> Any:
    from qdrant_client import models

    if value is None:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
    if isinstance(value, float):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
