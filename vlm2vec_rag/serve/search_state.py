"""Everything that a search page shows, read from its address and written back into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS
from vlm2vec_rag.serve.present import address

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from vlm2vec_rag.collection import Filter

LIMIT = 24
MOST = 200  # hits on one page
MOST_CHARS = 2000  # of a question
MODES = {"hybrid": "Best", "bm25": "Words", "dense": "Sight"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchState:
    """What is asked, how it is filtered, and what is open."""

    collection: str = ""
    q: str = ""
    kind: tuple[str, ...] = ()
    source: str = ""  # names and patterns, with commas between them
    pages: str = ""
    time: str = ""
    since: str = ""
    until: str = ""
    mode: str = ""
    limit: int = LIMIT
    image: str = ""  # id of a file to search with
    clip: str = ""
    open: str = ""  # id of the item beside the results
    quote: str = ""  # words to mark on it, in place of the question's

    @classmethod
    def of(cls, parameters: QueryParams, collection: str) -> SearchState:
        """Read an address. What makes no sense is taken for what it is by default; a filter is checked when asked."""
        limit = parameters.get("limit", "")
        single = ("source", "pages", "time", "since", "until", "image", "clip", "open", "quote")
        return cls(
            collection=collection,
            q=parameters.get("q", "").strip()[:MOST_CHARS],
            kind=tuple(each for each in KINDS if each in parameters.getlist("kind")),
            mode=parameters.get("mode", "") if parameters.get("mode") in ("bm25", "dense") else "",
            limit=min(MOST, max(1, int(limit))) if limit.isdecimal() and len(limit) < 6 else LIMIT,
            **{name: parameters.get(name, "").strip()[:500] for name in single},
        )

    @property
    def is_asked(self) -> bool:
        return bool(self.q or self.image or self.clip)

    @property
    def is_filtered(self) -> bool:
        return bool(self.kind or self.source or self.pages or self.time or self.since or self.until or self.mode)

    def filter(self) -> Filter | None:
        """The filters as the library takes them.

        Raises:
            InvalidInput: One of them makes no sense; the message says which.
        """
        return typed_filter(
            kind=self.kind,
            source=tuple(each.strip() for each in self.source.split(",") if each.strip()),
            pages=self.pages or None,
            time=self.time or None,
            since=self.since or None,
            until=self.until or None,
        )

    def address(self, **changes: Any) -> str:
        """The address of this page with some things changed."""
        values = asdict(replace(self, **changes))
        if values["limit"] == LIMIT:
            values.pop("limit")
        return address("/search", **values)


def check_mode(mode: str, *, has_encoder: bool) -> None:
    """Refuse a search by sight in a collection of words.

    Raises:
        InvalidInput: There is no model that sees.
    """
    if mode == "dense" and not has_encoder:
        raise InvalidInput("this collection is searched by words only; search by sight needs one built with a model")


def typed_filter(*, source: Sequence[str] = (), **typed: Any) -> Filter | None:
    """A filter of values as people type them. Files are named by what the collection holds; the disk is not looked at.

    Args:
        source: Names, folders that end in a slash, and patterns.
        typed: As for `vlm2vec_rag.library.asking.build_filter`.

    Raises:
        InvalidInput: A value cannot be understood.
    """
    from vlm2vec_rag.collection import Filter
    from vlm2vec_rag.library.asking import build_filter

    made = build_filter(**typed)
    # the library would take a path that is here for itself, and so tell a client which are here
    paths = tuple(_anywhere(each.strip()) for each in source if each.strip())
    return replace(made or Filter(), paths=paths) if paths else made


def _anywhere(name: str) -> str:
    """A pattern for a name in any folder."""
    if name.endswith("/"):
        name += "*"
    return name if name.startswith(("*", "/")) else f"*/{name}"
