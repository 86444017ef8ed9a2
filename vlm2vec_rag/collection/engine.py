"""What differs between the places a collection can live, behind one small base class.

Everything a collection asks of Qdrant goes to `client`, which has the methods of `qdrant_client.QdrantClient` on every
engine: the embedded one, the in-memory one, and a server. What is left are the differences below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from vlm2vec_rag.collection.searching import Ranking, Scored, Search
from vlm2vec_rag.errors import CollectionDamaged, CollectionError, VlmRagError

if TYPE_CHECKING:
    from qdrant_client.client_base import QdrantBase

    from vlm2vec_rag.collection.limits import Limits
    from vlm2vec_rag.collection.schema import Cluster


REBUILD_SUFFIX = "~new"
"""Of the name under which a collection is built that will take another's place."""


class Engine:
    """A place where collections live, open for use."""

    kind: ClassVar[str]
    has_indexes: ClassVar[bool] = True
    """Whether it has payload indexes and an approximate search to tune; the in-memory engine compares everything."""

    is_here: ClassVar[bool] = True
    """Whether it runs in this process, where a question costs no round trip."""

    has_memory_tiers: bool = False
    """Whether a collection is made with `memory` in place of `on_disk` and `always_ram`."""

    def __init__(self, client: QdrantBase, location: str) -> None:
        self.client = client
        self.location = location

    @property
    def is_read_only(self) -> bool:
        """Whether it is on a disk that cannot be written to, and so can only be searched."""
        return False

    def check_writable(self) -> None:
        """Refuse to change what can only be read, before any work is done for it.

        Raises:
            CollectionError: It is so.
        """

    @property
    def aclient(self) -> Any:
        """The same store for `await`, shaped like `qdrant_client.AsyncQdrantClient`."""
        from vlm2vec_rag.collection.threaded import ThreadedClient

        return ThreadedClient(self.client)

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn whatever the client raises into an error of this package that says what to do next."""
        try:
            yield
        except VlmRagError:
            raise
        except Exception as error:
            raise self.explain(error, doing) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of pyo3: the embedded engine gave up, and it is no Exception
                raise
            raise CollectionDamaged(
                f"{self.location} is damaged: the engine gave up when it was to {doing} ({error}); restore it from a "
                "backup, or remove it and index again"
            ) from error

    def is_copy_missing(self, error: Exception) -> bool:
        """Whether a read that asked all copies failed because one is on a node that is down."""
        return False

    def explain(self, error: Exception, doing: str) -> CollectionError:
        return CollectionError(f"Qdrant ({self.kind}, {self.location}) failed to {doing}: {error}")

    def spread(self, cluster: Cluster | None) -> Cluster | None:
        """How a new collection is spread over nodes, given what was asked for."""
        return None

    def search(self, name: str, search: Search, limits: Limits) -> Ranking:
        """Rank the points; payloads that a round trip would have to fetch come along."""
        requests = search.requests(most=limits.points)
        responses = self.client.query_batch_points(name, requests=requests)
        return Ranking.of(search, search.by_side(scored(each.points) for each in responses))

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The payloads of points, by id."""
        return {str(each.id): each.payload or {} for each in self.client.retrieve(name, ids=list(ids))}

    def flush(self, name: str) -> None:
        """Make everything written so far survive a power cut; an engine that always does so has nothing to do."""

    def optimize(self, name: str, *, wait: bool) -> bool:
        """Build the search index over what has none; False when there is nothing to do, or the engine does it alone."""
        return False

    def names(self) -> list[str]:
        """The collections there."""
        return [each.name for each in self.client.get_collections().collections]

    def finish_replacing(self, name: str) -> bool:
        """Finish a `replace` that was interrupted; True when the collection is there again."""
        return False

    def rebuild_name(self, name: str) -> str:
        """Under which name to build a collection that will take another's place."""
        return name + REBUILD_SUFFIX

    def drop(self, name: str) -> None:
        """Delete a collection with all its points."""
        self.client.delete_collection(name)

    def replace(self, name: str, by: str) -> None:
        """Put a whole collection in the place of another in one step: at every moment one of them is found there."""
        raise CollectionError(f"Qdrant ({self.kind}, {self.location}) cannot put one collection in another's place")

    def size_bytes(self, name: str) -> int | None:
        """Bytes on this machine's disk, or None when it is not here."""
        return None

    def close(self) -> None:
        self.client.close()


def scored(points: Sequence[Any]) -> list[Scored]:
    """Points of qdrant-client's as a ranking."""
    return [Scored.of(point) for point in points]
