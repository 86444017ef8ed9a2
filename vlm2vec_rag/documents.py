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

from vlm2vec_rag.collection.points import FIELDS, NAMESPACE, Payload, to_json
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Clip, Image, Item, Page, Text

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader

METADATA_FIELDS = ("source", "kind", "place", "page", "label", "title", "start_s", "end_s", "content_hash")
"""What a document of a file says of itself in its metadata, beside the user's own fields. Empty ones are left out."""

FILE_FIELDS = ("file_hash", "file_points", "modified_at", "times_s")
"""What a document may say besides where it was read and not yet written; the command line then knows its file."""

FRAMEWORK_FIELD = "_framework"
"""In the user's metadata: what one framework needs to make its document again, and nobody else shows."""


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
    held = json.dumps([text, to_json(metadata)], sort_keys=True, ensure_ascii=False)
    return str(uuid.uuid5(NAMESPACE, held))


def text_payload(text: str, metadata: Mapping[str, object], document_id: str) -> Payload:
    """What a collection keeps of a text with metadata of the user's own, all of it nested and untouched.

    `metadata["source"]`, where it is a string, is the point's source, so that the command line lists it and filters
    find it. A text without one is a source of its own, `document:ID`.
    """
    source, title = metadata.get("source"), metadata.get("title")
    has_source = isinstance(source, str) and bool(source)
    item = Text(
        text=text,
        source=str(source) if has_source else f"document:{document_id}",
        title=title if isinstance(title, str) else "",
        metadata=metadata,
    )
    payload = Payload.of(item, file_points=0 if has_source else 1)
    # where the text starts in its source is not known
    return replace(payload, fragment="", document_id=document_id)


def metadata_of(payload: Payload) -> dict[str, Any]:
    """The metadata of a document that shows this point.

    A text that came from a framework has exactly the metadata it came with. What came from a file has the fields of
    `METADATA_FIELDS` that are filled, and the user's own beside them; where a name is in both, the user's stands.
    """
    own = {name: value for name, value in payload.metadata.items() if name != FRAMEWORK_FIELD}
    if payload.kind == "text" and payload.document_id:
        return own
    fields = {name: getattr(payload, name) for name in METADATA_FIELDS}
    return {name: value for name, value in fields.items() if value not in ("", None)} | own


def is_of_file(metadata: Mapping[str, object]) -> bool:
    """Whether metadata is that of a document of a file, as `metadata_of` gives it, and not a text of the user's own."""
    return all(isinstance(metadata.get(name), str) for name in ("kind", "source", "place", "content_hash"))


def file_payload(text: str, metadata: Mapping[str, object]) -> Payload:
    """What a collection keeps of a document of a file, whose metadata is as `metadata_of` gives it.

    The file itself is not read: for documents whose vector is there already.
    """
    known = {*METADATA_FIELDS, *FILE_FIELDS}
    said = {name: value for name, value in metadata.items() if name in known & FIELDS}
    own = {name: value for name, value in metadata.items() if name not in known}
    fragment = str(metadata["place"]).removeprefix(str(metadata["source"])).removeprefix("#")
    return Payload.from_dict({**said, "fragment": fragment, "text": text, "metadata": own})


def read_item(text: str, metadata: Mapping[str, object], reader: MediaReader) -> Item:
    """Read what a document of a file shows again from its file: a page, an image or the frames of a clip.

    Args:
        text: The document's text, which may be other than the file's: a caption or OCR.
        metadata: As `metadata_of` gives it.
        reader: Opens the file, in its own process and under its limits.

    Raises:
        MediaError: The file is gone or can no longer be read.
        InvalidInput: The metadata does not say which page or clip it is.
    """
    kind, source, place = (str(metadata[name]) for name in ("kind", "source", "place"))
    own = {name: value for name, value in metadata.items() if name not in (*METADATA_FIELDS, *FILE_FIELDS)}
    item: Item
    match kind:
        case "page":
            item = reader.page(source, int(_number(metadata, "page")))
        case "image":
            item = reader.image(source)
        case "clip":
            item = reader.clip(source, _number(metadata, "start_s"), _number(metadata, "end_s"))
        case "text":
            start, _, _ = place.rpartition("#char=")[2].partition(",")
            item = Text(text=text, source=source, start_char=int(start) if start.isdecimal() else 0)
        case _:
            raise InvalidInput(f"{place} is of kind {kind!r}; expected text, image, page or clip")
    said = {name: str(metadata[name]) for name in ("title", "label") if name in metadata and hasattr(item, name)}
    match item:
        case Page() | Image() | Clip() | Text():
            return replace(item, text=text, metadata=own, **said)  # type: ignore[arg-type]


def _number(metadata: Mapping[str, object], name: str) -> float:
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{metadata['place']} has {name}={value!r} in its metadata; expected a number")
    return value
