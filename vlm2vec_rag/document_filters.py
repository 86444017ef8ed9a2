"""Filters on document metadata, as LlamaIndex and LangChain write them, in Qdrant's terms.

Both frameworks compare a field of a document's metadata with a value and join comparisons with and, or and not. What a
comparison means is settled here once:

- A name means what it means in `Document.metadata`: a field of a file (`kind`, `source`, `page`, ...), or one of the
  user's own; where a document has both, either may pass.
- A list holds each of its elements; every other value holds itself. A missing field, None and an empty list hold none.
- Numbers equal numbers, whether int or float. A date is compared as its ISO text; a text that is a date and a time
  equals, and is ordered by, the moment it names.
- Text is matched by the letters it contains, the same on every engine: Qdrant's own match depends on its indexes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from uuid import UUID

from vlm2vec_rag.collection.filters import field_path
from vlm2vec_rag.collection.points import to_json
from vlm2vec_rag.documents import METADATA_FIELDS
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from qdrant_client import models

    from vlm2vec_rag.collection import Collection

Operator: TypeAlias = Literal[
    "==", "!=", ">", ">=", "<", "<=", "in", "nin", "all", "contains text", "contains text of any case", "is empty"
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

MOST_VALUES = 10_000  # texts that a match may stand for; every one of them travels with the search

_STORED = frozenset(METADATA_FIELDS) - {"place"} | {"file_hash", "modified_at"}
_BY_LOOKING = frozenset({"place", "file_name"})  # made of what is stored
_TEXT: tuple[Operator, ...] = ("contains text", "contains text of any case")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?")
_EXACT = 2**53  # whole numbers beyond it are not all floats


class DocumentFilters:
    """Makes conditions for one collection, which is read where a text is to be matched."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def compare(self, name: str, operator: Operator, value: Any) -> models.Filter:
        """The documents whose field compares so with a value; see the module for what that means.

        Args:
            name: A field of `Document.metadata`, with dots into nested ones; a name that holds dots itself is one key.
            operator: `in`, `nin` and `all` take a list: of no values, `in` and `all` pass nothing and `nin` everything.
            value: Text, a number, a bool, a date or a datetime. None is a missing field, for `==` and `!=`.

        Raises:
            InvalidInput: The value cannot be compared in this way; the message names the field.
        """
        match operator:
            case "==" | "in":
                return self._among(name, [value] if operator == "==" else _several(name, operator, value))
            case "!=" | "nin":
                return negation(self.compare(name, "==" if operator == "!=" else "in", value))
            case "all":
                return all_of(self._among(name, [each]) for each in _several(name, operator, value)) or nothing()
            case "is empty":
                return self._is_empty(name)
        plain = _plain(name, operator, value)
        if name in _BY_LOOKING or operator in _TEXT:
            return self._by_looking(name, operator, plain)
        return any_of(_ordered(field_path(*keys), operator, plain) for keys in _fields(name))

    def _among(self, name: str, values: Sequence[Any]) -> models.Filter:
        """The documents whose field holds one of these values."""
        plain = [_plain(name, "==", each) for each in values if each is not None]
        parts = [self._is_empty(name)] if len(plain) < len(values) else []
        if name == "file_name":
            return any_of([*parts, *(self._by_looking(name, "==", each) for each in plain)])
        parts += [part for keys in _fields(name) for part in _same_as_any(field_path(*keys), plain)]
        return any_of([*parts, *map(_place, plain)] if name == "place" else parts)

    def _is_empty(self, name: str) -> models.Filter:
        from qdrant_client import models

        stored = {"place": "source", "file_name": "source"}.get(name)
        empty: list[models.Condition] = []
        for keys in [*_fields(name), *([(stored,)] if stored else [])]:
            key = field_path(*keys)
            blank = models.FieldCondition(key=key, match=models.MatchValue(value=""))
            missing = models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
            empty.append(models.Filter(should=[missing, blank]))
        return models.Filter(must=empty)

    def _by_looking(self, name: str, operator: Operator, value: Any) -> models.Filter:
        """Compares with the values that the collection holds, and passes those that fit."""
        passes = _of_text(name, operator, value)
        made: list[models.Filter] = []
        for keys, told in _looked_at(name):
            fitting = [each for each in self._collection.texts_of(*keys) if passes(told(each))]
            if len(fitting) > MOST_VALUES:
                raise InvalidInput(
                    f"{len(fitting)} values of the metadata field {name!r} match {value!r}, more than {MOST_VALUES}; "
                    "add a narrower text, or filter by another field"
                )
            if fitting:
                made.append(_matches_any(field_path(*keys), fitting))
        return any_of(made)


