"""Open a collection wherever it lives: a folder, a server, or memory."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection.addresses import is_address
from vlm2vec_rag.errors import CollectionNotFound, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.languages import ASSUMED

if TYPE_CHECKING:
    from vlm2vec_rag.collection.collection import Collection
    from vlm2vec_rag.collection.engine import Engine
    from vlm2vec_rag.collection.schema import Cluster, Quantization


def open_collection(
    location: str | os.PathLike[str] = ":memory:",
    name: str = "default",
    *,
    fingerprint: Fingerprint | None = None,
    create: bool = True,
    language: str | None = None,
    indexed: Mapping[str, str] | Sequence[str] = (),
    api_key: str | None = None,
    timeout_s: float = 30.0,
    ca_cert: str | os.PathLike[str] | None = None,
    cluster: Cluster | None = None,
    quantization: Quantization = "int8",
) -> Collection:
    """Open a collection, or make it when it is not there and a fingerprint says what it would hold.

    Opening one that is there writes nothing, so a key that may only read will do. An alias names what it stands for.

    Args:
        location: A folder for the embedded engine, the address of a Qdrant server, several addresses of one cluster
            with commas between (see `addresses`), or `:memory:`. A folder belongs to one process at a time; open it
            after a fork, not before.
        name: The collection at that location; a location holds many.
        fingerprint: What the vectors are made with, from the encoder. A collection made with another one is refused.
            None opens whatever is there. A fingerprint of dim 0 makes a collection of words only, without vectors.
        create: Make the collection when it is not there.
        language: Whose stopwords and stemming the word side uses; see `Bm25`. Set when the collection is made (English
            unless told) and kept with it. With UNDECIDED the first texts that are written decide.
        indexed: Fields of `metadata` to filter by, given payload indexes; see `Collection.index_fields`. They are
            remembered, so once is enough.
        api_key: For a server; else QDRANT_API_KEY. Sent over https only, or to this machine.
        timeout_s: How long the server may take over one request.
        ca_cert: The certificate of the authority that signed the server's, where this machine does not know it.
        cluster: How a server spreads the collection when it is made. None: one shard and, from three nodes on, two
            copies of it.
        quantization: What is kept in memory in place of the vectors when the collection is made: `int8`, or `turbo4`
            and `turbo2`, with so many bits a number, where the server has TurboQuant (1.18 and later).

    Raises:
        CollectionNotFound: It is not there, and was not to be made or no fingerprint said how.
        CollectionLocked: Another process has the folder open.
        CollectionDamaged: It lost points that it had acknowledged.
        FingerprintMismatch: It was made with another fingerprint; both are named.
        CollectionError: The server cannot be reached or refuses the key; the message says which and what to do.
    """
    from vlm2vec_rag.collection.bm25 import Bm25
    from vlm2vec_rag.collection.collection import Collection
    from vlm2vec_rag.collection.indexes import indexed_fields
    from vlm2vec_rag.collection.record import UNDECIDED, Record
    from vlm2vec_rag.collection.schema import QUANTIZATIONS, creation

    place = _checked(os.fspath(location))
    if not is_address(place):
        _refuse_server_settings(place, cluster=cluster, ca_cert=ca_cert)
    if quantization not in QUANTIZATIONS:
        raise InvalidInput(f"quantization is {quantization!r}; expected one of {', '.join(QUANTIZATIONS)}")
    wanted = indexed_fields(indexed)
    if not (create and fingerprint):
        _require_folder(place, name, fingerprint)
    engine = _engine(place, api_key=api_key, timeout_s=timeout_s, ca_cert=ca_cert)
    where = f"collection {name!r} at {engine.location}"
    try:
        with engine.errors("open the collection"):
            is_new = not engine.client.collection_exists(name) and not engine.finish_replacing(name)
            if is_new:
                if fingerprint is None or not create:
                    raise CollectionNotFound(_not_found(name, engine.location, engine.names(), fingerprint))
                own = ASSUMED if language is None else language
                if own != UNDECIDED:
                    Bm25(own)  # refuses an unknown language before anything is made
                record = Record(fingerprint=fingerprint, language=own, indexed=wanted)
                arguments = creation(
                    record,
                    engine.spread(cluster),
                    quantization=quantization,
                    has_memory_tiers=engine.has_memory_tiers,
                )
                _make(engine, name, arguments)
            described = engine.client.get_collection(name)
            record = Record.from_metadata(described.config.metadata, where=where)
            if fingerprint is not None:
                record.require(fingerprint, where=where)
            if language:
                record.require_language(language, where=where)
        collection = Collection(engine, name, record, described)
        if language:
            collection.settle_language(language)
        if is_new:
            collection.make_indexes()  # before the first point
        if wanted:
            collection.index_fields(wanted)
        return collection
    except BaseException:
        engine.close()
        raise


def repair_collection(location: str | os.PathLike[str], name: str = "default") -> int:
    """Keep what is left of a damaged collection in a folder; `index` then finds which files are incomplete.

    Returns:
        How many points are left.

    Raises:
        InvalidInput: The location is no folder.
        CollectionNotFound: It is not there.
        CollectionDamaged: Not even the engine can open what is left.
    """
    from vlm2vec_rag.collection.embedded import EmbeddedEngine

    place = os.fspath(location)
    if place == ":memory:" or is_address(place):
        raise InvalidInput(f"{place!r} is no folder; a server repairs its own collections")
    _require_folder(place, name, None)
    engine = EmbeddedEngine(Path(place).expanduser())
    try:
        with engine.errors("repair the collection"):
            return engine.repair(name)
    finally:
        engine.close()


def _checked(place: str) -> str:
    """Refuse what was meant as an address and would be made a folder of."""
    if not is_address(place) and (not place or "://" in place or re.fullmatch(r"[\w.-]+:\d+", place)):
        raise InvalidInput(f"{place!r} is neither a folder nor an address; a server is written http://host:6333")
    return place


def _refuse_server_settings(place: str, **settings: object) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if given:
        raise InvalidInput(f"{' and '.join(given)} settings are for a server, and {place!r} is none; leave them out")


def _engine(place: str, *, api_key: str | None, timeout_s: float, ca_cert: str | os.PathLike[str] | None) -> Engine:
    """Open the place itself, with all of its collections."""
    if place == ":memory:":
        from vlm2vec_rag.collection.memory import MemoryEngine

        return MemoryEngine()
    if is_address(place):
        from vlm2vec_rag.collection.server import ServerEngine

        return ServerEngine(place, api_key=api_key, timeout_s=timeout_s, ca_cert=ca_cert)
    from vlm2vec_rag.collection.embedded import EmbeddedEngine

    return EmbeddedEngine(Path(place).expanduser())


def _require_folder(place: str, name: str, fingerprint: Fingerprint | None) -> None:
    """Look for a collection without opening its folder, which would make it, and put a lock into a wrong one."""
    if place == ":memory:" or is_address(place):
        return
    from vlm2vec_rag.collection.edge.folder import all_names_in

    folder = Path(place).expanduser()
    there = all_names_in(folder) if folder.is_dir() else None
    if name not in (there or ()):
        raise CollectionNotFound(_not_found(name, place, there, fingerprint))


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
