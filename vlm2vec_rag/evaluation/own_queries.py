"""Questions to one's own collection, and the places that answer them: reading, checking, and making a first set.

One JSON object a line:

    {"question": "How is the belt tightened?", "relevant": ["manual.pdf#page=12", "talk.mp4#t=83,97"]}

A place is a file, with a page or a stretch of time where only part of it is right; a file is named by as much of the
end of its path as tells it apart. `relevant` may also map places to grades, such as {"manual.pdf#page=12": 2}.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import EmptyInput, InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.collection.points import Payload

SECTION_ITEMS = 3  # the first pages of a long section answer its heading; later ones are about its details

_NUMBER = r"\d+(?:\.\d+)?"
_FRAGMENT = re.compile(
    rf"page=(?P<page>\d+)|t=(?P<start>{_NUMBER})?(?:,(?P<end>{_NUMBER}))?|char=(?P<char>\d+),(?P<to>\d+)"
)


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file, or a part of it, as `report.pdf#page=12` names it."""

    source: str
    page: int | None = None
    start: float | None = None  # seconds of a video, characters of a text
    end: float | None = None
    unit: str = ""  # t or char, where there are start and end

    @classmethod
    def parse(cls, text: str) -> FileLocation:
        """Read a place.

        Raises:
            InvalidInput: It is empty, or its fragment is not one of page=, t= and char=.
        """
        source, _, fragment = text.rpartition("#")
        match = _FRAGMENT.fullmatch(fragment) if source else None
        if match is None and source and re.match(r"[a-z]+=", fragment):
            raise InvalidInput(f"{fragment!r} in {text!r} is no place; expected page=12, t=83,97 or char=0,812")
        if not text.strip() or text.startswith("#") or (match and not source.strip()):
            raise InvalidInput(f"the place {text!r} names no file; expected for example report.pdf#page=12")
        if match is None:  # a file, whose name may hold a #
            return cls(text)
        if match["page"]:
            return cls(source, page=int(match["page"]))
        if match["char"]:
            return cls(source, start=float(match["char"]), end=float(match["to"]), unit="char")
        start, end = float(match["start"] or 0), float(match["end"] or "inf")
        return cls(source, start=start, end=end, unit="t")

    def is_in(self, source: str) -> bool:
        """Whether this place's file is that source: the same path, or its end."""
        return source == self.source or source.endswith("/" + self.source.lstrip("/"))

    def settle(self, sources: Sequence[str]) -> FileLocation:
        """The same place with the whole path of its file.

        Raises:
            InvalidInput: None of the sources, or more than one, ends in what was named.
        """
        fitting = [self.source] if self.source in sources else [source for source in sources if self.is_in(source)]
        if len(fitting) == 1:
            return dataclasses.replace(self, source=fitting[0])
        if not fitting:
            raise InvalidInput(f"{self.source} is not in the collection")
        raise InvalidInput(f"{self.source} may be {fitting[0]} or {fitting[1]}; name more of its path")

    def __str__(self) -> str:
        if self.page is not None:
            return f"{self.source}#page={self.page}"
        if self.start is None or self.end is None:
            return self.source
        end = "" if self.end == float("inf") else f",{self.end:g}"
        return f"{self.source}#{self.unit}={self.start:g}{end}"

    def covers(self, place: FileLocation) -> bool:
        """Whether something found at `place` counts as having found this one.

        A stretch of time or text counts where it shares at least half of the shorter of both.
        """
        if not self.is_in(place.source):
            return False
        if self.page is not None:
            return self.page == place.page
        if self.start is None or self.end is None:
            return True
        if place.start is None or place.end is None or place.unit != self.unit:
            return False
        shared = min(self.end, place.end) - max(self.start, place.start)
        shorter = min(self.end - self.start, place.end - place.start)
        return shared > 0 and shared >= shorter / 2


@dataclass(frozen=True, slots=True)
class OwnQuery:
    """A question and the places that answer it, with their grades."""

    question: str
    relevant: Mapping[str, float]


def read_queries(path: Path) -> list[OwnQuery]:
    """Read a file of questions.

    Raises:
        EmptyInput: There is no question in it.
        InvalidInput: It is not there, or a line is wrong; the message says which and how.
    """
    if not path.is_file():
        raise InvalidInput(f"{path} is not there; write one question a line, or let --make-queries make a first set")
    queries: list[OwnQuery] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            try:
                queries.append(_query(json.loads(line)))
            except (ValueError, InvalidInput) as error:
                raise InvalidInput(f"{path}, line {number}: {error}") from error
    if not queries:
        raise EmptyInput(f"{path} holds no question; write one JSON object a line")
    return queries


