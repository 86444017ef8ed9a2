"""A framework's document keeps its id and its metadata through a point and back."""

import uuid

import pytest
from PIL import Image as PILImage

from vlm2vec_rag import Clip, Image, Page, Text
from vlm2vec_rag.collection import Payload
from vlm2vec_rag.documents import (
    METADATA_FIELDS,
    document_id_of,
    is_of_file,
    metadata_of,
    point_id_of,
    read_item,
    text_payload,
)
from vlm2vec_rag.errors import InvalidInput

IMAGE = PILImage.new("RGB", (56, 56), "red")


class Files:
    """Stands for a media reader: what the files hold, by place."""

    def page(self, source, page):
        return Page(image=IMAGE, page=page, source=source, text="from the file", title="Old", label="iv")

    def image(self, source):
        return Image(image=IMAGE, source=source)

    def clip(self, source, start_s, end_s):
        return Clip(frames=(IMAGE,), times_s=(start_s,), start_s=start_s, end_s=end_s, source=source)


@pytest.mark.parametrize("document_id", ["1", "a/b.txt", "", "é" * 300])
def test_any_id_names_a_point_and_always_the_same_one(document_id):
    assert uuid.UUID(point_id_of(document_id)).version == 5
    assert point_id_of(document_id) == point_id_of(document_id) != point_id_of(document_id + "x")


def test_a_uuid_is_its_own_point():
    document_id = str(uuid.uuid4())
    assert point_id_of(document_id) == point_id_of(document_id.upper()) == document_id


@pytest.mark.parametrize(
    "metadata",
    [{}, {"id": 1}, {"source": "notes.md", "page": 0, "tags": ["a"], "none": None}, {"title": "T", "deep": {"a": 1}}],
)
def test_a_text_gets_back_exactly_its_metadata(metadata):
    stored = text_payload("hello", metadata, "7").to_dict()
    back = Payload.from_dict(stored)
    assert (metadata_of(back), back.document_id, back.text) == (metadata, "7", "hello")


def test_a_text_without_a_source_is_a_complete_source_of_its_own():
    payload = text_payload("hello", {}, "7")
    assert (payload.source, payload.file_points, payload.place) == ("document:7", 1, "document:7")


def test_the_derived_id_depends_on_text_and_metadata_and_not_on_the_order_of_fields():
    ids = {document_id_of("a", {"x": 1}), document_id_of("a", {"x": 2}), document_id_of("b", {"x": 1})}
    assert len(ids) == 3
    assert document_id_of("a", {"x": 1, "y": 2}) == document_id_of("a", {"y": 2, "x": 1})


def test_an_id_that_is_no_string_is_named():
    with pytest.raises(InvalidInput, match="document id 7 is a int"):
        point_id_of(7)


ITEMS = [
    Page(image=IMAGE, page=3, source="/r.pdf", text="words", title="Chapter", label="iii", metadata={"team": "a"}),
    Image(image=IMAGE, source="/i.png", text="a caption"),
    Clip(frames=(IMAGE,), times_s=(1.5,), start_s=1.5, end_s=4, source="/v.mp4", text="hello"),
    Text(text="a passage", source="/n.md", start_char=40),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.kind)
def test_an_item_of_a_file_is_read_again_from_its_metadata(item):
    payload = Payload.of(item)
    metadata = metadata_of(payload)
    assert is_of_file(metadata) and metadata["place"] == payload.place
    assert set(metadata) <= {*METADATA_FIELDS, "team"}
    again = read_item(item.text, metadata, Files())
    assert Payload.of(again) == payload


def test_other_words_make_another_item():
    metadata = metadata_of(Payload.of(ITEMS[1]))
    again = read_item("what OCR read", metadata, Files())
    assert again.text == "what OCR read" and again.content_hash != metadata["content_hash"]


@pytest.mark.parametrize("metadata", [{}, {"source": "/etc/passwd"}, {"source": "/a.png", "kind": "image"}])
def test_metadata_of_a_users_own_names_no_file_to_open(metadata):
    assert not is_of_file(metadata)


@pytest.mark.parametrize(("change", "message"), [({"page": "3"}, "page='3'"), ({"kind": "song"}, "kind 'song'")])
def test_metadata_that_names_no_page_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        read_item("", metadata_of(Payload.of(ITEMS[0])) | change, Files())
