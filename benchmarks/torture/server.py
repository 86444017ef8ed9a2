"""A Qdrant server that is slow, busy, full, away, cut off in the middle, or behind the wrong key or protocol.

Against the tests' stand-in server, which speaks the protocol over real sockets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus import Corpus
from fake_qdrant import CUT, FakeQdrant, Fault
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.collection.retry import RetryPolicy
from vlm2vec_rag.errors import VlmRagError

KEY = "sekret-key-12345"
ALWAYS = 60  # faults in a row: more than any retrying


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    corpus = Corpus(folder / "files", seed, texts=6, images=2)
    survived = Row(part="server", what="some faults in a row, then well again: 429, 500, 503, cut", tried=0)
    told = Row(part="server", what="for good: down, 401, 403, 413, 500, 503, 507, cut, https to http", tried=0)
    for faults in ([Fault(429, (("Retry-After", "0"),))], [503, 503], [CUT], [CUT, 503, 429]):
        survived.tried += 1
        said = _indexed(corpus.folder, lambda fake, faults=faults: fake.fail(*faults))
        if said != "done":
            survived.broke.append(f"{faults}: {said}")
    for name, words in (
        ("413", "413"),
        ("500", "500"),
        ("503", "503"),
        ("507", "507"),
        ("cut", ""),
    ):
        told.tried += 1
        fault = CUT if name == "cut" else int(name)
        said = _indexed(corpus.folder, lambda fake, fault=fault: fake.fail(*[fault] * ALWAYS))
        _judge(told, name, said, words)
    for name, key, change in (
        ("wrong key", "wrong-key-999", lambda url: url),
        ("TLS to a server without", KEY, lambda url: url.replace("http:", "https:")),
        ("nothing listens", KEY, lambda url: url[: url.rindex(":")] + ":9"),
    ):
        told.tried += 1
        with FakeQdrant(api_key=KEY) as fake, _key(key):
            _judge(told, name, _attempt(change(fake.url), corpus.folder), "")
    survived.found = "all of it arrived"
    told.found = "each told in one line that names the place, without the key"
    yield survived
    yield told


def _judge(row: Row, name: str, said: str, words: str) -> None:
    if said == "done" or not said.startswith("told: "):
        row.broke.append(f"{name}: {said}")
    elif KEY in said or "wrong-key-999" in said:
        row.broke.append(f"{name}: the key is in the message")
    elif words not in said or "127.0.0.1" not in said:
        row.broke.append(f"{name}: {said}")


def _indexed(files: Path, spoil: Callable[[Any], None]) -> str:
    """Index on a server that is spoilt once the collection is there; what came of it."""
    with FakeQdrant(api_key=KEY) as fake, _key(KEY), vr.open(fake.url, "none", thumbnails=False) as library:
        _quick(library)
        spoil(fake)
        try:
            report = library.index(files)
        except VlmRagError as error:
            return f"told: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if report.failures:
            return f"told: {report.failures[0].reason}"
        fake._faults.clear()
        return "done" if len(library.sources()) == len(list(files.iterdir())) else "not all of it arrived"


def _attempt(url: str, files: Path) -> str:
    try:
        with vr.open(url, "none", thumbnails=False, timeout_s=5.0) as library:
            library.index(files)
        return "done"
    except VlmRagError as error:
        return f"told: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _quick(library: Any) -> None:
    """Do not wait long between attempts: the waiting itself is tested elsewhere."""
    transport = library.collection.engine.client.http.client._client._transport
    transport.policy = RetryPolicy(times=4, first_s=0.01)


@contextmanager
def _key(key: str) -> Any:
    before = os.environ.get("QDRANT_API_KEY")
    os.environ["QDRANT_API_KEY"] = key
    try:
        yield
    finally:
        os.environ.pop("QDRANT_API_KEY")
        if before is not None:
            os.environ["QDRANT_API_KEY"] = before
