"""Optional dependencies: import one when it is used, or name the extra that brings it."""

import importlib
from types import ModuleType

from vlm2vec_rag.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises:
        MissingExtra: It is not installed; the message holds the pip line that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".", maxsplit=1)[0]):
            raise  # the package is there and its own import broke: show that instead
        raise MissingExtra(f"{module} is not installed; run: pip install 'vlm2vec-rag[{extra}]'") from error
