"""What a parser makes of a task: queries, candidates, and which candidates are right for which query.

Pixels stay on disk, or as the file's bytes, until a chunk of them is encoded: a task has up to 100,000 candidates.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vlm2vec_rag.errors import InvalidInput, UnreadableMedia

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image on disk."""

    path: Path

    def load(self) -> PILImage:
        return _open(self.path, str(self.path))

    def identity(self) -> str:
        """Changes when the file does: name, size and time of its last change."""
        facts = self.path.stat()
        return f"{self.path.name}:{facts.st_size}:{facts.st_mtime_ns}"


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """Frames of a video on disk, in order."""

    paths: tuple[Path, ...]

    def load(self) -> list[PILImage]:
        return [_open(path, str(path)) for path in self.paths]

    def identity(self) -> str:
        return "|".join(f"{path.parent.name}/{ImageFile(path).identity()}" for path in self.paths)


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """One image as the bytes of its file, out of a row of a data set."""

    data: bytes
    name: str

    def load(self) -> PILImage:
        return _open(io.BytesIO(self.data), self.name)

    def identity(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


VisualSource: TypeAlias = ImageFile | FrameFiles | ImageBytes


@dataclass(frozen=True, slots=True)
class Example:
    """One input of the model: its name in the task, its complete prompt, and where its pixels are."""

    name: str
    prompt: str
    visual: VisualSource | None = None


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """One query, with what is right for it, and what it is ranked against."""

    example: Example
    relevance: Mapping[str, float]  # name of a candidate -> gain
    candidates: tuple[str, ...] | None = None  # names; None ranks all candidates of the task


@dataclass(frozen=True, slots=True)
class TaskData:
    """All a task needs. `candidates` starts anew at every call, each name once."""

    queries: Sequence[TaskQuery]
    candidates: Callable[[], Iterator[Example]]
    left_out: Sequence[str] = ()  # one line a row
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Collector:
    """Gathers the queries and candidates of a task row by row; a broken row is left out, and the others go on."""

    queries: list[TaskQuery] = field(default_factory=list)
    candidates: dict[str, Example] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, query: TaskQuery, candidates: Sequence[Example] = ()) -> None:
        """Take one row.

        Raises:
            InvalidInput: The right answer is not among the candidates.
        """
        if query.candidates is not None:
            missing = [name for name in query.relevance if name not in query.candidates]
            if missing or not query.relevance:
                raise InvalidInput(
                    f"the right answer {missing[:1]} is not among its {len(query.candidates)} candidates"
                )
        for candidate in candidates:
            self.candidates.setdefault(candidate.name, candidate)
        self.queries.append(query)

    def each(
        self, rows: Iterable[Mapping[str, Any]], limit: int | None, take: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Give each row to `take`, the first `limit` of them; what a row is broken by is kept as a line."""
        for index, row in enumerate(rows):
            if index == limit:
                self.note(f"only the first {limit} rows")
                break
            try:
                take(row)
            except KeyError as error:
                self.left_out.append(f"row {index}: no column {error}; it has {', '.join(map(str, row))}")
            except (InvalidInput, UnreadableMedia, TypeError, ValueError, IndexError, AttributeError) as error:
                self.left_out.append(f"row {index}: {error}")

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def data(self) -> TaskData:
        return TaskData(self.queries, lambda: iter(self.candidates.values()), self.left_out, self.notes)


def _open(file: Path | io.BytesIO, name: str) -> PILImage:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise UnreadableMedia(f"{name} is not there; download the task's files again") from error
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableMedia(f"{name} is no readable image ({error}); download the task's files again") from error
