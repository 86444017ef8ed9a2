"""`VLM2VecReader`: files and folders to documents, alone and inside LlamaIndex's own reader."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core import Document, SimpleDirectoryReader
from llama_index.core.schema import MetadataMode
from llama_index.node_parser.vlm2vec import MediaDocument, MediaNode, MediaNodeParser
from llama_index.readers.vlm2vec import VLM2VecReader

from vlm2vec_rag.errors import InvalidInput, MediaError, UnreadableMedia
from vlm2vec_rag.items import Item
from vlm2vec_rag.media import MediaReader, MediaSettings, find_media


def place(item: Item) -> str:
    return f"{item.source}#{item.fragment}".rstrip("#")


def test_a_folder_gives_one_document_for_each_item(media: Path) -> None:
    documents = VLM2VecReader(media).load_data()
    with MediaReader() as reader:
        items = [item for path in find_media(media) for item in reader.items(path)]
    assert [(each.text, each.metadata["content_hash"], each.id_) for each in documents] == [
        (item.text or f"{item.kind}: {place(item)}", item.content_hash, place(item)) for item in items
    ]
    assert {each.metadata["kind"] for each in documents} == {"page", "image", "clip", "text"}


def test_a_document_says_where_it_is_and_holds_no_pixels(media: Path) -> None:
    [_, page] = VLM2VecReader(media / "report.pdf").load_data()
    source = str(media / "report.pdf")
    expected = {"source": source, "file_path": source, "file_name": "report.pdf", "kind": "page", "page": 2}
    assert expected.items() <= page.metadata.items()
    assert page.metadata["place"] == f"{source}#page=2"
    assert len(json.dumps(page.to_dict())) < 4000
    told = "kind: page\npage: 2\nfile_name: report.pdf\n\nEmission targets"
    assert page.get_content(MetadataMode.LLM) == told


def test_it_reads_while_it_is_asked(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    items = MediaReader.items

    def watched(self: MediaReader, path: Path) -> Iterator[object]:
        read.append(path)
        return items(self, path)

    monkeypatch.setattr(MediaReader, "items", watched)
    documents = iter(VLM2VecReader(media).lazy_load_data())
    assert read == []
    next(documents)
    assert len(read) == 1


def test_it_serves_llamaindexs_own_reader(media: Path) -> None:
    reader = VLM2VecReader()
    found = SimpleDirectoryReader(
        str(media),
        file_extractor=dict.fromkeys((".pdf", ".png", ".mp4", ".md"), reader),
        file_metadata=lambda path: {"owner": Path(path).suffix},
        raise_on_error=True,
    ).load_data()
    assert sorted(each.metadata["place"] for each in found) == sorted(
        each.metadata["place"] for each in VLM2VecReader(media).load_data()
    )
    assert {each.metadata["owner"] for each in found} == {".pdf", ".png", ".mp4", ".md"}
    assert all(isinstance(each, MediaDocument) for each in found)


def test_it_awaits(media: Path) -> None:
    assert len(asyncio.run(VLM2VecReader(media).aload_data())) == 6


def test_a_broken_file_is_named_or_skipped(media: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(media / "red.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(MediaError, match=r"b\.png"):
        VLM2VecReader(tmp_path).load_data()
    assert len(VLM2VecReader(tmp_path, skip_failed=True).load_data()) == 1
    assert "b.png" in caplog.text


def test_nothing_to_load_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="gone"):
        VLM2VecReader(tmp_path / "gone").load_data()
    with pytest.raises(InvalidInput, match="nothing to load"):
        VLM2VecReader().load_data()


def test_its_settings_decide_how_files_become_items(media: Path) -> None:
    settings = MediaSettings(window_s=1.5, overlap_s=0.0)
    clips = VLM2VecReader(media / "talk.mp4", settings=settings).load_data()
    assert [(each.metadata["start_s"], each.metadata["end_s"]) for each in clips] == [(0.0, 1.5), (1.5, 3.0)]


# the step after it


def test_media_stay_whole_and_other_texts_are_split(media: Path) -> None:
    long = Document(id_="long", text="One sentence of a text. " * 400, metadata={"author": "Ada"})
    documents = [*VLM2VecReader(media).load_data(), long]
    nodes = MediaNodeParser().get_nodes_from_documents(documents)
    whole, pieces = nodes[:6], nodes[6:]
    assert all(isinstance(node, MediaNode) for node in whole)
    assert [node.ref_doc_id for node in whole] == [document.id_ for document in documents[:6]]
    assert [node.metadata for node in whole] == [document.metadata for document in documents[:6]]
    assert len(pieces) > 1
    assert {piece.ref_doc_id for piece in pieces} == {"long"}
    assert {piece.metadata["author"] for piece in pieces} == {"Ada"}


def test_a_document_that_was_only_saved_again_counts_as_unchanged(media: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.md"
    path.write_text("one", encoding="utf-8")
    [first] = VLM2VecReader(path).load_data()
    path.write_text("one\n", encoding="utf-8")
    [saved] = VLM2VecReader(path).load_data()
    path.write_text("two", encoding="utf-8")
    [changed] = VLM2VecReader(path).load_data()
    assert first.metadata["file_hash"] != saved.metadata["file_hash"]
    assert first.hash == saved.hash != changed.hash
    assert first.id_ != changed.id_ or first.metadata["place"] == changed.metadata["place"]