def all_of(parts: Iterable[models.Filter]) -> models.Filter | None:
    """What passes all of them; None, which is everything, where there are none."""
    from qdrant_client import models

    given: list[Any] = list(parts)
    return models.Filter(must=given) if given else None


def both(one: models.Filter | None, other: models.Filter | None) -> models.Filter | None:
    """What passes both; None is everything."""
    return all_of(each for each in (one, other) if each is not None)


def any_of(parts: Iterable[models.Filter]) -> models.Filter:
    """What passes any of them; of none, nothing."""
    from qdrant_client import models

    given: list[Any] = list(parts)
    return models.Filter(should=given) if given else nothing()


def negation(part: models.Filter | None) -> models.Filter:
    """What does not pass."""
    from qdrant_client import models

    return nothing() if part is None else models.Filter(must_not=[part])


def nothing() -> models.Filter:
    """A filter that nothing passes: no point has the nil id."""
    from qdrant_client import models

    return models.Filter(must=[models.HasIdCondition(has_id=[str(UUID(int=0))])])


def _fields(name: str) -> list[tuple[str, ...]]:
    """Where the values of a name are kept, as paths of keys."""
    return [*_own(name), *([(name,)] if name in _STORED else [])]


def _own(name: str) -> list[tuple[str, ...]]:
    """Where fields of the user's own are; a name with dots leads into nested ones, or is a key that has dots."""
    nested = ("metadata", *name.split("."))
    return [nested, ("metadata", name)] if "." in name else [nested]


def _ordered(key: str, operator: Operator, value: Any) -> models.Filter:
    from qdrant_client import models

    end = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[operator]
    if isinstance(value, str):
        within: Any = models.DatetimeRange.model_validate({end: _moment(value)})
    else:
        within = models.Range.model_validate({end: value})
    return models.Filter(must=[models.FieldCondition(key=key, range=within)])


def _same_as_any(key: str, values: Sequence[Any]) -> list[models.Filter]:
    """One condition for all texts: there may be thousands, of tenants or files."""
    texts: list[str] = []
    others: list[Any] = []
    for each in values:
        is_text = isinstance(each, str) and not _MOMENT.fullmatch(each)
        (texts if is_text else others).append(each)
    return [*([_matches_any(key, texts)] if texts else []), *(_same(key, each) for each in others)]


def _same(key: str, value: Any) -> models.Filter:
    from qdrant_client import models

    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _EXACT:
        same: models.Condition = models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
        return models.Filter(must=[same])
    letters = models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if isinstance(value, str) and _MOMENT.fullmatch(value) and (moment := _moment(value)):
        same_moment = models.DatetimeRange(gte=moment, lte=moment)
        return models.Filter(should=[letters, models.FieldCondition(key=key, range=same_moment)])
    return models.Filter(must=[letters])


def _place(place: Any) -> models.Filter:
    """A place is kept in two parts."""
    from qdrant_client import models

    whole = str(place)
    source, _, fragment = whole.rpartition("#")
    no_fragment = models.IsEmptyCondition(is_empty=models.PayloadField(key="fragment"))
    of_all = models.Filter(must=[_same("source", whole), no_fragment])
    of_part = models.Filter(must=[_same("source", source), _same("fragment", fragment)])
    return models.Filter(should=[of_all, of_part] if fragment else [of_all])


def _matches_any(key: str, values: Sequence[str]) -> models.Filter:
    from qdrant_client import models

    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))])


def _looked_at(name: str) -> list[tuple[tuple[str, ...], Callable[[str], str]]]:
    """The payload fields that hold a text of that name, and what each of their values says for it."""
    fields: list[tuple[tuple[str, ...], Callable[[str], str]]] = [(keys, str) for keys in _fields(name)]
    if name == "file_name":
        return [*fields, (("source",), lambda source: PurePosixPath(source).name)]
    if name == "place":
        raise InvalidInput(
            "'place' can be compared with == and in only; filter by 'source' (the path), and by 'page', or 'start_s' "
            "and 'end_s'"
        )
    return fields


