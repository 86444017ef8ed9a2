"""A point: one item as a collection keeps it — an id, a vector, and the payload a search gives back.

The id is made from what the point holds, so writing the same page again replaces it instead of adding a second one.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS, Item, Kind, place_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# any fixed namespace will do; this one is the uuid5 of the project's name
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "vlm2vec-rag")


WORDLESS = "wordless"
"""In the payload of a point without a text, so that a search knows it without reading texts."""


def point_id(source: str, fragment: str, content_hash: str) -> str:
    """The id of a point: uuid5 over where it stands and what it shows.

    The same page of the same file always gets the same id; a page whose content changed gets another one, so an old
    and a new version can stand beside each other until the old one is deleted.
    """
    # NUL cannot occur in a path, so no two different triples join to the same string
    return str(uuid.uuid5(NAMESPACE, f"{source}\0{fragment}\0{content_hash}"))


def folders_of(source: str) -> list[str]:
    """Every folder a source lies in: `a/b/c.pdf` lies in `a/` and `a/b/`.

    Kept in the payload, so that «everything below this folder» is one exact match any Qdrant can answer from an index.
    """
    return [source[: position + 1] for position, character in enumerate(source) if character == "/"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a collection keeps of an item, beside its vectors. Empty fields are not stored."""

    source: str  # the path or address the item came from, with forward slashes
    kind: Kind
    content_hash: str  # SHA-256 of pixels and text: equal hash, equal vector
    fragment: str = ""  # the place in the source: `page=12`, `t=83,97`, `char=0,812`
    page: int | None = None  # from 1
    label: str = ""  # the number printed on the page, such as "iv"
    title: str = ""
    text: str = ""  # what the words of a search are matched with
    start_s: float | None = None
    end_s: float | None = None
    times_s: tuple[float, ...] = ()  # the time of each frame the vector was made from
    file_hash: str = ""  # SHA-256 of the file, the same for all of its points
    file_points: int = 0  # how many points the whole file makes, so that a half-indexed one shows
    modified_at: datetime | None = None  # when the file was last written
    indexed_at: datetime | None = None  # when this point was written
    encoded: bool = False  # the vector was made from this very content by the collection's model
    document_id: str = ""  # the id of the document as which a framework wrote it
    metadata: Mapping[str, object] = field(default_factory=dict)  # the user's own, nested as they like

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}")

    @property
    def id(self) -> str:
        return point_id(self.source, self.fragment, self.content_hash)

    @property
    def place(self) -> str:
        return place_of(self.source, self.fragment)

    @classmethod
    def of(
        cls,
        item: Item,
        *,
        file_hash: str = "",
        file_points: int = 0,
        modified_at: datetime | None = None,
        indexed_at: datetime | None = None,
    ) -> Payload:
        """The payload of an item; the arguments are what the item itself does not know."""
        return cls(
            source=item.source,
            kind=item.kind,
            content_hash=item.content_hash,
            fragment=item.fragment,
            page=getattr(item, "page", None),
            label=getattr(item, "label", ""),
            title=item.title,
            text=item.text,
            start_s=getattr(item, "start_s", None),
            end_s=getattr(item, "end_s", None),
            times_s=getattr(item, "times_s", ()),
            file_hash=file_hash,
            file_points=file_points,
            modified_at=modified_at,
            indexed_at=indexed_at,
            metadata=item.metadata,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON: empty fields left out, times in RFC 3339, `folders` added, and WORDLESS where there is no text."""
        filled = {
            name: to_json(value)
            for name in FIELDS
            if (value := getattr(self, name)) is not None
            and (value or not isinstance(value, _MAY_BE_EMPTY))
            and value is not False
        }
        wordless = {} if self.text.strip() else {WORDLESS: True}
        return filled | {"folders": folders_of(self.source)} | wordless

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Payload:
        """Read what `to_dict` gave; keys of a newer version are left out."""
        values = {name: value for name, value in stored.items() if name in FIELDS and value is not None}
        values["times_s"] = tuple(values.get("times_s", ()))
        for name in ("modified_at", "indexed_at"):
            if name in values:
                values[name] = parse_time(values[name])
        return cls(**values)


FIELDS = frozenset(each.name for each in dataclasses.fields(Payload))
_MAY_BE_EMPTY = (str, tuple, Mapping)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """An item in a collection. `vector` is (D,) float32, or None where only words are searched."""

    id: str
    payload: Payload
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A point that a search found. `score` orders the answer; a side that did not find it gives None."""

    id: str
    score: float
    payload: Payload
    dense_score: float | None = None  # cosine similarity
    bm25_score: float | None = None


def to_json(value: Any) -> Any:
    """A value as JSON holds it: times in RFC 3339 (UTC), tuples as lists."""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    return str(value)


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC. As everywhere in Python, a time without a zone is local time."""
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def parse_time(time: str) -> datetime:
    return datetime.fromisoformat(time.replace("Z", "+00:00"))
