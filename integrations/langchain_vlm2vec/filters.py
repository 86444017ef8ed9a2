"""What LangChain users pass as `filter`, in the collection's terms."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from vlm2vec_rag.collection.filters import Filter
from vlm2vec_rag.documents import METADATA_FIELDS
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS, Kind

if TYPE_CHECKING:
    from qdrant_client import models

Wanted: TypeAlias = "Filter | models.Filter | Mapping[str, Any] | None"
"""A `vlm2vec_rag.collection.Filter`, a `qdrant_client.models.Filter`, or a dict of metadata that must be equal."""


def condition(filter: Wanted) -> Filter | models.Filter | None:
    """The filter as a collection takes it.

    In a dict, a name means what it means in `Document.metadata`, whether it stands for a field of a file
    (`{"kind": "page", "source": "/media/report.pdf"}`) or for one of the user's own; a list means one of its values.

    Raises:
        InvalidInput: It is none of the three.
    """
    from qdrant_client import models

    if filter is None or isinstance(filter, Filter | models.Filter):
        return filter
    if not isinstance(filter, Mapping):
        raise InvalidInput(
            f"filter is a {type(filter).__name__}; expected a vlm2vec_rag Filter, a qdrant_client models.Filter, "
            "or a dict of metadata such as {'kind': 'page'}"
        )
    conditions = [each for name, value in filter.items() for each in _equal(str(name), value)]
    return models.Filter(must=conditions) if conditions else None


def target(filter: Wanted) -> Kind | None:
    """The one kind that a filter lets pass: the question is then asked as to that kind."""
    if isinstance(filter, Filter):
        kinds: Any = filter.kinds
    elif isinstance(filter, Mapping):
        kinds = filter.get("kind", ())
    else:
        return None
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
    return kinds[0] if len(kinds) == 1 and kinds[0] in KINDS else None


def _equal(name: str, value: Any) -> list[models.Condition]:
    """Conditions that must all hold for a field of `Document.metadata` to have this value."""
    from qdrant_client import models

    own = Filter(metadata={name: value}).to_qdrant() or models.Filter()
    if name not in METADATA_FIELDS or value is None or isinstance(value, Mapping):
        return list(own.must or ())  # type: ignore[arg-type]  # a Filter's conditions are a list
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    field = [_field(name, each) for each in values]
    return [models.Filter(should=[*field, own])]


def _field(name: str, value: Any) -> models.Condition:
    from qdrant_client import models

    if name == "place":  # kept in two parts
        source, _, fragment = str(value).rpartition("#")
        whole = models.Filter(
            must=[_match("source", str(value)), models.IsEmptyCondition(is_empty=models.PayloadField(key="fragment"))]
        )
        return models.Filter(
            should=[models.Filter(must=[_match("source", source), _match("fragment", fragment)]), whole]
        )
    if isinstance(value, float):
        return models.FieldCondition(key=name, range=models.Range(gte=value, lte=value))
    if name in ("start_s", "end_s") and isinstance(value, int):
        return models.FieldCondition(key=name, range=models.Range(gte=value, lte=value))
    return _match(name, value)


def _match(name: str, value: Any) -> models.FieldCondition:
    from qdrant_client import models

    return models.FieldCondition(key=name, match=models.MatchValue(value=value))
