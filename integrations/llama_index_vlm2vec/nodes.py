"""Nodes and documents that stand for a page, an image, a clip or a passage of a file, and what a collection keeps.

A node refers to its file and holds no pixels; they are read again where the node is embedded or shown to a chat model.
What a node stands for is told from its metadata, not from its class: caches and other vector stores give back a plain
TextNode for every class they do not know.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from llama_index.core.base.llms.types import BaseContentBlock, TextBlock
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from llama_index_vlm2vec.images import ImageBudget, contact_sheet, image_blocks
from llama_index_vlm2vec.stamps import STAMP
from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.document_metadata import FRAMEWORK_FIELD, check_text
from vlm2vec_rag.documents import (
    FILE_FIELDS,
    METADATA_FIELDS,
    description,
    file_payload,
    is_of_file,
    metadata_of,
    point_id_of,
    text_payload,
    with_description,
    without_description,
)
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Text

PATH_FIELDS = ("file_path", "file_name")
"""What LlamaIndex and its tools expect beside `source`; made from it, so not kept a second time."""

_FOR_THE_LLM = {"file_name", "kind", "page", "label", "title", "start_s", "end_s"}
_OUR_FIELDS = {*METADATA_FIELDS, *FILE_FIELDS, *PATH_FIELDS}

_Made = TypeVar("_Made", bound="MediaNode")


class MediaNode(TextNode):
    """A page, an image, a clip or a passage of a file. `text` is its text layer, caption or subtitles.

    One without words has its description as text, so that LlamaIndex does not drop it, and that rerankers and models
    that read only words know of it.

    `get_content_blocks` adds the pixels, read from the file at that moment: this is how a query engine with
    `multimodal=True` shows them to its model.
    """

    _images: ImageBudget = PrivateAttr(default=ImageBudget())

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """What a chat model is shown: the metadata, the text where there is one, and the images."""
        empty = (TextBlock(text=""), TextBlock(text=description(self.metadata)))  # what it describes is shown
        told = [each for each in TextNode.get_content_blocks(self, metadata_mode) if each not in empty]
        return [*told, *image_blocks(to_payload(self)[1], self._images)]


class SeenNode(MediaNode, ImageNode):
    """A page, an image or a clip that was found: an ImageNode, which is what LlamaIndex's chat engines look for.

    `image` is read from the file when something asks for it: base64 JPEG, bounded in size, the frames of a clip side
    by side. It is never kept with the node.
    """

    @property
    def hash(self) -> str:
        """Over text and metadata; an ImageNode's own would read the pixels."""
        return str(TextNode.hash.fget(self))  # type: ignore[attr-defined]

    def resolve_image(self) -> BytesIO:
        """The bytes of `image`."""
        return BytesIO(base64.b64decode(self.image or ""))

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """What a chat model is shown: the metadata, the text where there is one, and the images."""
        return MediaNode.get_content_blocks(self, metadata_mode)


def _image_of(node: SeenNode) -> str:
    return base64.b64encode(contact_sheet(to_payload(node)[1], node._images)).decode()


# a property cannot stand in the class, where pydantic takes the name for a field without a type
SeenNode.image = property(_image_of)  # type: ignore[assignment]


class MediaDocument(Document):
    """What `VLM2VecReader` loads; `MediaNodeParser` and `VLM2VecEmbedding` make it a `MediaNode`.

    Its id is its place (`report.pdf#page=3`), so that a changed page replaces the one before it.
    """

    @property
    def hash(self) -> str:
        """Changes with what is seen and said of it, and not when its file is only saved again."""
        return _told_hash(self.text, self.metadata)


def to_document(payload: Payload, extra_info: Mapping[str, Any] | None = None) -> MediaDocument:
    """The document of a file's item; `extra_info` is metadata of the user's own."""
    fields = payload.to_dict()
    known = {name: fields[name] for name in FILE_FIELDS if name in fields}
    metadata = {**(extra_info or {}), **_metadata(payload), **known}
    return MediaDocument(
        id_=payload.place,
        text_resource=MediaResource(text=with_description(payload.text, metadata)),
        extra_info=metadata,
        **_hidden(metadata),
    )


def to_media_node(node: BaseNode) -> BaseNode:
    """A document or plain node of a file as the MediaNode it stands for; any other node is given back."""
    return node if isinstance(node, MediaNode) or not stands_for_file(node) else _made(MediaNode, node)


def to_seen_node(node: BaseNode, images: ImageBudget | None = None) -> BaseNode:
    """What was found as it is shown to people and models; a node that is not of a file is given back."""
    if not stands_for_file(node):
        return node
    wanted = SeenNode if node.metadata["kind"] != "text" else MediaNode
    made = node if isinstance(node, wanted) else _made(wanted, node)
    if images is not None:
        made._images = images
    return made


def _made(wanted: type[_Made], node: BaseNode) -> _Made:
    fields = {name: getattr(node, name) for name in TextNode.model_fields if hasattr(node, name)}
    fields["id_"] = file_payload("", node.metadata).id
    fields["text"] = with_description(words(node), node.metadata)
    fields["metadata"] = dict(node.metadata)
    if isinstance(node, Document):  # what LlamaIndex deletes and refreshes by
        fields["relationships"] = {**node.relationships, NodeRelationship.SOURCE: _of_document(node)}
    fields["relationships"] = fields["relationships"] or _source(str(node.metadata["place"]))
    return wanted(**fields)


def _of_document(document: Document) -> RelatedNodeInfo:
    # without the metadata, which LlamaIndex would copy into every node a second time
    return RelatedNodeInfo(node_id=document.node_id, node_type=ObjectType.DOCUMENT, hash=document.hash)


def words(node: BaseNode) -> str:
    """The words of a node; none where its text is only a description of what it shows."""
    return without_description(node.get_content(metadata_mode=MetadataMode.NONE), node.metadata)


