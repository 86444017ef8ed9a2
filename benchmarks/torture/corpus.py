"""Small files to index, made and changed by a seed; and what a collection holds, for comparing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

import vlm2vec_rag as vr

WORDS = [f"word{number}" for number in range(2_000)]
SAME_VECTOR = 1e-6  # numbers of unit vectors; float32 keeps seven digits
Snapshot = dict[str, tuple[str, bytes | None]]  # by id: payload without its time, vector


class Corpus:
    """A folder of texts and images that changes as files do: some are edited, some go, some come."""

    def __init__(self, folder: Path, seed: int, *, texts: int, images: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [f"t{number}.txt" for number in range(texts)] + [f"i{number}.png" for number in range(images)]
        for name in self.names:
            self.write(name)

    def write(self, name: str) -> None:
        """Write a file anew, with other content."""
        path = self.folder / name
        if path.suffix == ".png":
            size = self.rng.randrange(60, 200), self.rng.randrange(60, 200)
            PILImage.frombytes("L", size, self.rng.randbytes(size[0] * size[1])).save(path)
        else:
            path.write_text(" ".join(self.rng.choices(WORDS, k=self.rng.randrange(20, 2_500))))

    def edit(self, count: int) -> None:
        """Write some files anew; those that are not there come."""
        for name in self.rng.sample(self.names, count):
            self.write(name)

    def take_away(self, count: int) -> list[str]:
        """Delete some files; returns their names."""
        there = [name for name in self.names if (self.folder / name).exists()]
        gone = self.rng.sample(there, min(count, len(there) - 2))
        for name in gone:
            (self.folder / name).unlink()
        return gone


def snapshot(place: Path) -> Snapshot:
    """All points of a collection."""
    with vr.open_collection(place, create=False) as collection:
        return {
            point.id: (_kept(point.payload.to_dict()), _bytes(point.vector))
            for point in collection.scroll(with_vectors=True)
        }


def differences(wanted: Snapshot, got: Snapshot) -> str:
    """What is missing, too much, or other; nothing where both are the same."""
    both = wanted.keys() & got.keys()
    counts = {
        "missing": len(wanted.keys() - got.keys()),
        "too many": len(got.keys() - wanted.keys()),
        "other payload": sum(wanted[each][0] != got[each][0] for each in both),
        "other vector": sum(_apart(wanted[each][1], got[each][1]) > SAME_VECTOR for each in both),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def last_bits(wanted: Snapshot, got: Snapshot) -> int:
    """Vectors that are the same but for rounding: a run that goes on encodes other items together than a whole one."""
    return sum(0 < _apart(wanted[each][1], got[each][1]) <= SAME_VECTOR for each in wanted.keys() & got.keys())


def _apart(left: bytes | None, right: bytes | None) -> float:
    if left == right:
        return 0.0
    if left is None or right is None or len(left) != len(right):
        return float("inf")
    return float(np.abs(np.frombuffer(left, np.float32) - np.frombuffer(right, np.float32)).max())


def _kept(payload: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in payload.items() if key != "indexed_at"}, sort_keys=True)


def _bytes(vector: Any) -> bytes | None:
    return None if vector is None else vector.tobytes()
