"""Ids, payloads and what a source's points say of it."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image as PILImages

from vlm2vec_rag.collection import Payload, point_id
from vlm2vec_rag.collection.batches import batches, request_bytes
from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.collection.fusion import reciprocal_rank_fusion
from vlm2vec_rag.collection.manifest import sources_of
from vlm2vec_rag.collection.points import Point, folders_of, format_time, parse_time, to_json
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Clip, Page, Text


def test_an_id_is_a_uuid5_of_place_and_content() -> None:
    one = point_id("a.pdf", "page=1", "h")
    assert uuid.UUID(one).version == 5
    assert one == point_id("a.pdf", "page=1", "h") == "97ff2918-d4f7-5ef0-8401-644bd9e5b37e"  # stored ones depend on it
    others = {point_id("b.pdf", "page=1", "h"), point_id("a.pdf", "page=2", "h"), point_id("a.pdf", "page=1", "i")}
    assert len(others | {one}) == 4
    assert point_id("ab", "c", "") != point_id("a", "bc", "")


@pytest.mark.parametrize(
    ("source", "folders"),
    [
        ("a.pdf", []),
        ("a/b/c.pdf", ["a/", "a/b/"]),
        ("/data/x.pdf", ["/", "/data/"]),
        ("https://host/a.pdf", ["https:/", "https://", "https://host/"]),
        ("", []),
    ],
)
def test_folders_are_the_beginnings_that_end_in_a_slash(source: str, folders: list[str]) -> None:
    assert folders_of(source) == folders


def test_the_payload_of_an_item_is_what_can_be_shown_of_it() -> None:
    image = PILImages.new("RGB", (4, 4))
    page = Page(image=image, page=3, source="a.pdf", text="words", title="Part", label="iii", metadata={"a": 1})
    payload = Payload.of(page, file_hash="f", file_points=9)
    assert (payload.kind, payload.page, payload.label, payload.title, payload.text) == (
        "page",
        3,
        "iii",
        "Part",
        "words",
    )
    assert payload.place == "a.pdf#page=3"
    assert payload.content_hash == page.content_hash
    assert payload.id == point_id("a.pdf", "page=3", page.content_hash)
    clip = Clip(frames=(image,), times_s=(1.5,), start_s=1.0, end_s=2.0, source="v.mp4")
    assert (Payload.of(clip).start_s, Payload.of(clip).end_s, Payload.of(clip).times_s) == (1.0, 2.0, (1.5,))
    assert Payload.of(Text(text="t")).page is None


def test_a_payload_survives_json() -> None:
    payload = Payload(
        source="a.mp4",
        kind="clip",
        content_hash="h",
        times_s=(0.0, 1.5),
        start_s=0.0,
        modified_at=datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=timezone(timedelta(hours=2))),
        metadata={"n": 1},
    )
    stored = json.loads(json.dumps(payload.to_dict()))
    assert Payload.from_dict(stored) == payload
    assert Payload.from_dict({**stored, "a field of a later version": 1}) == payload
    assert "page" not in stored and "label" not in stored  # nothing is not stored
    assert stored["start_s"] == 0.0  # zero is something
    assert stored["modified_at"] == "2026-03-04T03:06:07.000089Z"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="kind is 'pdf'; expected one of text, image, page, clip"):
        Payload(source="a", kind="pdf", content_hash="h")  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_local() -> None:
    local = datetime(2026, 7, 1, 12)
    assert parse_time(format_time(local)) == local.astimezone()


def test_metadata_becomes_json() -> None:
    times = datetime(2026, 1, 1, tzinfo=timezone.utc)
    given = {1: (np.float32(0.5), np.int64(3)), "when": times, "path": uuid.UUID(int=1), "deep": {"set": {"x"}}}
    assert to_json(given) == {
        "1": [0.5, 3],
        "when": "2026-01-01T00:00:00Z",
        "path": "00000000-0000-0000-0000-000000000001",
        "deep": {"set": ["x"]},
    }


def test_fusion_is_a_sum_of_reciprocal_ranks() -> None:
    fused = dict(reciprocal_rank_fusion([["a", "b", "c"], ["c", "d"]]))
    assert fused == pytest.approx({"c": 1 / 63 + 1 / 61, "a": 1 / 61, "b": 1 / 62, "d": 1 / 62})
    assert [each for each, _ in reciprocal_rank_fusion([["b"], ["a"], []])] == ["a", "b"]  # equal, so by id
    assert reciprocal_rank_fusion([]) == reciprocal_rank_fusion([[], []]) == []
    assert dict(reciprocal_rank_fusion([["a"]], k=1)) == {"a": 0.5}


def test_the_latest_point_speaks_for_its_source() -> None:
    old = {"source": "a", "kind": "page", "file_hash": "1", "file_points": 1, "indexed_at": "2026-01-01T00:00:00Z"}
    new = {"source": "a", "kind": "page", "file_hash": "2", "file_points": 2, "indexed_at": "2026-01-02T00:00:00Z"}
    bare = {"source": "b", "kind": "text"}
    for payloads in ([old, new, bare], [bare, new, old]):
        sources = sources_of(payloads)
        assert (sources["a"].file_hash, sources["a"].file_points, sources["a"].is_mixed) == ("2", 2, True)
        assert (sources["b"].indexed_at, sources["b"].is_complete) == (None, False)


def test_batches_stay_below_both_limits() -> None:
    def point(text: str) -> Point:
        payload = Payload(source="a", kind="text", content_hash="h", text=text)
        return Point(id=payload.id, payload=payload, vector=np.zeros(100, np.float32))

    small = [point("x")] * 10
    assert [len(batch) for batch in batches(small, dim=100, most_points=4)] == [4, 4, 2]
    one = request_bytes(small[0], 100)
    assert [len(batch) for batch in batches(small, dim=100, most_bytes=3 * one)] == [3, 3, 3, 1]
    huge = point("x" * 10_000)
    assert [len(batch) for batch in batches([small[0], huge, small[0]], dim=100, most_bytes=3 * one)] == [1, 1, 1]
    assert list(batches([], dim=100)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ".join("abcdefghij" * 20),
        " ".join(f"w{n}" for n in range(2_000)),
        "".join(map(chr, range(0x4E00, 0x5200))),
    ],
    ids=["none", "letters", "words", "han"],
)
def test_the_size_of_a_point_is_not_guessed_too_low(text: str) -> None:
    """Against the longest JSON a point can make, its float32 numbers written out as doubles."""
    vector = np.random.default_rng(0).standard_normal(1536).astype(np.float32)
    payload = Payload(source="a/" * 50, kind="text", content_hash="c" * 64, text=text, metadata={"x": "é" * 500})
    words = Bm25().encode_text(text)
    sparse = {"indices": words.indices, "values": words.values}
    body = {"id": payload.id, "vector": {"dense": vector.tolist(), "bm25": sparse}, "payload": payload.to_dict()}
    assert len(json.dumps(body)) <= request_bytes(Point(id=payload.id, payload=payload, vector=vector), 1536)
