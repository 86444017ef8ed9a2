"""Metadata of a document as JSON, and back as it came.

A collection keeps JSON, which has no dates, tuples, sets, paths or UUIDs. They are kept as what JSON has, so that
filters and other readers see plain values, and beside them stands what they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, TypeAlias
from uuid import UUID

from vlm2vec_rag.collection.points import format_time
from vlm2vec_rag.errors import InvalidInput

FRAMEWORK_FIELD = "_framework"
"""In the metadata that is kept: what a framework needs to make its document again, and nobody else shows."""

_TYPES = "types"
_LARGEST = 2**63 - 1

Mark: TypeAlias = list[Any]
"""`[path of keys, type]`, and for a datetime how it was written, since it is kept in UTC."""

_RESTORED: dict[str, Callable[[Any], Any]] = {
    "date": date.fromisoformat,
    "decimal": Decimal,
    "frozenset": frozenset,
    "path": Path,
    "set": set,
    "tuple": tuple,
    "uuid": UUID,
}


def kept_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as a collection keeps it.

    Raises:
        InvalidInput: A value cannot be given back as it came; the message names its field.
    """
    marks: list[Mark] = []
    own = {name: value for name, value in metadata.items() if name != FRAMEWORK_FIELD and _is_name(name)}
    kept = {name: _kept(value, [name], marks) for name, value in own.items()}
    framework = metadata.get(FRAMEWORK_FIELD, {})
    if not isinstance(framework, Mapping):
        raise InvalidInput(f"metadata field {FRAMEWORK_FIELD!r} is this package's own; call yours otherwise")
    told = dict(framework)
    if marks:
        told[_TYPES] = marks
    return {**kept, FRAMEWORK_FIELD: told} if told else kept


def given_metadata(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as its user gave it."""
    given = {name: value for name, value in kept.items() if name != FRAMEWORK_FIELD}
    framework = kept.get(FRAMEWORK_FIELD)
    marks = framework.get(_TYPES, []) if isinstance(framework, Mapping) else []
    for path, kind, *written in sorted(marks, key=lambda mark: -len(mark[0])):  # what is inside comes first
        _restore(given, path, kind, *written)
    return given


def check_text(text: str, named: str) -> None:
    """See that a text can be kept.

    Raises:
        InvalidInput: It holds half of a surrogate pair, which no encoding can write; the message names the text.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{named} holds the lone surrogate {text[error.start]!a} at {error.start}, which is no character; "
            "read its file with the right encoding, or replace it"
        ) from None


def _kept(value: Any, path: list[Any], marks: list[Mark]) -> Any:
    if isinstance(value, str):
        check_text(value, f"metadata field {_spelt(path)}")
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "item") and hasattr(value, "dtype") and not getattr(value, "shape", None):
        value = value.item()  # a NumPy number
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, path)
    for kind, known, plain in _MARKED:
        if isinstance(value, known):
            marks.append([path, kind, *([value.isoformat()] if kind == "datetime" else [])])
            return plain(value)
    if isinstance(value, Mapping) and type(value) is dict:
        return {name: _kept(each, [*path, name], marks) for name, each in value.items() if _is_name(name, path)}
    if isinstance(value, list | tuple | set | frozenset):
        if not isinstance(value, list):
            marks.append([path, type(value).__name__])
        several = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_kept(each, [*path, at], marks) for at, each in enumerate(several)]
    raise InvalidInput(
        f"metadata field {_spelt(path)} holds a {type(value).__name__}, which cannot be given back as it came; "
        "expected text, numbers, bools, None, dates, paths, UUIDs, and lists, tuples, sets and dicts of them"
    )


_MARKED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("datetime", datetime, format_time),
    ("date", date, date.isoformat),
    ("path", PurePath, str),
    ("uuid", UUID, str),
    ("decimal", Decimal, str),
]


def _number(value: float, path: list[Any]) -> float:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(
            f"metadata field {_spelt(path)} is {value}, which JSON does not have; use None, or leave it out"
        )
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InvalidInput(f"metadata field {_spelt(path)} is {value}, more than 64 bits; keep it as text")
    return value


def _is_name(name: Any, path: list[Any] | None = None) -> bool:
    spelt = _spelt([*(path or []), name])
    if not isinstance(name, str):
        raise InvalidInput(f"metadata field {spelt} has a name that is a {type(name).__name__}; expected a string")
    check_text(name, f"the name of metadata field {spelt}")
    return True


def _restore(given: dict[str, Any], path: list[Any], kind: str, written: str | None = None) -> None:
    try:
        *above, last = path
        holder: Any = given
        for key in above:
            holder = holder[key]
        value = holder[last]
        holder[last] = datetime.fromisoformat(written) if written else _RESTORED[kind](value)
    except (KeyError, IndexError, TypeError, ValueError):  # someone else changed the field since; it stays as it is
        return


def _spelt(path: list[Any]) -> str:
    return repr(".".join(str(key) for key in path))
