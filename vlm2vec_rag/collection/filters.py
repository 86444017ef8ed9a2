"""Which points a search may return, as one small object that knows nothing of any framework.

Everything here is pushed down to Qdrant, which filters while it searches, so a filter never leaves an answer shorter
than the points that pass it. One case takes a question more: a path with `*` or `?` in it is first looked up among the
collection's own sources (the collection does so), because Qdrant matches whole values and not patterns.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from vlm2vec_rag.collection.points import format_time, to_json
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS, Kind

if TYPE_CHECKING:
    from qdrant_client import models


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions that must all hold; one left empty lets everything pass.

    >>> Filter(kinds=("page",), paths=("reports/",), pages=(1, 10), metadata={"author": "Ada"})
    """

    kinds: Sequence[Kind] = ()
    sources: Sequence[str] = ()  # any of these exactly, whatever characters they hold
    paths: Sequence[str] = ()  # as people write them: `a/b.pdf` a file, `a/` all below a folder, `*.pdf` a pattern
    pages: tuple[int | None, int | None] | None = None  # first and last, both included; None leaves an end open
    times_s: tuple[float | None, float | None] | None = None  # clips that overlap this stretch; None as above
    modified_after: datetime | None = None  # files written then or later
    modified_before: datetime | None = None  # files written before then
    # field -> the value it holds, or a list of which it holds one; None: not there; a mapping goes into nested fields
    metadata: Mapping[str, object] = field(default_factory=dict)
    content_hashes: Sequence[str] = ()
    file_hashes: Sequence[str] = ()
    not_file_hashes: Sequence[str] = ()  # with the hash of a source's present file: its stale points

    def __post_init__(self) -> None:
        for name in ("kinds", "sources", "paths", "content_hashes", "file_hashes", "not_file_hashes"):
            if isinstance(getattr(self, name), str):
                raise InvalidInput(f"{name} is the string {getattr(self, name)!r}; expected a list of strings")
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown:
            raise InvalidInput(f"kinds holds {', '.join(map(repr, unknown))}; expected some of {', '.join(KINDS)}")
        _check_ends("pages", self.pages)
        _check_ends("times_s", self.times_s)

    @property
    def patterns(self) -> list[str]:
        """The paths that are patterns; what they stand for has to be looked up."""
        return [path for path in self.paths if is_pattern(path)]

    def to_qdrant(self, matched: Sequence[str] = (), *, most_values: int | None = None) -> models.Filter | None:
        """The filter in Qdrant's terms, or None when everything passes.

        Args:
            matched: The sources that `patterns` stand for.
            most_values: How many values a server takes in one condition, where it has a bound.

        Raises:
            InvalidInput: A metadata value is of a kind Qdrant cannot compare.
        """
        from qdrant_client import models

        must: list[models.Condition] = []
        if self.kinds:
            must.append(_any_of("kind", self.kinds))
        if self.sources:
            must.append(_any_of("source", self.sources))
        if self.paths or matched:
            files = [path for path in self.paths if not path.endswith("/") and not is_pattern(path)]
            folders = [path for path in self.paths if path.endswith("/") and not is_pattern(path)]
            must.append(_on_any_path([*files, *matched], folders))
        if self.content_hashes:
            must.append(_any_of("content_hash", self.content_hashes))
        if self.file_hashes:
            must.append(_any_of("file_hash", self.file_hashes))
        if self.pages is not None:
            first, last = self.pages
            must.append(models.FieldCondition(key="page", range=models.Range(gte=first, lte=last)))
        if self.times_s is not None:
            must.extend(_overlaps(*self.times_s))
        if self.modified_after is not None or self.modified_before is not None:
            written = models.DatetimeRange.model_validate(
                {"gte": _time(self.modified_after), "lt": _time(self.modified_before)}
            )
            must.append(models.FieldCondition(key="modified_at", range=written))
        must.extend(_holds(("metadata",), self.metadata))
        size = most_values or len(self.not_file_hashes) or 1
        must_not: list[models.Condition] = [
            _any_of("file_hash", self.not_file_hashes[at : at + size])
            for at in range(0, len(self.not_file_hashes), size)
        ]
        return models.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def is_pattern(path: str) -> bool:
    """Whether a path holds a wildcard. Brackets are none: file names have them more often than patterns do."""
    return "*" in path or "?" in path


def matching(patterns: Iterable[str], sources: Iterable[str]) -> list[str]:
    """The sources that match any pattern.

    `*` and `?` stay within a folder, `**` does not. A pattern that does not begin with a slash matches in every folder.
    Case counts, and brackets stand for themselves.
    """
    wanted = [re.compile(_expression(pattern)) for pattern in patterns]
    return [source for source in sources if any(each.fullmatch(source) for each in wanted)]


def _expression(pattern: str) -> str:
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    anywhere = "" if pattern.startswith("/") else "(?:.*/)?"
    return anywhere + "".join(wildcards.get(part, re.escape(part)) for part in parts)


def field_path(*keys: str) -> str:
    """The path of a nested payload field in Qdrant's spelling, where unusual keys stand in quotes.

    Raises:
        InvalidInput: A key is empty or holds a double quote, which the spelling has no room for.
    """
    for key in keys:
        if not key or '"' in key:
            raise InvalidInput(f"metadata field {key!r} cannot be filtered: a name needs a character, and no quote")
    return ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"' for key in keys)


def _check_ends(name: str, ends: tuple[float | None, float | None] | None) -> None:
    if ends is None:
        return
    start, end = ends
    if start is None and end is None:
        raise InvalidInput(f"{name} is (None, None); give one end at least, or leave {name} out")
    if start is not None and end is not None and end < start:
        raise InvalidInput(f"{name} is {ends}; expected the smaller end first")


def _any_of(key: str, values: Sequence[str]) -> models.Condition:
    from qdrant_client import models

    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _on_any_path(files: Sequence[str], folders: Sequence[str]) -> models.Condition:
    from qdrant_client import models

    conditions = [_any_of(key, values) for key, values in (("source", files), ("folders", folders)) if values]
    # patterns that match no source let nothing pass, and no point has the nil id
    return models.Filter(should=conditions or [models.HasIdCondition(has_id=[str(uuid.UUID(int=0))])])


def _overlaps(start_s: float | None, end_s: float | None) -> Iterator[models.Condition]:
    from qdrant_client import models

    # strict on both sides: a clip that only touches the stretch shares no moment with it
    if start_s is not None:
        yield models.FieldCondition(key="end_s", range=models.Range(gt=start_s))
    if end_s is not None:
        yield models.FieldCondition(key="start_s", range=models.Range(lt=end_s))


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)


def _holds(parents: tuple[str, ...], wanted: Mapping[str, object]) -> Iterator[models.Condition]:
    from qdrant_client import models

    for name, value in wanted.items():
        keys = (*parents, str(name))
        if isinstance(value, Mapping):
            yield from _holds(keys, value)
        elif isinstance(value, list | tuple | set | frozenset):
            if not value:
                raise InvalidInput(f"metadata field {name!r} may hold none of no values; leave the field out")
            yield models.Filter(should=[_equals(field_path(*keys), each) for each in value])
        else:
            yield _equals(field_path(*keys), value)


def _equals(path: str, value: object) -> models.Condition:
    from qdrant_client import models

    plain = to_json(value)
    if plain is None:  # missing, null or an empty list
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=path))
    if isinstance(plain, float):
        return models.FieldCondition(key=path, range=models.Range(gte=plain, lte=plain))
    return models.FieldCondition(key=path, match=models.MatchValue(value=plain))
