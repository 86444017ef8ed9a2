"""The fingerprint: everything that changes a vector, so that two spaces are never mixed by accident.

An encoder states its fingerprint, a collection keeps the one it was built with and refuses another.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a vector depends on. Encoders with equal fingerprints give the same vectors, up to rounding.

    Two checkpoints are told apart by a digest of their weights, so a local copy of a hub model equals the hub's own.
    """

    model: str = field(compare=False)  # the name people know it by
    weights: str = ""  # digest of the weights; empty where only words are searched
    adapter: str = ""  # digest of the adapter's weights and settings
    prompts: str = ""  # digest of the instructions
    max_pixels: int = 0
    frames: int = 0  # frames of a clip
    dim: int = 0  # width of the vector; 0 where only words are searched
    dense_weight: float = field(default=1.0, compare=False)  # of the dense ranking in the fusion; BM25 has 1
    # whether its vectors match words and not meaning, so that an item with words that has none of a question's is no
    # answer to it, however near
    matches_words: bool = field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """Read what `to_dict` gave; keys that a newer version added are left out."""
        known = {each.name for each in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})

    @property
    def digest(self) -> str:
        """Sixteen hex digits over every compared field."""
        compared = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.compare}
        return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()[:16]

    def difference(self, other: Fingerprint) -> dict[str, tuple[Any, Any]]:
        """The compared fields that differ: name -> (mine, theirs)."""
        pairs = {
            each.name: (getattr(self, each.name), getattr(other, each.name))
            for each in dataclasses.fields(self)
            if each.compare
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def __str__(self) -> str:
        adapter = f" + adapter {self.adapter}" if self.adapter else ""
        return f"{self.model}{adapter} ({self.digest})"
