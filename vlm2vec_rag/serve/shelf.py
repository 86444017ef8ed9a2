"""The libraries that one server serves, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.serve.errors import NotFound

if TYPE_CHECKING:
    from vlm2vec_rag.serve.served import Served


class Shelf:
    """The libraries of a server by name; the first one is the default.

    Raises:
        InvalidInput: There is none, or two have the same name.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self._served: dict[str, Served] = {}
        for each in served:
            if each.name in self._served:
                raise InvalidInput(f"two collections are named {each.name!r}; name them with NAME=PLACE")
            self._served[each.name] = each
        if not self._served:
            raise InvalidInput("there is no collection to serve")

    def get(self, name: str = "") -> Served:
        """A library by its name; the first one for an empty name.

        Raises:
            NotFound: There is none of that name.
        """
        found = self._served.get(name) if name else next(iter(self._served.values()))
        if found is None:
            raise NotFound(f"there is no collection {name[:80]!r} here; there are {', '.join(self._served)}")
        return found

    def all(self) -> list[Served]:
        """Every library, the default one first."""
        return list(self._served.values())

    def names(self) -> list[str]:
        """Their names, in the same order."""
        return list(self._served)

    def __len__(self) -> int:
        return len(self._served)
