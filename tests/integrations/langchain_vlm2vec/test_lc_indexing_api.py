"""LangChain's `index` with a record manager: new files are added, unchanged ones skipped, changed ones replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade_pdfs import Sheet, make_pdf
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_vlm2vec import MediaLoader, VLM2VecVectorStore, document_id

Run = Callable[[Path], Any]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, store: VLM2VecVectorStore, key_encoder: Any) -> Run:
    """Index a folder into the store, and say what was done."""
    records = InMemoryRecordManager("test")
    records.create_schema()

    async def once(folder: Path) -> dict[str, int]:
        loader = MediaLoader(folder, settings=store.library.media_settings)
        options = {"cleanup": "full", "source_id_key": "source", "key_encoder": key_encoder}
        done = index if request.param == "sync" else aindex
        result = done(loader, records, store, **options)
        done_ = result if request.param == "sync" else await result
        return {name.removeprefix("num_"): count for name, count in done_.items() if count}

    return once


@pytest.mark.parametrize("key_encoder", ["sha256", document_id], ids=["sha256", "document_id"])
async def test_a_changed_page_replaces_itself_alone(run: Run, store: VLM2VecVectorStore, media: Path) -> None:
    assert await run(media) == {"added": 6}
    assert await run(media) == {"skipped": 6}
    pages = [Sheet(words=[(72, 700, words)]) for words in ("Quarterly revenue", "Other targets")]
    make_pdf(media / "report.pdf", pages)
    assert await run(media) == {"added": 1, "deleted": 1, "skipped": 5}
    (media / "red.png").unlink()
    assert await run(media) == {"deleted": 1, "skipped": 5}
    found = store.similarity_search("targets", k=10, mode="bm25")
    assert [each.page_content for each in found] == ["Other targets"]
    assert store.collection.count() == 5
