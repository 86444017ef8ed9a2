"""Files become documents that say where they are, under the ids that the command line gives them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from langchain_core.document_loaders import Blob
from langchain_core.documents import Document
from langchain_vlm2vec import MediaLoader, MediaParser, VLM2VecEmbeddings, VLM2VecVectorStore, document_id

from vlm2vec_rag.errors import UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.library.library import Library, Setup


def through_the_library(store: VLM2VecVectorStore) -> Library:
    """The store's collection as the command line knows it."""
    return Library(store.collection, Setup(place=":memory:", load=store.embeddings.load))  # type: ignore[union-attr]


def test_a_folder_is_a_document_for_each_page_image_clip_and_passage(media: Path) -> None:
    documents = {document.metadata["place"]: document for document in MediaLoader(media).load()}
    assert {place.removeprefix(f"{media}/"): each.metadata["kind"] for place, each in documents.items()} == {
        "blue.png": "image",
        "note.md#char=0,31": "text",
        "red.png": "image",
        "report.pdf#page=1": "page",
        "report.pdf#page=2": "page",
        "talk.mp4#t=0,3": "clip",
    }
    second = documents[f"{media}/report.pdf#page=2"]
    assert second.page_content == "Emission targets"
    assert second.metadata["source"] == f"{media}/report.pdf" and second.metadata["page"] == 2
    clip = documents[f"{media}/talk.mp4#t=0,3"].metadata
    assert (clip["start_s"], clip["end_s"]) == (0, 3)
    assert len({each.id for each in documents.values()}) == 6


def test_their_ids_are_those_of_the_command_line(media: Path, memory_store: VLM2VecVectorStore) -> None:
    through_the_library(memory_store).index(media)
    documents = MediaLoader(media, settings=memory_store.library.media_settings).load()
    assert {each.id for each in documents} == {point.id for point in memory_store.collection.scroll()}
    assert [document_id(each) for each in documents] == [each.id for each in documents]


def test_a_document_without_an_id_gets_one_from_all_it_holds() -> None:
    ids = [
        document_id(Document(page_content=text, metadata=metadata))
        for text, metadata in [("a", {}), ("a", {}), ("a", {"x": 1}), ("b", {})]
    ]
    assert ids[0] == ids[1] and len(set(ids)) == 3


async def test_loading_is_lazy_and_awaited(media: Path) -> None:
    loader = MediaLoader([media / "red.png", media / "report.pdf"])
    (media / "report.pdf").write_bytes(b"%PDF-1.7 cut off")
    documents = loader.lazy_load()
    assert next(documents).metadata["kind"] == "image"
    with pytest.raises(UnreadableMedia, match=r"report\.pdf"):
        next(documents)
    documents.close()  # type: ignore[attr-defined]
    assert len([each async for each in MediaLoader(media / "red.png").alazy_load()]) == 1


def test_failed_files_are_skipped_only_when_asked(media: Path, caplog: pytest.LogCaptureFixture) -> None:
    (media / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(UnreadableMedia, match=r"broken\.png"):
        MediaLoader(media).load()
    with caplog.at_level(logging.WARNING):
        assert len(MediaLoader(media, skip_failed=True).load()) == 6
    assert "broken.png" in caplog.text
    with pytest.raises(UnreadableMedia, match="no such file"):
        MediaLoader(media / "gone", skip_failed=True).load()


def test_blobs_that_are_files_are_parsed_with_their_metadata(media: Path) -> None:
    blob = Blob.from_path(media / "report.pdf", metadata={"team": "finance"})
    first, second = MediaParser().lazy_parse(blob)
    assert (first.metadata["team"], second.metadata["page"]) == ("finance", 2)
    assert [first.id, second.id] == [each.id for each in MediaLoader(media / "report.pdf").load()]


def test_a_blob_without_a_path_is_refused(media: Path) -> None:
    blob = Blob.from_data((media / "red.png").read_bytes(), mime_type="image/png")
    with pytest.raises(UnsupportedMedia, match="has no path"):
        list(MediaParser().lazy_parse(blob))


def test_loading_needs_no_model(media: Path) -> None:
    embeddings = VLM2VecEmbeddings(model="no/where")
    assert MediaLoader(media).load() and embeddings._loaded is None
