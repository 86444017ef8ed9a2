"""Qdrant inside this process: `qdrant-edge-py` behind the interface of `qdrant_client.QdrantClient`.

    client      EdgeClient: the methods every store built for QdrantClient calls
    folder      what is on disk: the lock, one folder for each collection, making and deleting one whole or not at all
    shard       one open collection: writes in turn, flushes, the search index built in another process and swapped in
    checks      what must be right about a write before the engine logs it
    requests    qdrant-client's models to the engine's     answers, config    and back

Facts of the engine (0.9.0, measured) that this code is built around:

- An update is safe from the death of the process when the call returns, and from a power cut after `flush`.
- It is logged before it is checked: an upsert that was refused comes back as a point without vectors when the log is
  replayed after a crash. So everything is checked here first.
- A call holds the interpreter lock to its end: milliseconds for a search, minutes for building an index. So the index
  is built by a child process on a copy.
- After a fork the child's first query never returns. So a child is refused, and told to open the folder itself.
"""
