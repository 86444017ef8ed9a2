"""The collection as its own manifest: what each source is and whether it is complete, read from its points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vlm2vec_rag.collection.points import parse_time
from vlm2vec_rag.items import Kind

MANIFEST_FIELDS = frozenset({"source", "kind", "file_hash", "file_points", "modified_at", "indexed_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file or address in a collection. Where its points disagree, the latest written one speaks for it."""

    source: str
    kind: Kind
    points: int  # that are here, of every version of the file
    file_hash: str
    file_points: int  # that the file makes in all
    is_mixed: bool  # points of two versions of the file stand beside each other
    modified_at: datetime | None
    indexed_at: datetime | None

    @property
    def is_complete(self) -> bool:
        """Every point of the file is here, and no point of another version of it."""
        return not self.is_mixed and self.points == self.file_points


def sources_of(payloads: Iterable[Mapping[str, Any]]) -> dict[str, Source]:
    """Gather the payloads of points (`MANIFEST_FIELDS` is enough) into one entry for each source, sorted by name."""
    latest: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    versions: dict[str, set[str]] = {}
    for payload in payloads:
        name = payload["source"]
        counts[name] = counts.get(name, 0) + 1
        versions.setdefault(name, set()).add(payload.get("file_hash", ""))
        # RFC 3339 in UTC sorts as text
        if name not in latest or payload.get("indexed_at", "") >= latest[name].get("indexed_at", ""):
            latest[name] = payload
    return {
        name: Source(
            source=name,
            kind=payload["kind"],
            points=counts[name],
            file_hash=payload.get("file_hash", ""),
            file_points=payload.get("file_points", 0),
            is_mixed=len(versions[name]) > 1,
            modified_at=_time(payload.get("modified_at")),
            indexed_at=_time(payload.get("indexed_at")),
        )
        for name, payload in sorted(latest.items())
    }


def _time(stored: str | None) -> datetime | None:
    return None if stored is None else parse_time(stored)
