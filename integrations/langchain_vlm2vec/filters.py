"""What LangChain users pass as `filter`, in the collection's terms."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.document_filters import DocumentFilters, Operator, all_of, any_of, negation, over_documents
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS, Kind

if TYPE_CHECKING:
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection

Wanted: TypeAlias = "Filter | models.Filter | Mapping[str, Any] | None"
"""A `vlm2vec_rag.collection.Filter`, a `qdrant_client.models.Filter`, or a dict of metadata."""

_OPERATORS: dict[str, Operator] = {
    "$eq": "==",
    "$ne": "!=",
    "$gt": ">",
    "$gte": ">=",
    "$lt": "<",
    "$lte": "<=",
    "$in": "in",
    "$nin": "nin",
    "$all": "all",
    "$contains": "contains text",
    "$icontains": "contains text of any case",
}
_JOINED = ("$and", "$or", "$nor", "$not")


def condition(filter: Wanted, collection: Collection) -> Filter | models.Filter | None:
    """The filter as a collection takes it.

    In a dict, a name means what it means in `Document.metadata`, whether it stands for a field of a file
    (`{"kind": "page", "source": "/media/report.pdf"}`) or for one of the user's own; a list means one of its values,
    of which an empty one has none. A value may be compared (`{"n": {"$gte": 2, "$lt": 9}}`), and conditions are joined
    with `$and`, `$or`, `$nor` and `$not`. A nested dict is a nested field, and so is a name with dots. In Qdrant's own
    filters `metadata.kind` and the like also mean the fields of files.

    Raises:
        InvalidInput: It is none of the three, or an operator or value makes no sense; the message names it.
    """
    from qdrant_client import models

    if filter is None or isinstance(filter, Filter):
        return filter
    if isinstance(filter, models.Filter):
        return over_documents(filter, DocumentFilters(collection))
    if not isinstance(filter, Mapping):
        raise InvalidInput(
            f"filter is a {type(filter).__name__}; expected a vlm2vec_rag Filter, a qdrant_client models.Filter, "
            "or a dict of metadata such as {'kind': 'page'}"
        )
    return _mapping(filter, DocumentFilters(collection))


def target(filter: Wanted) -> Kind | None:
    """The one kind that a filter lets pass: the question is then asked as to that kind."""
    if isinstance(filter, Filter):
        kinds: Any = filter.kinds
    elif isinstance(filter, Mapping):
        kinds = filter.get("kind", ())
        if isinstance(kinds, Mapping) and len(kinds) == 1:
            kinds = kinds.get("$eq", kinds.get("$in", ()))
    else:
        return None
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
    return kinds[0] if len(kinds) == 1 and kinds[0] in KINDS else None


def _mapping(given: Mapping[Any, Any], compared: DocumentFilters, above: str = "") -> models.Filter | None:
    parts: list[models.Filter] = []
    for name, value in given.items():
        if isinstance(name, str) and name.startswith("$"):
            made = _joined(name, value, compared)
        else:
            made = _field(f"{above}{name}", value, compared)
        if made is not None:
            parts.append(made)
    return all_of(parts)


def _joined(name: str, value: Any, compared: DocumentFilters) -> models.Filter | None:
    if name not in _JOINED:
        raise InvalidInput(
            f"the filter joins with {name!r}; expected one of {', '.join(_JOINED)}, and a comparison stands behind the "
            "name of its field: {'n': {'$gte': 2}}"
        )
    several = [value] if name == "$not" and isinstance(value, Mapping) else value
    if not isinstance(several, list | tuple) or not all(isinstance(each, Mapping) for each in several):
        raise InvalidInput(f"{name} holds {value!r}; expected a list of filters")
    parts = [_mapping(each, compared) for each in several]
    passing = [part for part in parts if part is not None]
    if name == "$and":
        return all_of(passing)
    any_passes = any_of(passing) if len(passing) == len(parts) else None  # an empty filter lets everything pass
    return any_passes if name == "$or" else negation(any_passes)


def _field(name: str, value: Any, compared: DocumentFilters) -> models.Filter | None:
    if not isinstance(value, Mapping):
        return compared.compare(name, "in" if isinstance(value, list | tuple | set | frozenset) else "==", value)
    operators = [each for each in value if isinstance(each, str) and each.startswith("$")]
    if not operators:
        return _mapping(value, compared, f"{name}.")
    if len(operators) < len(value):
        raise InvalidInput(f"the filter on {name!r} mixes operators and nested fields; split it with $and")
    return all_of(_compared(name, each, value[each], compared) for each in operators)


def _compared(name: str, operator: str, value: Any, compared: DocumentFilters) -> models.Filter:
    special: dict[str, Callable[[], models.Filter]] = {
        "$exists": lambda: compared.compare(name, "!=" if value else "==", None),
        "$between": lambda: _between(name, value, compared),
        "$not": lambda: negation(_field(name, value, compared)),
    }
    if operator in special:
        return special[operator]()
    if operator not in _OPERATORS:
        known = ", ".join([*_OPERATORS, *special])
        raise InvalidInput(f"the filter compares {name!r} with {operator!r}; expected one of {known}")
    return compared.compare(name, _OPERATORS[operator], value)


def _between(name: str, ends: Any, compared: DocumentFilters) -> models.Filter:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise InvalidInput(f"the filter compares {name!r} with $between {ends!r}; expected a list of both ends")
    least, most = (compared.compare(name, operator, end) for operator, end in ((">=", ends[0]), ("<=", ends[1])))  # type: ignore[arg-type]
    both = all_of([least, most])
    assert both is not None  # noqa: S101  two parts
    return both
