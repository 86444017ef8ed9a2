"""The base of a data set of one's own: say how many pairs there are, and give one by its number."""

from __future__ import annotations

from abc import ABC, abstractmethod

from vlm2vec_finetune.pairs import Pair


class VisDocDataset(ABC):
    """Pairs by number. Inherit it, register it by name, and name it in the recipe.

        @register_dataset("invoices")
        class Invoices(VisDocDataset):
            def __init__(self, path: str, year: int = 2024): ...
            def __len__(self): ...
            def __getitem__(self, index):
                return Pair(query=Content(text="who pays?"), target=Content(pdf="a.pdf", page=1))

    Keys of the recipe's entry that are no setting of the mix (`year: 2023`) arrive as keyword arguments. The same
    number must always give the same pair: batches are chosen by number. Pairs say where pixels are; they are opened
    later, by several threads, and one that cannot be opened is skipped and counted.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many pairs there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Pair:
        """The pair of that number, from 0.

        Raises:
            InvalidInput: Its record is broken; it is skipped and counted.
        """
