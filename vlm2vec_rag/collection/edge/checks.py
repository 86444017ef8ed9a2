"""What must be right about a write before the engine hears of it.

The engine logs an update first and checks it afterwards (0.9.0): what it refuses comes back when the log is replayed
after a crash, as a point without vectors. It takes NaN without a word. So nothing reaches it that was not checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python
from qdrant_client import models

from vlm2vec_rag.collection.edge.config import dense_params
from vlm2vec_rag.errors import InvalidInput

LARGEST_INDEX = 2**32 - 1
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class VectorRules:
    """What the vectors of a collection look like, by name; `` names the vector of a collection that names none."""

    widths: dict[str, int]
    multivectors: frozenset[str]
    sparse: frozenset[str]

    @classmethod
    def of(cls, config: models.CreateCollection) -> VectorRules:
        dense = dense_params(config)
        return cls(
            widths={name: each.size for name, each in dense.items()},
            multivectors=frozenset(name for name, each in dense.items() if each.multivector_config),
            sparse=frozenset(config.sparse_vectors or {}),
        )

    def named(self, vector: Any, *, of: str) -> dict[str, Any]:
        """The vectors of a point by name, all checked.

        Raises:
            InvalidInput: No vector has such a name, one has another width, or not every number is finite.
        """
        if vector is None:
            return {}
        by_name = vector if isinstance(vector, dict) else {"": vector}
        return {name: self.one(name, each, of=of) for name, each in by_name.items()}

    def one(self, name: str, vector: Any, *, of: str) -> Any:
        """One vector, checked: a list of floats, a list of such lists, or a SparseVector."""
        self.known([name])
        if name in self.sparse:
            return _sparse(vector, of=f"sparse vector {name!r} of {of}")
        return self._dense(name, vector, of=f"vector {name!r} of {of}")

    def known(self, names: Any) -> list[str]:
        """These names, all of them of vectors.

        Raises:
            InvalidInput: One is not.
        """
        there = [*self.widths, *self.sparse]
        for name in names:
            if name not in there:
                raise InvalidInput(f"there is no vector {name!r}; this collection has {', '.join(map(repr, there))}")
        return list(names)

    def _dense(self, name: str, vector: Any, *, of: str) -> Any:
        try:
            # float64, so that a number too large for float32 is seen before it becomes an infinity
            array = np.asarray(vector, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{of} is not made of numbers: {error}") from error
        is_right = array.ndim == 1 or (array.ndim == 2 and name in self.multivectors)
        if not is_right or array.shape[-1] != self.widths[name] or array.size == 0:
            raise InvalidInput(f"{of} has shape {array.shape}; this collection holds a width of {self.widths[name]}")
        if not (np.abs(array) <= LARGEST_FLOAT32).all():  # not so for NaN either
            raise InvalidInput(f"{of} holds a NaN or a number beyond float32; check the encoder's output")
        return vector


def _sparse(vector: Any, *, of: str) -> models.SparseVector:
    if not isinstance(vector, models.SparseVector):
        raise InvalidInput(f"{of} is a {type(vector).__name__}; expected a SparseVector")
    values = np.asarray(vector.values, dtype=np.float64)
    different = len(set(vector.indices))
    if not different == len(vector.indices) == len(values):
        raise InvalidInput(
            f"{of} has {len(vector.indices)} indices, {different} of them different, and {len(values)} values; "
            "expected as many of each"
        )
    if not all(0 <= index <= LARGEST_INDEX for index in vector.indices):
        raise InvalidInput(f"{of} has an index outside of 0 to {LARGEST_INDEX}")
    if not (np.abs(values) <= LARGEST_FLOAT32).all():
        raise InvalidInput(f"{of} holds a NaN or a number beyond float32")
    return vector


def json_of(payload: Any, *, of: str) -> dict[str, Any]:
    """A payload as the JSON a server would be sent: times and UUIDs become text, a missing payload an empty one.

    Raises:
        InvalidInput: It is no mapping, or holds something JSON has no word for.
    """
    try:
        plain = to_jsonable_python(payload or {})
    except ValueError as error:
        raise InvalidInput(f"the payload of {of} is not JSON: {error}") from error
    if not isinstance(plain, dict):
        raise InvalidInput(f"the payload of {of} is a {type(payload).__name__}; expected a mapping")
    return plain
