"""Data sets by name: `pairs`, and those that a recipe's `modules:` register."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vlm2vec_finetune.datasets.base import VisDocDataset
from vlm2vec_finetune.datasets.files import PairsFile
from vlm2vec_finetune.recipe import DatasetEntry
from vlm2vec_rag.errors import InvalidInput

_Class = TypeVar("_Class", bound=type[VisDocDataset])
_DATASETS: dict[str, type[VisDocDataset]] = {"pairs": PairsFile}


def register_dataset(name: str) -> Callable[[_Class], _Class]:
    """Class decorator: let recipes name this data set.

    Raises:
        InvalidInput: Another class has that name.
    """

    def register(cls: _Class) -> _Class:
        other = _DATASETS.get(name)
        # a recipe's modules may be read twice, which gives an equal class a second time
        if other is not None and other.__qualname__ != cls.__qualname__:
            raise InvalidInput(f"the data set {name!r} is {other.__qualname__} already; choose another name")
        _DATASETS[name] = cls
        return cls

    return register


def import_modules(paths: Sequence[str]) -> None:
    """Run the recipe's own Python files, which register its data sets.

    Raises:
        InvalidInput: A file is not there.
    """
    for each in paths:
        path = Path(each)
        if not path.is_file():
            raise InvalidInput(f"the recipe names the module {path}, and there is no such file")
        name = f"vlm2vec_finetune_module_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise InvalidInput(f"the module {path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def open_dataset(source: DatasetEntry) -> VisDocDataset:
    """The data set that a recipe's entry names.

    Raises:
        InvalidInput: No data set has that name, or it does not take the entry's keys.
    """
    cls = _DATASETS.get(source.dataset)
    if cls is None:
        raise InvalidInput(
            f"{source.name}: no data set is called {source.dataset!r}; known are {', '.join(sorted(_DATASETS))}. "
            "Name the file that registers it under modules:"
        )
    arguments = {**source.options, **({"path": source.path} if source.path else {})}
    try:
        return cls(**arguments)
    except TypeError as error:
        raise InvalidInput(f"{source.name}: {cls.__qualname__} cannot be made with {arguments}: {error}") from error
