"""The model of a collection, by name: written into it, so that nobody has to say it again.

The fingerprint decides whether an encoder fits; this says where to get it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.encoder.adapter import CONFIG as ADAPTER_CONFIG
from vlm2vec_rag.encoder.names import NANO
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection

WORDS_ONLY = "none"
"""The name of no model: such a collection is searched by words alone."""

SETTING = "encoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """Where a model and its adapter are found: hub ids, or folders by their full path."""

    model: str
    adapter: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, model: str | Path, adapter: str | Path | None = None, revision: str | None = None) -> ModelName:
        """The name as it holds from any working folder."""
        return cls(model=_lasting(model), adapter=_lasting(adapter) if adapter else None, revision=revision)

    @classmethod
    def recorded_in(cls, collection: Collection) -> ModelName | None:
        """What `record` wrote; None for words only, and for a collection that never said.

        A collection that does not say gives its fingerprint's name where that is a hub id or the package's own model.
        """
        recorded = collection.settings.get(SETTING)
        if recorded:
            return cls(model=str(recorded["model"]), adapter=recorded.get("adapter"), revision=recorded.get("revision"))
        named = collection.fingerprint.model
        may_be_found = collection.dim and not collection.fingerprint.adapter and (named == NANO or "/" in named)
        return cls(model=named) if may_be_found else None

    def record(self, collection: Collection) -> None:
        """Write the name into a collection, where it is not there already."""
        names = {key: value for key, value in asdict(self).items() if value is not None or key != "revision"}
        if collection.settings.get(SETTING) != names:
            collection.update_settings({SETTING: names})

    @property
    def options(self) -> str:
        """The name as options of the command line."""
        is_adapter = self.adapter is None and (Path(self.model) / ADAPTER_CONFIG).is_file()
        parts = {"--adapter" if is_adapter else "--model": self.model, "--revision": self.revision}
        if self.adapter:
            parts = {"--model": self.model, "--adapter": self.adapter, "--revision": self.revision}
        return " ".join(f"{option} {value}" for option, value in parts.items() if value)

    @property
    def missing(self) -> str:
        """The folder of the model or adapter that is not there any more, or nothing."""
        named = (each for each in (self.model, self.adapter) if each and Path(each).is_absolute())
        return next((each for each in named if not Path(each).is_dir()), "")

    def __str__(self) -> str:
        return self.model + (f" with the adapter {self.adapter}" if self.adapter else "")


def require_name(collection: Collection) -> ModelName:
    """The recorded name.

    Raises:
        InvalidInput: The collection holds words only, or does not say where its model is.
    """
    name = ModelName.recorded_in(collection)
    if not collection.dim:
        raise InvalidInput(f"the collection {collection.name!r} holds words only and was built without a model")
    if name is None:
        raise InvalidInput(
            f"the collection {collection.name!r} does not say where its model {collection.fingerprint.model!r} is; "
            "name the model and its adapter"
        )
    return name


def words_only() -> Fingerprint:
    """The fingerprint of a collection that is searched by words alone."""
    return Fingerprint(model="words only")


def _lasting(name: str | Path) -> str:
    """A folder by its full path, so that it is found from elsewhere; a hub id and `nano` as they are."""
    name = str(name)
    if name == NANO:
        return name
    path = Path(name).expanduser()
    return str(path.resolve()) if path.is_dir() else name
