"""Open a collection wherever it lives: a folder, a server, or memory."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
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

    place = _checked(os.fspath(location))
    if cluster is not None and not _is_address(place):
        raise InvalidInput(f"cluster settings are for a server, and {place!r} is none; leave them out")
    if not (create and fingerprint):
        _require_folder(place, name, fingerprint)
    engine = _engine(place, api_key=api_key, prefer_grpc=prefer_grpc, timeout_s=timeout_s)
    where = f"collection {name!r} at {engine.location}"
    try:
        with engine.errors("open the collection"):
            if not engine.client.collection_exists(name):
                if fingerprint is None or not create:
                    there = [each.name for each in engine.client.get_collections().collections]
                    raise CollectionNotFound(_not_found(name, engine.location, there, fingerprint))
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


def _checked(place: str) -> str:
    """Refuse what was meant as an address and would be made a folder of."""
    if not _is_address(place) and (not place or "://" in place or re.fullmatch(r"[\w.-]+:\d+", place)):
        raise InvalidInput(f"{place!r} is neither a folder nor an address; a server is written http://host:6333")
    return place


def _engine(place: str, *, api_key: str | None, prefer_grpc: bool, timeout_s: float) -> Engine:
    """Open the place itself, with all of its collections."""
    if place == ":memory:":
        from vlm2vec_rag.collection.memory import MemoryEngine

        return MemoryEngine()
    if _is_address(place):
        from vlm2vec_rag.collection.server import ServerEngine

        return ServerEngine(place, api_key=api_key, prefer_grpc=prefer_grpc, timeout_s=timeout_s)
    from vlm2vec_rag.collection.embedded import EmbeddedEngine

    return EmbeddedEngine(Path(place).expanduser())


def _require_folder(place: str, name: str, fingerprint: Fingerprint | None) -> None:
    """Look for a collection without opening its folder, which would make it, and put a lock into a wrong one."""
    if place == ":memory:" or _is_address(place):
        return
    from vlm2vec_rag.collection.edge.folder import all_names_in

    folder = Path(place).expanduser()
    there = all_names_in(folder) if folder.is_dir() else None
    if name not in (there or ()):
        raise CollectionNotFound(_not_found(name, place, there, fingerprint))


def _is_address(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _make(engine: Engine, name: str, arguments: dict[str, Any]) -> None:
    try:
        engine.client.create_collection(name, **arguments)
    except Exception:
        # another process may have been first, or the answer to an earlier attempt of this one was lost
        if not engine.client.collection_exists(name):
            raise


def _not_found(name: str, location: str, there: Sequence[str] | None, fingerprint: Fingerprint | None) -> str:
    """What to say of a missing collection; `there` are those at the location, None when not even that is there."""
    known = f"there are: {', '.join(sorted(there))}" if there else "there are none"
    known = "there is no such folder" if there is None else known
    step = "index something first" if fingerprint is None else "check the name, or open it with create=True"
    return f"no collection {name!r} at {location} ({known}); {step}"
