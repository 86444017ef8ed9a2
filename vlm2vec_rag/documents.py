"""Documents of a framework in a collection: ids kept, metadata given back as it came.

LlamaIndex and LangChain both hand over texts with an id and metadata of the user's own, and both show a page or a clip
as a document with metadata. What that means for a point is settled here once, so that either framework, the command
line and the web app find the same points under the same ids.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection.points import FIELDS, NAMESPACE, Payload
from vlm2vec_rag.document_metadata import check_text, given_metadata, kept_metadata
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Clip, Image, Item, Page, Text

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader

METADATA_FIELDS = ("source", "kind", "place", "page", "label", "title", "start_s", "end_s", "content_hash")
"""What a document of a file says of itself in its metadata, beside the user's own fields. Empty ones are left out."""

FILE_FIELDS = ("file_hash", "file_points", "modified_at", "times_s")
"""What a document may say besides where it was read and not yet written; the command line then knows its file."""


def point_id_of(document_id: str) -> str:
    """The point that holds a document: its id where that is a UUID, else uuid5 of it. Qdrant takes nothing else.

    Raises:
        InvalidInput: The id is no string.
    """
    if not isinstance(document_id, str):
        raise InvalidInput(f"the document id {document_id!r} is a {type(document_id).__name__}; expected a str")
    try:
        return str(uuid.UUID(document_id))
    except ValueError:
        return str(uuid.uuid5(NAMESPACE, f"document\0{document_id}"))


def document_id_of(text: str, metadata: Mapping[str, object]) -> str:
    """An id for a document that has none: uuid5 of all it holds, so that adding it again replaces it."""
    check_text(text, "the text of a document")
    held = json.dumps([text, kept_metadata(metadata)], sort_keys=True, ensure_ascii=False)
    return str(uuid.uuid5(NAMESPACE, held))


def text_payload(
    text: str, metadata: Mapping[str, object], document_id: str, *, content_hash: str | None = None
) -> Payload:
    """What a collection keeps of a text with metadata of the user's own, all of it nested and untouched.

    A text with the metadata of a file's page or clip is a piece of it, and is kept as a text at that place.

    `metadata["source"]`, where it is a string, is the point's source, so that the command line lists it and filters
    find it. A text without one is a source of its own, `document:ID`.

    Args:
        text: What words are matched with.
        metadata: Comes back as it came.
        document_id: Its id.
        content_hash: Of what the vector is made of, where that is not the text.

    Raises:
        InvalidInput: The text or the metadata holds what cannot be kept; the message names it.
    """
    check_text(text, f"the text of document {document_id!r}")
    if is_of_file(metadata):
        return _passage(text, metadata, document_id, content_hash)
    source, title = metadata.get("source"), metadata.get("title")
    has_source = isinstance(source, str) and bool(source)
    item = Text(
        text=text,
        source=str(source) if has_source else f"document:{document_id}",
        title=title if isinstance(title, str) else "",
        metadata=kept_metadata(metadata),
    )
    payload = Payload.of(item, file_points=0 if has_source else 1)
    # where the text starts in its source is not known
    payload = replace(payload, fragment="", document_id=document_id)
    return payload if content_hash is None else replace(payload, content_hash=content_hash)


def _passage(text: str, metadata: Mapping[str, object], document_id: str, content_hash: str | None) -> Payload:
    """A piece that a text splitter cut of a page or clip: a text at that place, which does not stand for its pixels."""
    whole = file_payload("", metadata)
    cut = {name: value for name, value in metadata.items() if name not in ("content_hash", *FILE_FIELDS)}
    return replace(
        whole,
        kind="text",
        text=text,
        content_hash=content_hash or Text(text=text).content_hash,
        document_id=document_id,
        file_hash="",
        file_points=0,
        modified_at=None,
        times_s=(),
        metadata=kept_metadata({**cut, "kind": "text"}),
    )