def stands_for_file(node: BaseNode) -> bool:
    """Whether a node is all of a file's page, image, clip or passage, and not a piece a text splitter cut from it."""
    if not is_of_file(node.metadata):
        return False
    if isinstance(node, Document | MediaNode) or node.node_id == file_payload("", node.metadata).id:
        return True
    whole = node.source_node
    # a text splitter gives a short document back as one node, and says of which document it was made
    return whole is not None and whole.hash == _told_hash(node.get_content(MetadataMode.NONE), node.metadata)


def _told_hash(text: str, metadata: Mapping[str, Any]) -> str:
    """Over what is seen and said of an item, and not over the bytes of its file."""
    hidden = (*FILE_FIELDS, STAMP)
    told = {name: value for name, value in metadata.items() if name not in hidden}
    return TextNode(text=text, metadata=told).hash


def shown_file(node: BaseNode) -> tuple[Literal["image", "video"], Path] | None:
    """The image or video of a node from another reader; None where it shows neither.

    Raises:
        InvalidInput: It holds the pixels themselves or an address: a collection keeps references to files.
    """
    kind: Literal["image", "video"] = "image"
    path: str | Path | None
    elsewhere: object
    if isinstance(node, ImageNode):
        path, elsewhere = node.image_path, node.image or node.image_url
    elif isinstance(node, Node) and (resource := node.image_resource or node.video_resource):
        path, elsewhere = resource.path, resource.data or resource.url
        kind = "image" if resource is node.image_resource else "video"
    else:
        return None
    if path:
        return kind, Path(path)
    if elsewhere:
        raise InvalidInput(
            f"node {node.node_id} holds its {kind} in memory or as an address, and nothing is downloaded here; "
            "save it as a file and give its path, or load it with VLM2VecReader"
        )
    return None


def to_node(payload: Payload, point_id: str, images: ImageBudget | None = None) -> BaseNode:
    """The node of a point: a MediaNode for what is from a file, else the node as it was stored."""
    metadata = metadata_of(payload)
    made = payload.metadata.get(FRAMEWORK_FIELD)
    if not payload.document_id or payload.kind != "text":
        metadata = _metadata(payload)
        known_as = made.get("ref_doc_id") if isinstance(made, Mapping) else None
        media = MediaNode(
            id_=payload.document_id or point_id,
            text=with_description(payload.text, metadata),
            extra_info=metadata,
            relationships=_source(str(known_as or payload.place)),
            **_hidden(metadata),
        )
        return to_seen_node(media, images)
    if not isinstance(made, Mapping) or "node" not in made:
        return TextNode(id_=payload.document_id, text=payload.text, metadata=metadata)
    content = {"id_": payload.document_id, "metadata": metadata, **made["node"]}
    stored = {"_node_type": made["type"], "_node_content": json.dumps(content)}
    node = metadata_dict_to_node(stored, text=payload.text)
    node.metadata = metadata  # as it came, and not as JSON gives it
    return node


def to_payload(node: BaseNode) -> tuple[str, Payload]:
    """The id and the payload under which a collection keeps a node.

    Raises:
        InvalidInput: Its text or metadata holds what cannot be kept; the message names it.
    """
    metadata = {name: value for name, value in node.metadata.items() if name != STAMP}
    if stands_for_file(node):
        own = {name: value for name, value in metadata.items() if name not in PATH_FIELDS}
        if node.ref_doc_id and node.ref_doc_id != metadata["place"]:
            own[FRAMEWORK_FIELD] = {"ref_doc_id": node.ref_doc_id}
        payload = file_payload(words(node), own)
        return payload.id, payload
    if made := _framework_fields(node):
        metadata[FRAMEWORK_FIELD] = made
    encoded = Text(text=node.get_content(metadata_mode=MetadataMode.EMBED))
    check_text(encoded.text, f"node {node.node_id!r}")
    payload = text_payload(
        node.get_content(metadata_mode=MetadataMode.NONE), metadata, node.node_id, content_hash=encoded.content_hash
    )
    path = metadata.get("file_path")
    if not metadata.get("source") and isinstance(path, str) and path:
        payload = replace(payload, source=Path(path).as_posix(), file_points=0)  # as LlamaIndex's own reader says it
    return point_id_of(node.node_id), payload


def _metadata(payload: Payload) -> dict[str, Any]:
    return metadata_of(payload) | {"file_path": payload.source, "file_name": PurePosixPath(payload.source).name}


def _hidden(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Which fields neither a text model nor the LLM reads: hashes and paths say nothing about what is seen."""
    ours = [name for name in metadata if name in _OUR_FIELDS]
    return {
        "excluded_embed_metadata_keys": ours,
        "excluded_llm_metadata_keys": [name for name in ours if name not in _FOR_THE_LLM],
    }


def _source(place: str) -> dict[NodeRelationship, Any]:
    return {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=place, node_type=ObjectType.DOCUMENT)}


def _framework_fields(node: BaseNode) -> dict[str, Any]:
    """What to keep of a node beside its id, text and metadata, so that it comes back as it was; often nothing."""
    elsewhere = {"id_", "text", "text_resource", "metadata", "embedding"}
    kept = node.model_dump(mode="json", exclude=elsewhere, exclude_defaults=True)
    kept = {name: value for name, value in kept.items() if name not in (*elsewhere, "class_name")}
    for hidden in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"):
        if hidden in kept and not (names := [name for name in kept[hidden] if name != STAMP]):
            del kept[hidden]
        elif hidden in kept:
            kept[hidden] = names
    if not kept and node.class_name() == TextNode.class_name():
        return {}
    return {"type": node.class_name(), "ref_doc_id": node.ref_doc_id or "", "node": kept}
