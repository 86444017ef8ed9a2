"""Shards and copies of the fake server: which node has which points, and what a dead node does to reads and writes.

The rules are those that were seen on three nodes of 1.18.3 (three_nodes.jsonl): a write reaches the copies that are up;
where they are fewer than `write_consistency_factor` the answer is 500, and the copies differ from then on although all
call themselves Active; where they suffice the copy on the dead node is marked Dead, and catches up when it returns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Copy:
    """One copy of a shard."""

    node: int
    state: str = "Active"
    ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Shards:
    """A collection over the nodes: the copies of each shard, by its number."""

    copies: dict[int, list[Copy]]
    write_factor: int

    def of(self, point_id: str) -> int:
        """The shard of a point; a real server spreads ids otherwise."""
        digits = point_id.replace("-", "")
        return int(digits, 16) % len(self.copies) if digits else 0


class Cluster:
    """Nodes that are up or down."""

    def __init__(self, nodes: int, ports: Sequence[int] = (), peers: Sequence[int] = ()) -> None:
        self.is_up = [True] * nodes
        self.ports = list(ports) or [7135 + 100 * at for at in range(nodes)]
        self.peers = list(peers) or [1_000_000 + at for at in range(nodes)]
        self.collections: dict[str, Shards] = {}
        self.placement: dict[int, list[int]] | None = None  # where the next collection's shards go, if not by turns
        self._turns = random.Random(7)  # strict turns would show a second reader the same copy each time

    def make(self, name: str, *, shards: int | None, copies: int | None, write_factor: int | None) -> None:
        count = len(self.is_up)
        placed = self.placement or {
            shard: [(shard + at) % count for at in range(copies or 1)] for shard in range(shards or count)
        }
        self.placement = None
        self.collections[name] = Shards(
            {shard: [Copy(node) for node in nodes] for shard, nodes in placed.items()}, write_factor or 1
        )

    def write(self, name: str, ids: Iterable[str], apply: Callable[[int, set[str]], None]) -> str | None:
        """Write points on the copies that are up; the error of a real server where too few of them are.

        `apply` changes the set of ids of a copy of a shard, given by its number.
        """
        shards = self.collections[name]
        touched = {shards.of(each) for each in ids} or set(shards.copies)
        failed = 0
        for shard in sorted(touched):
            copies = [copy for copy in shards.copies[shard] if copy.state == "Active"]
            up = [copy for copy in copies if self.is_up[copy.node]]
            for copy in up:
                apply(shard, copy.ids)
            if len(up) < min(shards.write_factor, len(shards.copies[shard])) or not up:
                failed += 1
            else:
                for copy in copies:
                    if copy not in up:
                        copy.state = "Dead"
        return self._failure(failed, len(shards.copies)) if failed else None

    def check_all(self, name: str) -> str | None:
        """The error of a write to all shards, such as a payload index."""
        shards = self.collections[name]
        failed = sum(
            sum(self.is_up[copy.node] for copy in copies) < min(shards.write_factor, len(copies))
            for copies in shards.copies.values()
        )
        return self._failure(failed, len(shards.copies)) if failed else None

    def visible(self, name: str, *, consistency: str | None) -> set[str] | None:
        """The ids that a read sees: by turns those of one copy or another; None when a copy that is asked is down."""
        seen: set[str] = set()
        turn = self._turns.getrandbits(16)
        for copies in self.collections[name].copies.values():
            active = [copy for copy in copies if copy.state == "Active"]
            up = [copy for copy in active if self.is_up[copy.node]]
            if consistency:
                if len(up) < len(active):
                    return None
                seen |= set.intersection(*(copy.ids for copy in up)) if up else set()
            elif up:
                seen |= up[turn % len(up)].ids
        return seen

    def read_failure(self) -> str:
        down = self.ports[self.is_up.index(False)]
        return (
            "Service internal error: 1 of 2 read operations failed:\n  Service internal error: Tonic status error: "
            "code: 'The service is currently unavailable', message: \"tcp connect error\", source: "
            'tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect error", '
            f'127.0.0.1:{down}, Os {{ code: 111, kind: ConnectionRefused, message: "Connection refused" }})))'
        )

    def recover(self, node: int) -> None:
        """A node comes back: its copies that are marked Dead catch up, the others believe themselves whole."""
        self.is_up[node] = True
        for shards in self.collections.values():
            for copies in shards.copies.values():
                source = next((copy for copy in copies if copy.state == "Active" and copy.node != node), None)
                for copy in copies:
                    if copy.node == node and copy.state == "Dead" and source is not None:
                        copy.state, copy.ids = "Active", set(source.ids)

    def move(self, name: str, shard: int, source: int, target: int) -> None:
        for copy in self.collections[name].copies[shard]:
            if copy.node == self.peers.index(source):
                copy.node = self.peers.index(target)

    def describe(self, node: int) -> dict[str, Any]:
        """What `GET /cluster` answers."""
        down = [at for at, is_up in enumerate(self.is_up) if not is_up]
        return {
            "status": "enabled",
            "peer_id": self.peers[node],
            "peers": {
                str(peer): {"uri": f"http://127.0.0.1:{port}/"}
                for peer, port in zip(self.peers, self.ports, strict=True)
            },
            "raft_info": {
                "term": 1,
                "commit": 1,
                "pending_operations": 0,
                "leader": self.peers[0],
                "role": "Leader" if node == 0 else "Follower",
                "is_voter": True,
            },
            "consensus_thread_status": {"consensus_thread_status": "working", "last_update": "2026-11-30T03:20:57Z"},
            "message_send_failures": {
                f"http://127.0.0.1:{self.ports[at]}/": {
                    "count": 14,
                    "latest_error": "Error in closure supplied to transport channel pool",
                    "latest_error_timestamp": "2026-11-30T03:21:01Z",
                }
                for at in down
            },
        }

    def describe_shards(self, name: str, node: int) -> dict[str, Any]:
        """What `GET /collections/C/cluster` answers."""
        copies = self.collections[name].copies
        pairs = [(shard, copy) for shard in sorted(copies) for copy in copies[shard]]
        return {
            "peer_id": self.peers[node],
            "shard_count": len(copies),
            "local_shards": [
                {"shard_id": shard, "points_count": len(copy.ids), "state": copy.state}
                for shard, copy in pairs
                if copy.node == node
            ],
            "remote_shards": [
                {"shard_id": shard, "peer_id": self.peers[copy.node], "state": copy.state}
                for shard, copy in pairs
                if copy.node != node
            ],
            "shard_transfers": [],
        }

    def _failure(self, failed: int, count: int) -> str:
        down = self.ports[self.is_up.index(False)]
        return (
            f"Service internal error: {failed} out of {count} shards failed to apply operation. First error captured: "
            "Service internal error: Tonic status error: code: 'The service is currently unavailable', message: "
            f'"Failed to connect to http://127.0.0.1:{down}/, error: transport error"'
        )
