"""Build the search index of a copied shard: the program of the child process.

It runs as a file of its own, imports nothing but the engine, and ends with 0 when the copy is ready to be opened. The
engine holds the interpreter lock while it builds, so this cannot share a process with a search.
"""

import os
import sys

import qdrant_edge


def main(shard_path: str) -> None:
    if hasattr(os, "nice"):
        os.nice(10)  # searches go first
    shard = qdrant_edge.EdgeShard.load(shard_path)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main(sys.argv[1])
