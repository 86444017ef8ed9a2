"""Vectors kept on disk, chunk by chunk, under a hash of everything that changes them.

The name of a chunk is a hash of its own inputs (each complete prompt, and the name, size and time of each file, or the
bytes of an image), in a folder named by a hash of the model, its settings and its number type. So a run that was
killed goes on where it was, a changed pixel budget finds an empty folder, a changed file a new name, and tasks that
share inputs share vectors. Several processes fill one folder, each with its own share of the chunks.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm2vec_rag.disk import replacing
from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.evaluation.examples import Example

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Vectors, Visual

logger = logging.getLogger(__name__)

FORMAT = 1  # raised when the same settings would give other vectors
TEXTS_PER_CHUNK = 1024
VISUALS_PER_CHUNK = 32  # a video is 8 frames of up to 3 MB


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of a run of examples, in their order. A row of NaN could not be read; `unreadable` says why."""

    names: Sequence[str]
    vectors: Vectors  # (B, D)
    unreadable: dict[int, str]


def settings_of(encoder: Encoder) -> dict[str, Any]:
    """Everything about an encoder that changes a vector, for the cache and for the record."""
    fingerprint = encoder.fingerprint
    dtype = str(getattr(encoder, "dtype", "")).removeprefix("torch.")
    return {**fingerprint.to_dict(), "digest": fingerprint.digest, "dtype": dtype, "format": FORMAT}


class VectorCache:
    """Encodes examples, or finds them encoded."""

    def __init__(self, folder: Path, encoder: Encoder, *, rank: int = 0, world: int = 1) -> None:
        """Open or make the cache.

        Args:
            folder: Holds one folder per model and settings.
            encoder: Runs what is not there yet.
            rank: Which of `world` processes this is; it encodes every `world`th chunk.
            world: How many processes share the work.
        """
        settings = settings_of(encoder)
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = folder / digest
        self._encoder, self._rank, self._world = encoder, rank, world
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / "settings.json", lambda file: file.write(json.dumps(settings, indent=2).encode()))

    def fill(self, examples: Iterable[Example], progress: Callable[[int], None] | None = None) -> None:
        """Encode this process's share of the chunks, where they are not there yet."""
        for index, chunk in enumerate(_chunks(examples)):
            if index % self._world == self._rank:
                self._vectors(chunk)
                if progress:
                    progress(len(chunk))

    def encode(self, examples: Iterable[Example], progress: Callable[[int], None] | None = None) -> Encoded:
        """All examples, from disk where they are there.

        Args:
            examples: Read once, in order.
            progress: Called with the number of examples done since the last call.
        """
        names: list[str] = []
        parts: list[Vectors] = []
        unreadable: dict[int, str] = {}
        for chunk in _chunks(examples):
            vectors = self._vectors(chunk)
            for row in np.flatnonzero(np.isnan(vectors[:, 0])).tolist():
                unreadable[len(names) + row] = _reason(chunk[row])
            names += [example.name for example in chunk]
            parts.append(vectors)
            if progress:
                progress(len(chunk))
        width = self._encoder.dim
        vectors = np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)
        return Encoded(names, vectors, unreadable)

    def _vectors(self, chunk: list[Example]) -> Vectors:
        path = self.folder / f"{_key(chunk)}.npy"
        if path.is_file():
            try:
                found: Vectors = np.load(path, allow_pickle=False)
                if found.shape == (len(chunk), self._encoder.dim):
                    return found
            except (OSError, ValueError, EOFError):
                pass
            logger.warning("%s is damaged and is encoded again", path)
        vectors = self._encode(chunk)
        _write(path, lambda file: np.save(file, vectors))
        return vectors

    def _encode(self, chunk: list[Example]) -> Vectors:
        vectors = np.full((len(chunk), self._encoder.dim), np.nan, dtype=np.float32)
        rows: list[int] = []
        visuals: list[Visual] = []
        for row, example in enumerate(chunk):
            try:
                visuals.append(None if example.visual is None else example.visual.load())
                rows.append(row)
            except MediaError as error:
                logger.warning("%s: %s", example.name or example.prompt[:60], error)
        if rows:
            vectors[rows] = self._encoder.encode_prompts([chunk[row].prompt for row in rows], visuals)
        return vectors


def _chunks(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Runs of examples; shorter ones where there are pixels to hold."""
    iterator = iter(examples)
    while first := next(iterator, None):
        size = TEXTS_PER_CHUNK if first.visual is None else VISUALS_PER_CHUNK
        yield [first, *islice(iterator, size - 1)]


def _key(chunk: list[Example]) -> str:
    digest = hashlib.sha256()
    for example in chunk:
        try:
            identity = "" if example.visual is None else example.visual.identity()
        except OSError as error:
            identity = f"unreadable: {type(error).__name__}"
        digest.update(f"{example.prompt}\0{identity}\0".encode())
    return digest.hexdigest()[:32]


def _reason(example: Example) -> str:
    try:
        if example.visual is not None:
            example.visual.load()
    except MediaError as error:
        return str(error)
    return "it gave no vector"


def _write(path: Path, write: Callable[[Any], object]) -> None:
    """Whole or not at all, also when two processes write the same file."""
    with replacing(path) as part, part.open("wb") as file:
        write(file)
