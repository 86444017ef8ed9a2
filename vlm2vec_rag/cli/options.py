"""The options that several commands share, and how they open a collection and its encoder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm2vec_rag.cli.console import note
from vlm2vec_rag.errors import CollectionNotFound
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.provenance import SETTING, record_model
from vlm2vec_rag.thumbnails import Thumbnails

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.encoder import Encoder

DEFAULT_FOLDER = Path(".vlm2vec")
WORDS_ONLY = "none"

FolderOption = Annotated[
    Path, typer.Option("--collection", "-c", envvar="VLM2VEC_COLLECTION", help="Folder of the collection.")
]
QdrantOption = Annotated[
    str | None,
    typer.Option("--qdrant", envvar="QDRANT_URL", help="A Qdrant server or cluster instead, key in QDRANT_API_KEY."),
]
NameOption = Annotated[str, typer.Option("--name", help="Which collection at that place.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Hub id or folder of the model, 'nano', or 'none' for words only."),
]
AdapterOption = Annotated[str | None, typer.Option("--adapter", help="A LoRA adapter to put on the model.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the best there is by default.")]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pixels", help="Budget of a page, image or frame; 1003520 unless told, and kept by a collection."
    ),
]
FramesOption = Annotated[
    int | None, typer.Option("--frames", help="Frames of a clip; 8 unless told, and kept by a collection.")
]
DtypeOption = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a collection is, and where its thumbnails go."""

    folder: Path = DEFAULT_FOLDER
    qdrant: str | None = None
    name: str = "default"

    @property
    def location(self) -> str:
        return self.qdrant or str(self.folder)

    @property
    def thumbnails(self) -> Thumbnails:
        """Beside an embedded collection; for a server in the user's cache, by content, so that nothing clashes."""
        if self.qdrant is None:
            return Thumbnails(self.folder / "thumbnails")
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Thumbnails(cache / "vlm2vec-rag" / "thumbnails")

    @property
    def uploads(self) -> Path:
        """Where the web app keeps what it is given: beside an embedded collection, else in the working folder."""
        return self.folder / "uploads" if self.qdrant is None else Path("vlm2vec-uploads")

    def open(self, fingerprint: Fingerprint | None = None, *, create: bool = False) -> Collection:
        """Open the collection; without `create` it must be there."""
        from vlm2vec_rag.collection import open_collection

        if not create and self.qdrant is None and not self.folder.is_dir():
            raise CollectionNotFound(
                f"there is no collection at {self.folder}; make one with: vlm2vec-rag index PATH... -c {self.folder}"
            )
        return open_collection(self.location, self.name, fingerprint=fingerprint, create=create)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which encoder to use, as asked for on the command line or as written in a collection."""

    model: str | None = None
    adapter: str | None = None
    device: str | None = None
    dtype: str | None = None
    max_pixels: int | None = None
    frames: int | None = None

    def load(self) -> Encoder | None:
        """The encoder; None for words only. Says in one line what was taken when nothing was asked for."""
        from vlm2vec_rag.encoder import load_encoder
        from vlm2vec_rag.encoder.auto import choose_model

        model = self.model
        if model == WORDS_ONLY:
            return None
        if model is None and self.adapter is None:
            model, reason = choose_model()
            note(reason)
        encoder = load_encoder(
            model,
            self.adapter,
            self.device,
            self.dtype,
            max_pixels=self.max_pixels,
            frames=self.frames,
        )
        note(f"{encoder.fingerprint} runs on {encoder.runs_on}; --device and --dtype choose otherwise")
        return encoder

    def recorded_in(self, collection: Collection) -> ModelChoice:
        """The choice written in a collection, on the device asked for now. What is asked for now wins."""
        if self.model is None and self.adapter is None:
            recorded = collection.settings.get(SETTING) or {}
            nothing = None if collection.dim else WORDS_ONLY
            model, adapter = recorded.get("model") or nothing, recorded.get("adapter")
        else:
            # an adapter alone names its own base, which need not be the model the collection was built with
            model, adapter = self.model, self.adapter
        made_with = collection.fingerprint
        return replace(
            self,
            model=model,
            adapter=adapter,
            max_pixels=self.max_pixels or made_with.max_pixels or None,
            frames=self.frames or made_with.frames or None,
        )

    def record(self, collection: Collection, encoder: Encoder | None) -> None:
        """Write the choice into a collection, so that a search needs no option."""
        if encoder is None:
            return
        if self.model is None and self.adapter is not None:
            record_model(collection, self.adapter)  # loading it brings its base along
        else:
            record_model(collection, self.model or encoder.fingerprint.model, self.adapter)


def words_only() -> Fingerprint:
    """The fingerprint of a collection that is searched by words alone."""
    return Fingerprint(model="words only")
