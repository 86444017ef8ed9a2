"""Payload indexes: those that every collection has, and those of the user's own fields.

They are made before the first point is written, by whoever writes it: opening a collection writes nothing, so that a
key that may only read can open one that an older version made.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from vlm2vec_rag.collection.filters import field_path
from vlm2vec_rag.collection.schema import PAYLOAD_INDEXES, payload_index
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection.engine import Engine

FIELD_TYPES = {
    each.value: each
    for each in (
        models.PayloadSchemaType.KEYWORD,
        models.PayloadSchemaType.INTEGER,
        models.PayloadSchemaType.FLOAT,
        models.PayloadSchemaType.BOOL,
        models.PayloadSchemaType.DATETIME,
    )
}


def indexed_fields(fields: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Fields of `metadata` to index, by name, each with its type or "" for whatever the points have.

    A sequence may hold `year` as well as `year=integer`.

    Raises:
        InvalidInput: There is no such type, or a name cannot be written.
    """
    if isinstance(fields, str):
        raise InvalidInput(f"indexed is the string {fields!r}; expected a list of names, or names and their types")
    if not isinstance(fields, Mapping):
        fields = {name: kind for name, _, kind in (each.partition("=") for each in fields)}
    for name, kind in fields.items():
        if kind and kind not in FIELD_TYPES:
            raise InvalidInput(f"there is no index of type {kind!r} for {name!r}; expected {', '.join(FIELD_TYPES)}")
        _path(name)
    return dict(fields)


class PayloadIndexes:
    """The payload indexes of one open collection."""

    def __init__(self, engine: Engine, name: str, present: Mapping[str, models.PayloadIndexInfo] | None) -> None:
        """`present` are those that are there; None when that is not known, and none is made then."""
        self._engine, self._name = engine, name
        self._present = None if present is None or not engine.has_indexes else set(present)
        self._turn = threading.Lock()

    def make_missing(self) -> None:
        """Make those that every collection has."""
        if self._present is None or self._present >= PAYLOAD_INDEXES.keys():
            return
        with self._turn:
            for field in PAYLOAD_INDEXES:
                if field not in self._present:
                    self._make(field, payload_index(field, has_memory_tiers=self._engine.has_memory_tiers))

    def make_fields(self, fields: Mapping[str, str]) -> None:
        """Make those of fields of `metadata`, given with their types."""
        if self._present is None:
            return
        with self._turn:
            for name, kind in fields.items():
                if _path(name) not in self._present:
                    self._make(_path(name), FIELD_TYPES[kind])

    def told_by(self, structs: Sequence[models.PointStruct], wanted: Mapping[str, str]) -> dict[str, str]:
        """Types of the fields that were waiting for a point to tell it."""
        waiting = [name for name, kind in wanted.items() if not kind]
        told: dict[str, str] = {}
        for name in waiting:
            values = (_value(each.payload or {}, name) for each in structs)
            kinds = (kind for value in values if (kind := _type_of(value)))
            if first := next(kinds, ""):
                told[name] = first
        return told

    def _make(self, field: str, schema: Any) -> None:
        self._engine.client.create_payload_index(self._name, field_name=field, field_schema=schema)
        if self._present is not None:
            self._present.add(field)


def _path(name: str) -> str:
    return field_path("metadata", *name.split("."))


def _value(payload: Mapping[str, Any], name: str) -> Any:
    value: Any = payload.get("metadata")
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _type_of(value: Any) -> str:
    """The type of index for a value as JSON has it; "" for one that tells nothing."""
    for each in _single(value):
        match each:
            case bool():
                return "bool"
            case int():
                return "integer"
            case float():
                return "float"
            case str():
                return "keyword"
    return ""


def _single(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    else:
        yield value