def write_queries(path: Path, queries: Sequence[OwnQuery]) -> None:
    """Write questions so that they can be read again, and edited."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question": q.question, "relevant": _plain(q.relevant)}, ensure_ascii=False) for q in queries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_queries(collection: Collection, *, limit: int = 100) -> list[OwnQuery]:
    """A first set of questions, out of headings that name one section, or one stretch of a talk, and no other.

    They are the collection's own words, so they flatter the word side of a search: good for finding what is broken,
    to be edited into real questions before two ways of searching are compared.

    Args:
        collection: What to ask about.
        limit: At most so many, spread evenly over the sources.

    Raises:
        EmptyInput: No item has a heading or a caption of its own.
    """
    payloads = sorted((p.payload for p in collection.scroll()), key=lambda p: (p.source, p.page or 0, p.start_s or 0))
    sections: dict[str, dict[tuple[str, str], list[Payload]]] = {}  # heading -> which sections it heads -> their items
    for payload in payloads:
        if heading := _heading(payload):
            of_one = sections.setdefault(heading.lower(), {}).setdefault((payload.source, payload.title), [])
            of_one.append(payload)
    by_source: dict[str, list[OwnQuery]] = {}
    for headed in sections.values():
        items = next(iter(headed.values()))
        if len(headed) == 1 and (len(items) == 1 or items[0].title):
            relevant = {payload.place: 1.0 for payload in items[:SECTION_ITEMS]}
            by_source.setdefault(items[0].source, []).append(OwnQuery(_heading(items[0]), relevant))
    queries = _in_turn(by_source.values(), limit)
    if not queries:
        raise EmptyInput(
            f"no item of the collection {collection.name!r} has a heading or caption of its own; "
            "write the questions by hand, one JSON object a line"
        )
    return queries


def without_number(heading: str) -> str:
    """A heading on one line, without the number of its section: nobody asks by that."""
    return re.sub(r"^\d+(\.\d+)*\.?\s+", "", " ".join(heading.split()))


def is_heading(line: str) -> bool:
    """Whether a line reads as a heading: a few words that do not run on; no sentence, no entry of a contents page."""
    words = re.findall(r"[^\W\d_]{2,}", line)
    runs_on = line.endswith((".", ",", ";", "-")) or re.search(r"[.?!] \w|\. ?\.", line)
    return 2 <= len(words) <= 12 and len(line) <= 90 and not runs_on


def _query(values: Any) -> OwnQuery:
    if not isinstance(values, dict) or not isinstance(values.get("question"), str) or not values["question"].strip():
        raise InvalidInput('expected {"question": "...", "relevant": ["file.pdf#page=12"]}')
    relevant = values.get("relevant")
    if isinstance(relevant, list):
        relevant = dict.fromkeys(relevant, 1.0)
    if not isinstance(relevant, dict) or not relevant:
        raise InvalidInput("'relevant' names no place; expected a list such as [\"file.pdf#page=12\"]")
    for place, grade in relevant.items():
        if not isinstance(place, str) or not isinstance(grade, int | float) or grade <= 0:
            raise InvalidInput(f"{place!r}: {grade!r} is no place with a grade above 0")
        FileLocation.parse(place)
    return OwnQuery(values["question"].strip(), {place: float(grade) for place, grade in relevant.items()})


def _plain(relevant: Mapping[str, float]) -> list[str] | dict[str, float]:
    return list(relevant) if set(relevant.values()) == {1.0} else dict(relevant)


def _heading(payload: Payload) -> str:
    """What an item calls itself: its outline entry, a heading-like first line of a page, or the words of a clip."""
    if payload.kind == "clip":
        return _sentence(payload.text)
    title = payload.title.rpartition(" › ")[2]  # an outline entry stands below its parents' titles
    lines = [title, *payload.text.splitlines()[:8]] if payload.kind == "page" else [title, payload.text]
    return next((line for line in map(without_number, lines) if is_heading(line)), "")


def _sentence(text: str) -> str:
    """The longest sentence of what is said, if it has something to say."""
    said = re.sub(r"\[[^\]]*\]|\([^)]*\)", " ", text)  # what captions put in brackets is not said
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(said.split()))
    best = max(sentences, key=len, default="")
    return best if len(best.split()) >= 5 else ""


def _in_turn(groups: Iterable[list[OwnQuery]], limit: int) -> list[OwnQuery]:
    """One of each group, then the next of each, until there are enough."""
    queues = [list(group) for group in groups]
    taken: list[OwnQuery] = []
    while queues and len(taken) < limit:
        for queue in queues:
            taken.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return taken[:limit]