def metadata_of(payload: Payload) -> dict[str, Any]:
    """The metadata of a document that shows this point.

    A text that came from a framework has exactly the metadata it came with. What came from a file has the fields of
    `METADATA_FIELDS` that are filled, and the user's own beside them; where a name is in both, the user's stands.
    """
    own = given_metadata(payload.metadata)
    if payload.kind == "text" and payload.document_id:
        return own
    fields = {name: getattr(payload, name) for name in METADATA_FIELDS}
    return {name: value for name, value in fields.items() if value not in ("", None)} | own


def description(metadata: Mapping[str, object]) -> str:
    """What stands for the words of an image, page or clip that has none: `image: /media/red.png`.

    Frameworks drop documents without words, and take two of them for the same; rerankers and tools read only words.
    """
    kind, title, place = (str(metadata.get(name) or "") for name in ("kind", "title", "place"))
    return f"{kind}: {title}, {place}" if title else f"{kind}: {place}"


def with_description(text: str, metadata: Mapping[str, object]) -> str:
    """The text of a document of a file, or its description where there is none."""
    return text if text.strip() or not is_of_file(metadata) else description(metadata)


def without_description(text: str, metadata: Mapping[str, object]) -> str:
    """The text of a document of a file; none where it is only its description."""
    return "" if is_of_file(metadata) and text == description(metadata) else text


def is_of_file(metadata: Mapping[str, object]) -> bool:
    """Whether metadata is that of a document of a file, as `metadata_of` gives it, and not a text of the user's own."""
    return all(isinstance(metadata.get(name), str) for name in ("kind", "source", "place", "content_hash"))


def file_payload(text: str, metadata: Mapping[str, object]) -> Payload:
    """What a collection keeps of a document of a file, whose metadata is as `metadata_of` gives it.

    The file itself is not read: for documents whose vector is there already.
    """
    known = {*METADATA_FIELDS, *FILE_FIELDS}
    said = {name: value for name, value in metadata.items() if name in known & FIELDS}
    own = kept_metadata({name: value for name, value in metadata.items() if name not in known})
    fragment = str(metadata["place"]).removeprefix(str(metadata["source"])).removeprefix("#")
    return Payload.from_dict({**said, "fragment": fragment, "text": text, "metadata": own})


def read_item(
    text: str | None, metadata: Mapping[str, object], reader: MediaReader, already: Item | None = None
) -> Item:
    """Read what a document of a file shows again from its file: a page, an image or the frames of a clip.

    Args:
        text: The document's text, which may be other than the file's: a caption or OCR. None takes the file's.
        metadata: As `metadata_of` gives it.
        reader: Opens the file, in its own process and under its limits.
        already: What was read there, where it was.

    Raises:
        MediaError: The file is gone or can no longer be read.
        InvalidInput: The metadata does not say which page or clip it is.
    """
    kind, source, place = (str(metadata[name]) for name in ("kind", "source", "place"))
    own = kept_metadata(
        {name: value for name, value in metadata.items() if name not in (*METADATA_FIELDS, *FILE_FIELDS)}
    )
    item: Item
    match kind:
        case _ if already is not None:
            item = already
        case "page":
            item = reader.page(source, int(_number(metadata, "page")))
        case "image":
            item = reader.image(source)
        case "clip":
            item = reader.clip(source, _number(metadata, "start_s"), _number(metadata, "end_s"))
        case "text":
            start, _, _ = place.rpartition("#char=")[2].partition(",")
            item = Text(text=text or "", source=source, start_char=int(start) if start.isdecimal() else 0)
        case _:
            raise InvalidInput(f"{place} is of kind {kind!r}; expected text, image, page or clip")
    said = {name: str(metadata[name]) for name in ("title", "label") if name in metadata and hasattr(item, name)}
    match item:
        case Page() | Image() | Clip() | Text():
            return replace(item, text=item.text if text is None else text, metadata=own, **said)  # type: ignore[arg-type]


def _number(metadata: Mapping[str, object], name: str) -> float:
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{metadata['place']} has {name}={value!r} in its metadata; expected a number")
    return value
