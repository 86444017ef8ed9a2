"""A pair: a question and what answers it, each words or a place where pixels are. One JSON object on a line.

    {"query": "who signed the lease?", "target": {"pdf": "lease.pdf", "page": 3}}
    {"query": {"text": "like this, in red", "image": "chair.png"}, "target": {"image": "red.png"},
     "negatives": [{"image": "blue.png"}], "instruction": "Find a chair that fits the description:"}
    {"query": "how the valve is closed", "target": {"video": "pump.mp4", "start_s": 83, "end_s": 97}}

Paths are taken from the folder of the pairs file. Pages count from 1, times are seconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm2vec_rag.disk import replacing
from vlm2vec_rag.encoder.base import Shown
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Kind, place_of, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One side of a pair: words, or where an image, page or clip is. Words beside pixels are read with them."""

    text: str = ""
    image: str = ""  # path of an image
    pdf: str = ""  # path of a document
    page: int = 0  # of the document, from 1
    video: str = ""  # path of a video
    start_s: float = 0.0
    end_s: float | None = None  # None is the end of the video
    frames: tuple[str, ...] = ()  # paths of the frames of a clip that is kept as images
    prompt: str = ""  # the complete prompt as the model reads it; empty to make the one that serving makes

    def __post_init__(self) -> None:
        places = [name for name in ("image", "pdf", "video", "frames") if getattr(self, name)]
        if len(places) > 1:
            raise InvalidInput(f"one side of a pair shows {' and '.join(places)}; it can show one of them")
        if not places and not self.text.strip() and not self.prompt.strip():
            raise InvalidInput("one side of a pair is empty; give text, image, pdf with page, video or frames")
        if self.pdf and self.page < 1:
            raise InvalidInput(f"{self.pdf} comes with page={self.page}; pages count from 1")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise InvalidInput(f"{self.video} ends at {self.end_s} s, not after its start at {self.start_s} s")

    @property
    def kind(self) -> Kind:
        if self.pdf:
            return "page"
        if self.image:
            return "image"
        return "clip" if self.video or self.frames else "text"

    @property
    def shown(self) -> Shown:
        """What the prompt shows."""
        return {"page": "image", "image": "image", "clip": "video", "text": ""}[self.kind]  # type: ignore[return-value]

    @property
    def place(self) -> str:
        """Where it is, for people: `report.pdf#page=3`; the words themselves where it shows nothing."""
        if self.pdf:
            return place_of(self.pdf, f"page={self.page}")
        if self.video:
            return place_of(
                self.video, f"t={seconds(self.start_s)}" + (f",{seconds(self.end_s)}" if self.end_s else "")
            )
        return self.image or (self.frames[0] if self.frames else self.text or self.prompt)

    @property
    def document(self) -> str:
        """The file it comes from, or nothing for words."""
        return self.pdf or self.video or self.image or (str(Path(self.frames[0]).parent) if self.frames else "")

    def under(self, folder: Path) -> Content:
        """The same with its paths taken from a folder; absolute ones stay."""
        moved = {name: str(folder / value) for name in ("image", "pdf", "video") if (value := getattr(self, name))}
        return dataclasses.replace(self, **moved, frames=tuple(str(folder / frame) for frame in self.frames))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without what is empty."""
        defaults = {each.name: each.default for each in dataclasses.fields(self)}
        values = {name: getattr(self, name) for name in defaults}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != defaults[name]
        }

    @classmethod
    def from_dict(cls, value: str | Mapping[str, Any]) -> Content:
        """Read a string, which is words, or a mapping.

        Raises:
            InvalidInput: A key is not known, or the values make no content.
        """
        if isinstance(value, str):
            return cls(text=value)
        if not isinstance(value, Mapping):
            raise InvalidInput(f"one side of a pair is a {type(value).__name__}; expected a string or an object")
        given = {key: each for key, each in value.items() if each is not None}  # Parquet has every key on every row
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - known):
            raise InvalidInput(f"one side of a pair has the unknown keys {unknown}; known are {sorted(known)}")
        if "frames" in given:
            given["frames"] = tuple(given["frames"])
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question, what answers it, and what looks like an answer but is none."""

    query: Content
    target: Content
    negatives: tuple[Content, ...] = ()
    instruction: str | None = None  # of the question; None takes the one that serving uses
    target_instruction: str | None = None
    document: str = ""  # pairs of one document stay on one side of a split; empty takes the target's file

    @property
    def group(self) -> str:
        """What must not be on both sides of a split."""
        return self.document or self.target.document or self.target.place

    def under(self, folder: Path) -> Pair:
        """The same with its paths taken from a folder."""
        return dataclasses.replace(
            self,
            query=self.query.under(folder),
            target=self.target.under(folder),
            negatives=tuple(each.under(folder) for each in self.negatives),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without what is empty."""
        plain_query = set(query := self.query.to_dict()) == {"text"}
        values: dict[str, Any] = {
            "query": self.query.text if plain_query else query,
            "target": self.target.to_dict(),
            "negatives": [each.to_dict() for each in self.negatives],
            "instruction": self.instruction,
            "target_instruction": self.target_instruction,
            "document": self.document,
        }
        return {key: each for key, each in values.items() if each or key in ("query", "target")}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Pair:
        """Read one record.

        Raises:
            InvalidInput: A key is missing or not known, or a side makes no sense.
        """
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := sorted(set(value) - known):
            raise InvalidInput(f"a pair has the unknown keys {unknown}; known are {sorted(known)}")
        if missing := [key for key in ("query", "target") if value.get(key) is None]:
            raise InvalidInput(f"a pair lacks {' and '.join(missing)}; it has {sorted(value) or 'nothing'}")
        return cls(
            query=Content.from_dict(value["query"]),
            target=Content.from_dict(value["target"]),
            negatives=tuple(Content.from_dict(each) for each in value.get("negatives") or ()),
            instruction=value.get("instruction"),
            target_instruction=value.get("target_instruction"),
            document=value.get("document") or "",
        )


def write_pairs(pairs: Iterable[Pair], path: Path) -> int:
    """Write pairs as JSONL, whole or not at all; returns how many."""
    count = 0
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(pair.to_dict(), ensure_ascii=False) + "\n")
            count += 1
    return count
