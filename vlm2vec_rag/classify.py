"""Zero-shot labels for images, pages and clips: whichever label lies nearest, and how clearly.

Images and pages are read with the instruction of ImageNet-1K in MMEB-V2, clips with that of Kinetics-700, and labels
as texts, as in the classification tasks that VLM2Vec-V2 was trained and tested with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from vlm2vec_rag.errors import InvalidInput, MediaError
from vlm2vec_rag.items import Image as ImageItem
from vlm2vec_rag.items import Item, Kind, Page, place_of

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Vectors
    from vlm2vec_rag.media import MediaReader

TEMPERATURE = 0.02  # of the loss that the model was trained with, so that cosines become its own probabilities
BATCH_ITEMS = 16
INSTRUCTIONS: Mapping[Kind, str | None] = MappingProxyType(
    {
        "image": "Represent the given image for classification",
        "clip": "Recognize the category of the video content.",
        "text": None,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """An item and what it was labelled."""

    place: str
    kind: Kind
    label: str
    confidence: float  # of `label`, 0 to 1; over the given labels only, so one of them always wins
    probabilities: dict[str, float]  # of all labels, in their order
    cosines: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A file that could not be read, or not all of it."""

    source: str
    reason: str


def classify(
    paths: Iterable[str | os.PathLike[str]],
    labels: Sequence[str],
    encoder: Encoder,
    reader: MediaReader,
    *,
    temperature: float = TEMPERATURE,
) -> Iterator[Labelled | Failed]:
    """Label every image, page and clip of the given files; a bad file is one `Failed`, never the end.

    Args:
        paths: Files; a video gives one row for each of its clips.
        labels: What there is to choose from, at least two; as plain words, `waiting in line`.
        encoder: Reads items and labels.
        reader: Opens the files.
        temperature: Of the softmax over cosines; lower makes confident, higher doubtful.

    Raises:
        InvalidInput: There are fewer than two labels, an empty one or one twice, or no sensible temperature.
    """
    labels = check_labels(labels)
    if not temperature > 0:
        raise InvalidInput(f"temperature is {temperature}; expected more than 0")
    targets = encoder.encode_items(labels)  # (L, D)

    def label(items: Sequence[Item]) -> Iterator[Labelled]:
        return _label(items, labels, targets, encoder, temperature)

    return _rows(paths, reader, label)


def check_labels(labels: Sequence[str]) -> list[str]:
    """Labels without white space around them.

    Raises:
        InvalidInput: See `classify`.
    """
    if isinstance(labels, str):
        raise InvalidInput(f"labels is the string {labels!r}; expected a list of strings")
    stripped = [label.strip() for label in labels]
    if len(stripped) < 2 or not all(stripped):
        raise InvalidInput(f"the labels are {stripped}; expected at least two, none of them empty")
    if twice := sorted({label for label in stripped if stripped.count(label) > 1}):
        raise InvalidInput(f"the labels hold {', '.join(twice)} more than once; keep one of each")
    return stripped


def _rows(
    paths: Iterable[str | os.PathLike[str]],
    reader: MediaReader,
    label: Callable[[Sequence[Item]], Iterator[Labelled]],
) -> Iterator[Labelled | Failed]:
    """The items of all files, labelled in batches, in their order."""
    batch: list[Item] = []
    for path in paths:
        try:
            for item in reader.items(path):
                batch.append(item)
                if len(batch) == BATCH_ITEMS:
                    yield from label(batch)
                    batch = []
        except MediaError as error:
            yield from label(batch)
            batch = []
            yield Failed(source=os.fspath(path), reason=str(error))
    yield from label(batch)


def _label(
    items: Sequence[Item], labels: list[str], targets: np.ndarray, encoder: Encoder, temperature: float
) -> Iterator[Labelled]:
    if not items:
        return
    cosines = _vectors(items, encoder) @ targets.T  # (B, L)
    logits = cosines.astype(np.float64) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    for item, cosine, probability in zip(items, cosines, probabilities, strict=True):
        best = int(probability.argmax())
        yield Labelled(
            place=place_of(item.source, item.fragment),
            kind=item.kind,
            label=labels[best],
            confidence=float(probability[best]),
            probabilities=dict(zip(labels, probability.tolist(), strict=True)),
            cosines=dict(zip(labels, cosine.tolist(), strict=True)),
        )


def _vectors(items: Sequence[Item], encoder: Encoder) -> Vectors:
    """(B, D), each kind of item with the instruction that asks what it is."""
    vectors = np.empty((len(items), encoder.dim), dtype=np.float32)
    # a page is asked about as an image: no classification task has pages
    asked = [ImageItem(image=item.image) if isinstance(item, Page) else item for item in items]
    for kind, instruction in INSTRUCTIONS.items():
        rows = [row for row, item in enumerate(asked) if item.kind == kind]
        if rows:
            vectors[rows] = encoder.encode_items([asked[row] for row in rows], instruction=instruction)
    return vectors
