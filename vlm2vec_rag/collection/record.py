"""What a collection says of itself: the fingerprint it was built with, the language of its words, and settings.

Kept in Qdrant's own collection metadata, so it lives and dies with the points it describes, on every engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlm2vec_rag.errors import CollectionError, FingerprintMismatch, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

METADATA_KEY = "vlm2vec_rag"
UNDECIDED = ""
"""The language of a collection whose first texts are to decide it."""

SCHEMA_VERSION = 1  # raise it when a payload field changes its meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The collection's description of itself."""

    fingerprint: Fingerprint
    language: str  # UNDECIDED until the first text is written
    settings: Mapping[str, Any] = field(default_factory=dict)  # how files became items; free for the indexer to use
    has_wordless: bool = False  # whether there are, or were, points without a text
    # fields of `metadata` with a payload index -> its type, or "" until a point with the field tells
    indexed: Mapping[str, str] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, Any]:
        return {
            METADATA_KEY: {
                "schema_version": SCHEMA_VERSION,
                "fingerprint": self.fingerprint.to_dict(),
                "language": self.language,
                "settings": dict(self.settings),
                "indexed": dict(self.indexed),
                **({"has_wordless": True} if self.has_wordless else {}),
            }
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any] | None, *, where: str) -> Record:
        """Read the description of the collection at `where`.

        Raises:
            CollectionError: The collection was not made by this library, or by a newer version of it.
        """
        stored = (metadata or {}).get(METADATA_KEY)
        if not isinstance(stored, Mapping):
            raise CollectionError(
                f"{where} holds no fingerprint, so it was not made by vlm2vec-rag, or the Qdrant server is older than "
                "1.16 and dropped it; choose another collection name, or update the server and index again"
            )
        if stored["schema_version"] > SCHEMA_VERSION:
            raise CollectionError(
                f"{where} has schema {stored['schema_version']}, this version of vlm2vec-rag reads up to "
                f"{SCHEMA_VERSION}; update the package: pip install -U vlm2vec-rag"
            )
        return cls(
            fingerprint=Fingerprint.from_dict(stored["fingerprint"]),
            language=stored["language"],
            settings=stored["settings"],
            indexed=stored.get("indexed", {}),  # since 0.2
            has_wordless=stored.get("has_wordless", False),
        )

    def require_language(self, language: str, *, where: str) -> None:
        """Refuse another language than the collection's own; one that has none yet refuses none.

        Raises:
            InvalidInput: Naming both.
        """
        if self.language and language != self.language:
            raise InvalidInput(
                f"{where} was indexed with language {self.language!r}, not {language!r}; leave language out, index "
                f"into another collection, or convert this one: vlm2vec-rag reindex --language {language}"
            )

    def require(self, fingerprint: Fingerprint, *, where: str) -> None:
        """Refuse a fingerprint whose vectors would not belong among those of this collection.

        Raises:
            FingerprintMismatch: Naming both, and every field in which they differ.
        """
        differing = self.fingerprint.difference(fingerprint)
        if differing:
            fields = ", ".join(f"{name}: {mine!r} there, {theirs!r} here" for name, (mine, theirs) in differing.items())
            raise FingerprintMismatch(
                f"{where} was built with {self.fingerprint}, but this is {fingerprint} ({fields}); "
                f"open it with {self.fingerprint.model!r} and its settings, convert it with "
                "`vlm2vec-rag reindex --model MODEL --adapter ADAPTER`, or index into another collection"
            )
