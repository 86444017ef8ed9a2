"""Build the search index of a copied shard: the program of the child process.

It runs as a file of its own, imports nothing but the engine, and ends with 0 when the copy is ready to be opened. The
engine holds the interpreter lock while it builds, so this cannot share a process with a search.
"""

import ctypes
import os
import signal
import sys

import qdrant_edge


def main(shard_path: str, parent: int, *, gives_way: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    end_with(parent)
    if gives_way and hasattr(os, "nice"):
        # searches go first; not where someone waits for the index, whom a busy machine would keep waiting for long
        os.nice(10)
    shard = qdrant_edge.EdgeShard.load(shard_path)
    shard.optimize()
    shard.flush()
    shard.close()


def end_with(parent: int) -> None:
    """Have Linux end this process when its parent dies, however it dies: no one would open what it makes."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that
            sys.exit("the parent process is gone")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), gives_way="--nice" in sys.argv[3:])
