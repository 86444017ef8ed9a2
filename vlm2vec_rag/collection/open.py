"""Open a collection wherever it lives: a folder, a server, or memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import CollectionNotFound, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

if TYPE_CHECKING:
    from vlm2vec_rag.collection.collection import Collection
    from vlm2vec_rag.collection.engine import Engine
    from vlm2vec_rag.collection.schema import Cluster

DEFAULT_LANGUAGE = "english"


def open_collection(
    location: str | os.PathLike[str] = ":memory:",
    name: str = "default",
    *,
    fingerprint: Fingerprint | None = None,
    create: bool = True,
    language: str | None = None,
    api_key: str | None = None,
    prefer_grpc: bool = False,
    timeout_s: float = 30.0,
    cluster: Cluster | None = None,
) -> Collection:
    """Open a collection, or make it when it is not there and a fingerprint says what it would hold.

    Args:
        location: A folder for the embedded engine, `http://host:6333` or `https://…` for a Qdrant server or cluster, or
            `:memory:`. A folder belongs to one process at a time; open it after a fork, not before.
        name: The collection at that location; a location holds many.
        fingerprint: What the vectors are made with, from the encoder. A collection made with another one is refused.
            None opens whatever is there. A fingerprint of dim 0 makes a collection of words only, without vectors.
        create: Make the collection when it is not there.
        language: Whose stopwords and stemming the word side uses; see `Bm25`. Set when the collection is made (English
            unless told) and kept with it.
        api_key: For a server; else QDRANT_API_KEY. Sent over https only, or to this machine.
        prefer_grpc: Talk gRPC (port 6334) to the server: a fifth of the bytes per point.
        timeout_s: How long the server may take over one request.
        cluster: How a server spreads the collection when it is made.

    Raises:
        CollectionNotFound: It is not there, and was not to be made or no fingerprint said how.
        CollectionLocked: Another process has the folder open.
        FingerprintMismatch: It was made with another fingerprint; both are named.
        CollectionError: The server cannot be reached or refuses the key; the message says which and what to do.
    """
    from vlm2vec_rag.collection.bm25 import Bm25
    from vlm2vec_rag.collection.collection import Collection
    from vlm2vec_rag.collection.record import Record
    from vlm2vec_rag.collection.schema import PAYLOAD_INDEXES, creation

    if fingerprint is None or not create:
        _require_folder(os.fspath(location), name, fingerprint)  # opening it would make it
    engine = open_engine(location, api_key=api_key, prefer_grpc=prefer_grpc, timeout_s=timeout_s)
    where = f"collection {name!r} at {engine.location}"
    try:
        with engine.errors("open the collection"):
            if not engine.client.collection_exists(name):
                if fingerprint is None or not create:
                    raise CollectionNotFound(_not_found(engine, name, fingerprint))
                words = Bm25(language or DEFAULT_LANGUAGE)  # refuses an unknown language before anything is made
                record = Record(fingerprint=fingerprint, language=words.language)
                _make(engine, name, creation(record, cluster))
            described = engine.client.get_collection(name)
            record = Record.from_metadata(described.config.metadata, where=where)
            if fingerprint is not None:
                record.require(fingerprint, where=where)
            if language is not None and language != record.language:
                raise InvalidInput(
                    f"{where} was indexed with language {record.language!r}, not {language!r}; "
                    "leave language out, or index into another collection"
                )
            if engine.has_indexes:
                for field, kind in PAYLOAD_INDEXES.items():
                    if field not in described.payload_schema:
                        engine.client.create_payload_index(name, field_name=field, field_schema=kind)
        return Collection(engine, name, record)
    except BaseException:
        engine.close()
        raise


def open_engine(
    location: str | os.PathLike[str], *, api_key: str | None = None, prefer_grpc: bool = False, timeout_s: float = 30.0
) -> Engine:
    """Open the place itself, with all of its collections."""
    place = os.fspath(location)
    if place == ":memory:":
        from vlm2vec_rag.collection.memory import MemoryEngine

        return MemoryEngine()
    if place.startswith(("http://", "https://")):
        from vlm2vec_rag.collection.server import ServerEngine

        return ServerEngine(place, api_key=api_key, prefer_grpc=prefer_grpc, timeout_s=timeout_s)
    from vlm2vec_rag.collection.embedded import EmbeddedEngine

    return EmbeddedEngine(Path(place).expanduser())


def _make(engine: Engine, name: str, arguments: dict[str, Any]) -> None:
    try:
        engine.client.create_collection(name, **arguments)
    except Exception:
        # another process may have been first, or the answer to an earlier attempt of this one was lost
        if not engine.client.collection_exists(name):
            raise


def _require_folder(place: str, name: str, fingerprint: Fingerprint | None) -> None:
    is_folder = place != ":memory:" and not place.startswith(("http://", "https://"))
    if is_folder and not Path(place).expanduser().is_dir():
        raise CollectionNotFound(f"no collection {name!r} at {place} (there is no such folder); {_step(fingerprint)}")


def _not_found(engine: Engine, name: str, fingerprint: Fingerprint | None) -> str:
    there = sorted(each.name for each in engine.client.get_collections().collections)
    known = f"there are: {', '.join(there)}" if there else "there are none"
    return f"no collection {name!r} at {engine.location} ({known}); {_step(fingerprint)}"


def _step(fingerprint: Fingerprint | None) -> str:
    return "index something first" if fingerprint is None else "check the name, or open it with create=True"
