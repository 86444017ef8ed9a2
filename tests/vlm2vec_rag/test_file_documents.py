"""A document of a file to a payload and back, without reading the file."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.document_metadata import FRAMEWORK_FIELD
from vlm2vec_rag.documents import FILE_FIELDS, file_payload, is_of_file, metadata_of

PAYLOADS = [
    Payload(source="/a/r#1.pdf", kind="page", content_hash="c1", fragment="page=2", page=2, label="ii", title="Intro"),
    Payload(source="/a/cat.png", kind="image", content_hash="c2", metadata={"author": "Ada", "tags": ["x"]}),
    Payload(source="/a/t.mp4", kind="clip", content_hash="c3", fragment="t=0,30", start_s=0.0, end_s=30.0, text="Hi."),
    Payload(source="/a/n.md", kind="text", content_hash="c4", fragment="char=5,9", text="note"),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.kind)
def test_metadata_of_a_file_gives_the_same_payload_back(payload: Payload) -> None:
    metadata = metadata_of(payload)
    assert is_of_file(metadata)
    assert file_payload(payload.text, metadata) == payload
    assert file_payload(payload.text, metadata).id == payload.id


def test_what_is_known_of_the_file_goes_into_the_payload_and_not_among_the_users_fields() -> None:
    written = datetime(2026, 1, 2, tzinfo=timezone.utc)
    known = {"file_hash": "f", "file_points": 3, "modified_at": "2026-01-02T00:00:00Z", "times_s": [1.0, 2.0]}
    assert set(known) == set(FILE_FIELDS)
    payload = file_payload("", metadata_of(PAYLOADS[0]) | known)
    assert (payload.file_hash, payload.file_points, payload.modified_at) == ("f", 3, written)
    assert payload.times_s == (1.0, 2.0)
    assert payload.metadata == {}


@pytest.mark.parametrize("document_id", ["", "d1"])
def test_what_only_a_framework_needs_is_not_shown(document_id: str) -> None:
    payload = Payload(
        source="s", kind="text", content_hash="c", document_id=document_id, metadata={FRAMEWORK_FIELD: {}, "own": 1}
    )
    assert FRAMEWORK_FIELD not in metadata_of(payload)
    assert metadata_of(payload)["own"] == 1