def _of_text(name: str, operator: Operator, value: Any) -> Callable[[str], bool]:
    if not isinstance(value, str):
        raise InvalidInput(f"the field {name!r} is a text and cannot be compared with {value!r}; expected a string")
    folded = value.casefold()
    match operator:
        case "==":
            return lambda text: text == value
        case "contains text":
            return lambda text: value in text
        case "contains text of any case":
            return lambda text: folded in text.casefold()
    raise InvalidInput(f"the field {name!r} cannot be compared with {operator!r}; expected ==, in or a text match")


def _several(name: str, operator: str, value: Any) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if value is None:
        raise InvalidInput(f"the field {name!r} is compared with {operator!r} and None; expected a list of values")
    return [value]


def _plain(name: str, operator: Operator, value: Any) -> Any:
    """The value as a collection stores it.

    Raises:
        InvalidInput: The operator cannot compare it.
    """
    plain = to_json(value)
    expected = {
        "==": "text, a number, a bool or a date",
        "contains text": "text",
        "contains text of any case": "text",
    }.get(operator, "a number, or a date such as '2026-01-31' or '2026-01-31T09:30:00Z'")
    is_number = isinstance(plain, int | float) and not isinstance(plain, bool) and math.isfinite(plain)
    if operator == "==":
        fits = is_number or isinstance(plain, str | bool)
    elif operator.startswith("contains"):
        fits = isinstance(plain, str)
    else:
        fits = is_number or (isinstance(plain, str) and _is_time(plain))
    if not fits:
        raise InvalidInput(f"the field {name!r} is compared ({operator}) with {value!r}; expected {expected}")
    return plain


def _is_time(text: str) -> bool:
    return bool(_DATE.fullmatch(text) or _MOMENT.fullmatch(text)) and _moment(text) is not None


def _moment(text: str) -> datetime | None:
    """The moment that a text names, as Qdrant understands it: without a zone it is in UTC; None where there is none."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def over_documents(native: models.Filter, compared: DocumentFilters) -> models.Filter:
    """A filter in Qdrant's terms on `metadata.NAME`, which also looks at the field of a file of that name.

    Query translators and other stores know documents as `metadata` and a text, and name `metadata.kind`. A text that is
    to be found in such a field is found by the letters it contains, of any case, with an index or without.
    """
    return native.model_copy(
        update={part: _each_over_documents(getattr(native, part), compared) for part in ("must", "should", "must_not")}
    )


def _each_over_documents(conditions: Any, compared: DocumentFilters) -> Any:
    if conditions is None:
        return None
    several = conditions if isinstance(conditions, list) else [conditions]
    return [_one_over_documents(each, compared) for each in several]


def _one_over_documents(condition: Any, compared: DocumentFilters) -> Any:
    from qdrant_client import models

    if isinstance(condition, models.Filter):
        return over_documents(condition, compared)
    if isinstance(condition, models.IsEmptyCondition):
        stored = _stored_name(condition.is_empty.key)
        other = models.IsEmptyCondition(is_empty=models.PayloadField(key=stored)) if stored else None
        return condition if other is None else models.Filter(must=[condition, other])
    return _field_over_documents(condition, compared) if isinstance(condition, models.FieldCondition) else condition


def _field_over_documents(condition: models.FieldCondition, compared: DocumentFilters) -> Any:
    from qdrant_client import models

    stored, name = _stored_name(condition.key), condition.key.removeprefix("metadata.")
    is_looked_at = name != condition.key and name in _BY_LOOKING
    match condition.match:
        case models.MatchText(text=text) if stored or is_looked_at:
            return compared.compare(name, "contains text of any case", text)
        case models.MatchValue(value=value) if is_looked_at:
            return compared.compare(name, "==", value)
        case models.MatchAny(any=values) if is_looked_at:
            return compared.compare(name, "in", values)
    if stored:
        return models.Filter(should=[condition, condition.model_copy(update={"key": stored})])
    return condition


def _stored_name(key: str) -> str | None:
    name = key.removeprefix("metadata.")
    return name if name != key and name in _STORED else None
