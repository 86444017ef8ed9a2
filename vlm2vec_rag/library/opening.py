"""`vr.open`: a place to a `Library`, with the model that is recorded there, or with one chosen for a new collection."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.collection.record import UNDECIDED
from vlm2vec_rag.errors import CollectionNotFound, FingerprintMismatch, InvalidInput, ModelNotFound
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.languages import code_of
from vlm2vec_rag.library.indexing import record_media
from vlm2vec_rag.library.library import Library, Setup
from vlm2vec_rag.library.model import WORDS_ONLY, ModelName, words_only
from vlm2vec_rag.thumbnails import Thumbnails

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Cluster, Collection
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.media import MediaLimits, MediaSettings

logger = logging.getLogger("vlm2vec_rag.library")

DEFAULT_PLACE = ".vlm2vec"


def open_library(
    place: str | os.PathLike[str] = DEFAULT_PLACE,
    model: str | Path | Encoder | None = None,
    adapter: str | Path | None = None,
    *,
    name: str = "default",
    create: bool = True,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    max_pixels: int | None = None,
    frames: int | None = None,
    dim: int | None = None,
    batch_tokens: int | None = None,
    language: str | None = None,
    media: MediaSettings | None = None,
    limits: MediaLimits | None = None,
    thumbnails: str | os.PathLike[str] | bool = True,
    cluster: Cluster | None = None,
    **connection: Any,
) -> Library:
    """Open a library, or make it when it is not there. Known as `vlm2vec_rag.open`.

    A new one writes its model, pixel budget, frames, language and media settings beside the vectors. One that is there
    is opened with what is written; the model is loaded when it is first needed.

    Args:
        place: A folder, `:memory:`, or the address of a Qdrant server such as `http://localhost:6333`.
        model: A hub id, a folder, "nano", "none" for words only, or a loaded encoder. None takes what is recorded, or
            for a new library the best whose weights are at hand.
        adapter: A LoRA adapter to put on the model: a hub id or a folder.
        name: The collection at that place.
        create: Make it when it is not there.
        device: cuda, cuda:1, mps or cpu. None takes the best there is.
        dtype: float32, bfloat16 or float16. None takes the fastest that keeps the model's range.
        revision: Branch, tag or commit of the model on the hub.
        max_pixels: Budget of one page, image or frame; for a new library.
        frames: Frames of a clip; for a new library.
        dim: Numbers of a vector, fewer than the model's own where it was trained for that; for a new library.
        batch_tokens: Tokens of one forward pass. None suits the device.
        language: Whose stopwords and word endings the words follow, such as "german"; "none" leaves words as they are.
            For a new library. Subtitles in it are preferred. None: the first texts decide, when they are indexed.
        media: How files become items; for a new library.
        limits: What a file may cost before it is refused.
        thumbnails: A folder for small images; True puts them beside the collection (for a server into the user's
            cache), False keeps none.
        cluster: How a server spreads the collection when it is made.
        connection: More for `open_collection`, on how a server is reached: `api_key` (else QDRANT_API_KEY),
            `timeout_s` and the like.

    Raises:
        CollectionNotFound: It is not there and was not to be made.
        CollectionLocked: Another process has the folder open.
        FingerprintMismatch: It was built with another model; both are named, with the way to convert it.
        ModelNotFound: The model of a new library cannot be reached.
        InvalidInput: A setting makes no sense, or is not the recorded one.
    """
    located = str(Path(place).expanduser()) if isinstance(place, os.PathLike) else place
    settings: dict[str, Any] = {
        "name": name,
        "create": create,
        "device": device,
        "dtype": dtype,
        "revision": revision,
        "max_pixels": max_pixels,
        "frames": frames,
        "dim": dim,
        "batch_tokens": batch_tokens,
        "language": language,
        "media": media,
        "limits": limits,
        "thumbnails": thumbnails,
        "cluster": cluster,
        **connection,
    }

    def reopen(elsewhere: str = located, other: str | Path | Encoder | None = None, **changed: Any) -> Library:
        """The same settings at another place or with another model."""
        if elsewhere == ":memory:":
            changed = {"thumbnails": False, "cluster": None, **changed}
        return open_library(elsewhere, other, **{**settings, **changed})

    loading = {"device": device, "dtype": dtype, "batch_tokens": batch_tokens}
    asked = _Model.asked_for(model, adapter, revision)
    collection = _existing(located, name, language, connection)
    if collection is None:
        if not create:
            raise CollectionNotFound(_not_there(located, name))
        asked = asked or _chosen()
        fingerprint = asked.fingerprint(max_pixels, frames, dim)
        collection = open_collection(
            located, name, fingerprint=fingerprint, language=language or UNDECIDED, cluster=cluster, **connection
        )
        is_new = True
        media = _preferring(media, language)
    else:
        is_new = False
    try:
        asked = _settled(collection, asked, {"max_pixels": max_pixels, "frames": frames, "dim": dim})
        setup = Setup(
            place=located,
            name=name,
            model=asked.name,
            load=asked.loader(collection.fingerprint, loading) if collection.dim else None,
            media=media,
            limits=limits,
            thumbnails=_thumbnails(located, thumbnails),
            reopen=reopen,
        )
        library = Library(collection, setup)
        recorded = None if is_new else ModelName.recorded_in(collection)
        if setup.model is not None and (is_new or (recorded is not None and recorded.missing)):
            setup.model.record(collection)  # a folder that was moved is found from now on
        if is_new:
            record_media(collection, library.media_settings)
        return library
    except BaseException:
        collection.close()
        raise


class _Model:
    """A model by its name, a loaded encoder, or words only (neither)."""

    def __init__(self, name: ModelName | None = None, encoder: Encoder | None = None) -> None:
        self.name, self.encoder = name, encoder

    @classmethod
    def asked_for(
        cls, model: str | Path | Encoder | None, adapter: str | Path | None, revision: str | None
    ) -> _Model | None:
        """What the caller named; None where nothing was."""
        if model is None and adapter is None:
            return None
        if model is not None and not isinstance(model, str | os.PathLike):
            if not hasattr(model, "encode_items"):
                raise InvalidInput(f"model is a {type(model).__name__}; expected a hub id, a folder or an Encoder")
            if adapter is not None:
                raise InvalidInput("a loaded encoder is given, and an adapter; load the encoder with its adapter")
            named = getattr(model, "loaded_from", None)
            return cls(None if named is None else ModelName.of(*named), model)
        if model == WORDS_ONLY:
            if adapter is not None:
                raise InvalidInput(f"model {WORDS_ONLY!r} searches by words only and takes no adapter")
            return cls()
        if model is None:  # an adapter alone names its own base
            return cls(ModelName.of(str(adapter), None, revision))
        return cls(ModelName.of(str(model), adapter, revision))

    @property
    def is_words_only(self) -> bool:
        return self.name is None and self.encoder is None

    def fingerprint(self, max_pixels: int | None, frames: int | None, dim: int | None) -> Fingerprint:
        """What its vectors would be made with, without loading it.

        Raises:
            ModelNotFound: It cannot be reached.
            InvalidInput: A loaded encoder has other settings than those asked for.
        """
        if self.encoder is not None:
            made_with = self.encoder.fingerprint
            asked = {"max_pixels": max_pixels, "frames": frames, "dim": dim}
            for setting, value in asked.items():
                if value is not None and value != getattr(made_with, setting):
                    raise InvalidInput(
                        f"{setting} is {value}, and the encoder was loaded with {getattr(made_with, setting)}; "
                        "load it with the one that is meant"
                    )
            return made_with
        if self.name is None:
            return words_only()
        from vlm2vec_rag.encoder.load import find_model

        files = find_model(self.name.model, self.name.adapter, self.name.revision)
        return files.fingerprint(max_pixels, frames, dim)

    def loader(self, made_with: Fingerprint, loading: dict[str, Any]) -> Callable[[], Encoder] | None:
        """How to load it with the settings that the collection was made with; None for words only."""
        if self.encoder is not None:
            return lambda encoder=self.encoder: encoder  # type: ignore[misc]
        if self.name is None:
            return None
        return functools.partial(_load, self.name, made_with, loading)


def _load(name: ModelName, made_with: Fingerprint, loading: dict[str, Any]) -> Encoder:
    from vlm2vec_rag.encoder.shared import shared_encoder

    if gone := name.missing:
        is_adapter = gone == name.adapter or bool(made_with.adapter and name.adapter is None)
        what = "adapter" if is_adapter else "model"
        raise ModelNotFound(
            f"the {what} of this collection ({made_with.model}) was at {gone}, and is not there; where it was moved, "
            f"open the collection with --{what} and its new folder: it is checked to be the same, and remembered"
        )
    encoder = shared_encoder(
        model=name.model,
        adapter=name.adapter,
        revision=name.revision,
        max_pixels=made_with.max_pixels,
        frames=made_with.frames,
        dim=made_with.dim,
        **loading,
    )
    logger.info("%s runs on %s; --device and --dtype choose otherwise", encoder.fingerprint, encoder.runs_on)
    return encoder


def _existing(place: str, name: str, language: str | None, connection: dict[str, Any]) -> Collection | None:
    """The collection, if it is there."""
    try:
        return open_collection(place, name, create=False, language=language, **connection)
    except CollectionNotFound:
        return None


def _preferring(media: MediaSettings | None, language: str | None) -> MediaSettings | None:
    """The media settings, with subtitles of a given language preferred where nothing else is asked for."""
    code = code_of(language) if language else None
    if code is None or (media is not None and media.subtitle_language is not None):
        return media
    from vlm2vec_rag.media import MediaSettings

    return replace(media or MediaSettings(), subtitle_language=code)


def _chosen() -> _Model:
    """The best model whose weights are at hand, and one line in the log that says which."""
    from vlm2vec_rag.encoder.auto import choose_model

    model, reason = choose_model()
    logger.info(reason)
    return _Model(ModelName.of(model))


def _settled(
    collection: Collection,
    asked: _Model | None,
    budget: dict[str, int | None],
) -> _Model:
    """The model to open a collection with: the recorded one, or one asked for that gives the same vectors.

    Raises:
        FingerprintMismatch: What is asked for gives other vectors; both are named, with the way to convert.
        InvalidInput: It holds vectors and does not say where its model is.
    """
    made_with, recorded = collection.fingerprint, ModelName.recorded_in(collection)
    other = {key: value for key, value in budget.items() if value is not None and value != getattr(made_with, key)}
    if asked is None or asked.is_words_only:
        if other and collection.dim:
            raise FingerprintMismatch(_other_budget(collection, other))
        if asked is not None or not collection.dim:
            return _Model()  # any collection can be searched by words
        if recorded is None:
            raise InvalidInput(
                f"the collection {collection.name!r} does not say where its model {made_with.model!r} is; "
                "name it: --model PATH_OR_ID [--adapter PATH_OR_ID]"
            )
        return _Model(recorded)
    if asked.encoder is None and asked.name == recorded and not other:
        return asked
    as_there = {key: value or getattr(made_with, key) or None for key, value in budget.items()}
    try:
        would_be = asked.fingerprint(**as_there)
    except InvalidInput:  # the collection's settings make no sense for the model that is asked for
        would_be = asked.fingerprint(**budget)
    if not made_with.difference(would_be):
        return asked
    if other and asked.name == recorded:
        raise FingerprintMismatch(_other_budget(collection, other))
    was = recorded or made_with
    convert = asked.name.options if asked.name else f"--model {would_be.model}"
    apart = ", ".join(
        f"{key} {mine!r} there, {theirs!r} here" for key, (mine, theirs) in made_with.difference(would_be).items()
    )
    raise FingerprintMismatch(
        f"the collection {collection.name!r} was built with {was if collection.dim else 'words only'}, and "
        f"{asked.name or would_be} gives other vectors ({apart}); leave the model out to use the one it was built "
        f"with, or convert the collection: vlm2vec-rag reindex {convert}"
    )


def _other_budget(collection: Collection, other: dict[str, Any]) -> str:
    asked = ", ".join(f"{key}={value}" for key, value in other.items())
    kept = ", ".join(f"{key}={getattr(collection.fingerprint, key)}" for key in other)
    options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in other.items())
    return (
        f"the collection {collection.name!r} was built with {kept}, and {asked} is asked for; leave it out, or convert "
        f"the collection: vlm2vec-rag reindex {options}"
    )


def _thumbnails(place: str, chosen: str | os.PathLike[str] | bool) -> Thumbnails | None:
    """Beside a folder; for a server in the user's cache, by content, so that nothing clashes."""
    if not isinstance(chosen, bool):
        return Thumbnails(chosen)
    if not chosen or place == ":memory:":
        return None
    if "://" in place:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Thumbnails(cache / "vlm2vec-rag" / "thumbnails")
    return Thumbnails(Path(place).expanduser() / "thumbnails")


def _not_there(place: str, name: str) -> str:
    if "://" in place:
        return f"there is no collection {name!r} at {place}; make one with: vlm2vec-rag index PATH... --qdrant {place}"
    return f"there is no collection {name!r} at {place}; make one with: vlm2vec-rag index PATH... -c {place}"
