"""Whether the copies that a cluster keeps of a collection have the same points."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.collection.collection import Collection

COUNTS = 16
"""How often points are counted. Each count asks some copy of each shard; two that differ go unseen in 1 of 32,768."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What was found."""

    nodes: int
    nodes_away: list[str]  # addresses, as the node that was asked knows them
    shards: int
    copies: int  # of each shard
    states: dict[str, int]  # how many copies call themselves Active, Dead, and so on
    counts: frozenset[int]  # what repeated counts answered
    in_all_copies: int | None  # points that every copy has; None while a node is away

    @property
    def are_equal(self) -> bool:
        """Whether every copy answers, and all have the same points."""
        only = self.states.keys() <= {"Active"}
        return only and not self.nodes_away and self.counts == {self.in_all_copies}

    @property
    def verdict(self) -> str:
        """What that means, and what to do."""
        if self.nodes_away:
            are = "is" if len(self.nodes_away) == 1 else "are"
            return (
                f"{len(self.nodes_away)} of {self.nodes} nodes {are} away ({', '.join(self.nodes_away)}); "
                "bring it back, and copies marked Dead catch up by themselves"
            )
        if self.are_equal:
            return f"all copies have the same {self.in_all_copies:,} points"
        if self.states.keys() - {"Active"}:
            behind = ", ".join(f"{count} {state}" for state, count in self.states.items() if state != "Active")
            return f"copies are still catching up ({behind}); look again in a minute"
        return (
            f"copies differ: counts answer {', '.join(map(str, sorted(self.counts)))} by turns, {self.in_all_copies} "
            "points are in all of them, and the cluster does not repair that by itself; write the same points again "
            "(vlm2vec-rag index writes what is missing in a copy)"
        )


def compare_copies(collection: Collection) -> Copies:
    """Ask a cluster for its nodes and shards, count by turns, and count what all copies have.

    Tells the truth while nobody writes; otherwise counts differ anyway.

    Raises:
        InvalidInput: The collection is not on a server.
        CollectionError: The server refuses the question; it takes a key for the whole server.
    """
    from vlm2vec_rag.collection.server import ServerEngine

    engine = collection.engine
    if not isinstance(engine, ServerEngine):
        raise InvalidInput(f"{engine.location} is no server, so there are no copies to compare")
    with engine.errors("compare the copies"):
        nodes, away = engine.peers()
        places = engine.shards(collection.name)
    counts = frozenset(collection.count() for _ in range(COUNTS))
    agreed = None if away else collection.count_in_all_copies()
    return Copies(
        nodes=nodes,
        nodes_away=away,
        shards=len({shard for shard, _ in places}),
        copies=max(Counter(shard for shard, _ in places).values()),
        states=dict(Counter(state for _, state in places)),
        counts=counts,
        in_all_copies=agreed,
    )
