"""Cut a stream of points into requests that every server takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from vlm2vec_rag.collection.points import Point, to_json

MOST_POINTS = 256
MOST_BYTES = 12 * 2**20  # of JSON; servers refuse 32 MiB, proxies before them often 16
_BYTES_PER_NUMBER = 22  # a float32 printed as the double it becomes, with its comma
_OTHER_FIELDS_BYTES = 4_000  # source and folders, hashes, times: two long paths fit in


def batches(
    points: Iterable[Point], *, dim: int, most_points: int = MOST_POINTS, most_bytes: int = MOST_BYTES
) -> Iterator[list[Point]]:
    """Lists of points that stay below both limits; a point larger than `most_bytes` goes alone."""
    batch: list[Point] = []
    filled = 0
    for point in points:
        size = request_bytes(point, dim)
        if batch and (len(batch) >= most_points or filled + size > most_bytes):
            yield batch
            batch, filled = [], 0
        batch.append(point)
        filled += size
    if batch:
        yield batch


def request_bytes(point: Point, dim: int) -> int:
    """At most how long a point is as JSON: both vectors, and the payload with its text."""
    text = len(json.dumps(point.payload.text))
    words = text // 2  # no text has more, not even one of characters taken in pairs, each six bytes long in JSON
    numbers = (dim if point.vector is not None else 0) + 2 * words
    metadata = len(json.dumps(to_json(point.payload.metadata)))
    return numbers * _BYTES_PER_NUMBER + text + metadata + _OTHER_FIELDS_BYTES
