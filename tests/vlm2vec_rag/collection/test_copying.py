"""A copy has every point, bit for bit, and goes on after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_qdrant import FakeQdrant
from points_and_places import DIM, FINGERPRINT, page

from vlm2vec_rag.collection import Collection, Filter, open_collection
from vlm2vec_rag.collection.copying import copy_collection
from vlm2vec_rag.errors import CollectionError, FingerprintMismatch, InvalidInput

PAGES = [
    page(number, f"word{number} cat " * (number % 7), source=f"{number % 9}.pdf", metadata={"year": number})
    for number in range(700)
] + [page(number, "no vector", vector=None) for number in range(700, 710)]


def content(collection: Collection) -> dict[str, Any]:
    """All that a collection holds, in bits."""
    found = {}
    for record in collection.records(with_vectors=True):
        vectors: Any = record.vector or {}
        dense = np.float32(vectors["dense"]).tobytes() if "dense" in vectors else None
        words = vectors.get("bm25")
        pairs = sorted(zip(words.indices, np.float32(words.values).tolist(), strict=True)) if words else None
        found[str(record.id)] = (record.payload, dense, pairs)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Any:
    with open_collection(tmp_path / "source", fingerprint=FINGERPRINT, indexed=["year"]) as collection:
        collection.upsert(PAGES)
        collection.update_settings({"media": {"dpi": 150}})
        yield collection


def test_a_folder_is_copied_to_a_folder_bit_for_bit(source: Collection, tmp_path: Path) -> None:
    with open_collection(tmp_path / "target", fingerprint=FINGERPRINT) as target:
        told: list[tuple[int, int]] = []
        report = copy_collection(source, target, progress=lambda done, total: told.append((done, total)))
        assert content(target) == content(source)
        assert (report.points, report.copied, report.present, report.others) == (710, 710, 0, 0)
        assert report.compared >= 200 and told[-1] == (710, 710)
        assert target.settings == source.settings and target.indexed_fields == {"year": "integer"}
        assert target.search(text="word3", mode="bm25", limit=3) == source.search(text="word3", mode="bm25", limit=3)


def test_a_folder_is_copied_to_a_server_and_back(source: Collection, tmp_path: Path) -> None:
    with FakeQdrant() as fake, open_collection(fake.url, fingerprint=FINGERPRINT) as server:
        assert copy_collection(source, server).copied == 710
        assert content(server) == content(source)
        with open_collection(tmp_path / "back", fingerprint=FINGERPRINT) as back:
            copy_collection(server, back)
            assert content(back) == content(source)


def test_a_copy_goes_on_where_it_was_interrupted(source: Collection, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 256:
            raise Interrupted

    with open_collection(tmp_path / "target", fingerprint=FINGERPRINT) as target:
        with pytest.raises(Interrupted):
            copy_collection(source, target, progress=stop)
        begun = target.count()
        assert 0 < begun < 710
        report = copy_collection(source, target)
        assert (report.copied, report.present) == (710 - begun, begun)
        assert content(target) == content(source)
        assert copy_collection(source, target).copied == 0


def test_what_changed_meanwhile_is_copied_again_and_what_is_more_stays(source: Collection, tmp_path: Path) -> None:
    with open_collection(tmp_path / "target", fingerprint=FINGERPRINT) as target:
        copy_collection(source, target)
        source.set_payload(Filter(sources=["3.pdf"]), {"file_points": 77})
        changed = source.count(Filter(sources=["3.pdf"]))
        target.upsert([page(9999)])
        report = copy_collection(source, target)
        assert (report.copied, report.others) == (changed, 1)
        assert content(source).items() <= content(target).items()


def test_points_that_do_not_arrive_are_told(source: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_collection(fingerprint=FINGERPRINT) as target:
        monkeypatch.setattr(target, "write_structs", lambda structs: None)
        with pytest.raises(
            CollectionError, match=r"710 of 710 points did not arrive at :memory:; start the copy again"
        ):
            copy_collection(source, target)


def test_a_target_that_does_not_fit_is_refused(source: Collection, tmp_path: Path) -> None:
    with open_collection(fingerprint=replace(FINGERPRINT, weights="2222")) as other, pytest.raises(FingerprintMismatch):
        copy_collection(source, other)
    with (
        open_collection(fingerprint=FINGERPRINT, language="german") as other,
        pytest.raises(InvalidInput, match="language 'german' and the source 'english'"),
    ):
        copy_collection(source, other)
    with pytest.raises(InvalidInput, match="copied onto itself"):
        copy_collection(source, source)
    with (
        open_collection(tmp_path / "source") as again,
        pytest.raises(InvalidInput, match="copied onto itself"),
    ):
        copy_collection(source, again)


def test_requests_stay_below_what_servers_take() -> None:
    long = "word " * 200_000  # a megabyte each
    with (
        open_collection(fingerprint=FINGERPRINT) as source,
        FakeQdrant() as fake,
        open_collection(fake.url, fingerprint=FINGERPRINT) as server,
    ):
        source.upsert([page(number, long, vector=np.ones(DIM)) for number in range(30)])
        copy_collection(source, server)
        writes = [request.length for request in fake.asked("/points") if request.method == "PUT"]
        assert len(writes) >= 2 and max(writes) < 16 * 2**20
