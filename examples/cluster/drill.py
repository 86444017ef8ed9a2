"""A drill for a cluster: load, take a node away, bring it back, compare copies, move a shard.

    python examples/cluster/drill.py https://localhost:6343,https://localhost:6353,https://localhost:6363 \\
        --stop "docker compose -f examples/cluster/compose.cluster.yaml kill node3" \\
        --start "docker compose -f examples/cluster/compose.cluster.yaml start node3"

Makes a collection of its own, `drill`, and drops it at the end. Prints one line for each step and ends with 1 when one
fails. Written against the answers of three nodes of 1.18.3, recorded on 2026-11-30, which the tests replay; the key is
QDRANT_API_KEY and may do everything.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from vlm2vec_rag.collection import Collection, Payload, Point, open_collection
from vlm2vec_rag.collection.replicas import compare_copies
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.fingerprint import Fingerprint

DIM = 64
FINGERPRINT = Fingerprint(model="drill", weights="drill", dim=DIM)
LONGEST_S = 180.0


def main(arguments: list[str] | None = None, *, run: Callable[[str], None] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("addresses", help="of all nodes, with commas between, or of the load balancer")
    parser.add_argument("--stop", help="command that takes a node away; without it nothing is taken away")
    parser.add_argument("--start", help="command that brings it back")
    parser.add_argument("--points", type=int, default=5_000)
    asked = parser.parse_args(arguments)
    run = run or (lambda command: subprocess.run(shlex.split(command), check=True))  # type: ignore[assignment]

    with open_collection(asked.addresses, "drill", fingerprint=FINGERPRINT) as collection:
        try:
            drill(collection, asked.points, asked.stop, asked.start, run)  # type: ignore[arg-type]
        except VlmRagError as error:
            print(f"FAILED: {error}")
            return 1
        finally:
            collection.engine.drop(collection.name)
    return 0


def drill(collection: Collection, points: int, stop: str | None, start: str | None, run: Callable[[str], None]) -> None:
    info = collection.info()
    say(f"made: {info.shards} shard(s), {info.copies} copies")
    acknowledged = collection.upsert(made_up(0, points // 2))
    say(f"loaded: {acknowledged:,} points acknowledged; {compare_copies(collection).verdict}")
    searches = Searches(collection)
    if stop:
        run(stop)
        say("a node was taken away")
    acknowledged += collection.upsert(made_up(points // 2, points))
    say(f"written meanwhile: {acknowledged:,} acknowledged in all, {collection.count():,} counted")
    if stop and start:
        say(compare_copies(collection).verdict)
        run(start)
        say(f"the node is back; {caught_up(collection)}")
    if collection.count() != acknowledged:
        raise VlmRagError(f"{acknowledged:,} points were acknowledged and {collection.count():,} are there")
    say(moved(collection))
    answered, failed = searches.end()
    say(f"searches all the while: {answered:,} answered, {failed:,} failed")
    if failed:
        raise VlmRagError(f"{failed} searches failed")


class Searches:
    """Searches one after the other, in a thread, until `end`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._is_over = threading.Event()
        self.answered = self.failed = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        rng = np.random.default_rng(1)
        while not self._is_over.is_set():
            try:
                self.answered += bool(self._collection.search(rng.standard_normal(DIM), "drill 7", limit=5))
            except VlmRagError:
                self.failed += 1

    def end(self) -> tuple[int, int]:
        self._is_over.set()
        self._thread.join()
        return self.answered, self.failed


def caught_up(collection: Collection) -> str:
    """Wait until the copies are the same, and say how long it took."""
    started = time.monotonic()
    while not (found := compare_copies(collection)).are_equal:
        if time.monotonic() - started > LONGEST_S:
            raise VlmRagError(f"after {LONGEST_S:.0f} s still: {found.verdict}")
        time.sleep(1.0)
    return f"{found.verdict}, after {time.monotonic() - started:.0f} s"


def moved(collection: Collection) -> str:
    """Move one copy of a shard to a node that has none of it, and count again."""
    api = collection.client.http.distributed_api  # type: ignore[attr-defined]
    placed, nodes = api.collection_cluster_info(collection.name).result, api.cluster_status().result
    peers = [int(each) for each in getattr(nodes, "peers", {})]
    homes: dict[int, set[int]] = {each.shard_id: {placed.peer_id} for each in placed.local_shards}
    for each in placed.remote_shards:
        homes.setdefault(each.shard_id, set()).add(each.peer_id)
    for shard, has in sorted(homes.items()):
        if free := sorted(set(peers) - has):
            before, source = collection.count(), sorted(has)[0]
            from qdrant_client import models

            move = models.MoveShard(shard_id=shard, from_peer_id=source, to_peer_id=free[0])
            api.update_collection_cluster(
                collection.name, cluster_operations=models.MoveShardOperation(move_shard=move)
            )
            caught_up(collection)
            if collection.count() != before:
                raise VlmRagError(f"{before:,} points before the move and {collection.count():,} after it")
            return f"shard {shard} moved from node {source} to node {free[0]}; still {before:,} points"
    return "every node has a copy of every shard, so there is nothing to move"


def made_up(first: int, end: int) -> Iterator[Point]:
    rng = np.random.default_rng(first)
    for number in range(first, end):
        payload = Payload(source=f"drill/{number}", kind="text", content_hash=str(number), text=f"drill {number}")
        yield Point(id=payload.id, payload=payload, vector=rng.standard_normal(DIM).astype(np.float32))


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
