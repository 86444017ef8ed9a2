"""Nodes and documents that stand for a page, an image, a clip or a passage of a file, and what a collection keeps.

A node refers to its file and holds no pixels; they are read again where the node is embedded or shown to a chat model.
What a node stands for is told from its metadata, not from its class: caches and other vector stores give back a plain
TextNode for every class they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

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

from llama_index_vlm2vec.images import ImageBudget, image_blocks
from vlm2vec_rag.collection.points import Payload
from vlm2vec_rag.documents import (
    FILE_FIELDS,
    FRAMEWORK_FIELD,
    METADATA_FIELDS,
    file_payload,
    is_of_file,
    metadata_of,
    point_id_of,
    text_payload,
)
from vlm2vec_rag.errors import InvalidInput

PATH_FIELDS = ("file_path", "file_name")
"""What LlamaIndex and its tools expect beside `source`; made from it, so not kept a second time."""

_FOR_THE_LLM = {"file_name", "kind", "page", "label", "title", "start_s", "end_s"}
_OUR_FIELDS = {*METADATA_FIELDS, *FILE_FIELDS, *PATH_FIELDS}


class MediaNode(TextNode):
    """A page, an image, a clip or a passage of a file. `text` is its text layer, caption or subtitles.

    `get_content_blocks` adds the pixels, read from the file at that moment: this is how a query engine with
    `multimodal=True` shows them to its model.
    """

    _images: ImageBudget = PrivateAttr(default=ImageBudget())

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """What a chat model is shown: the metadata, the text where there is one, and the images."""
        told = [each for each in super().get_content_blocks(metadata_mode) if each != TextBlock(text="")]
        return [*told, *image_blocks(to_payload(self)[1], self._images)]


class MediaDocument(Document):
    """What `VLM2VecReader` loads; `MediaNodeParser` and `VLM2VecEmbedding` make it a `MediaNode`.

    Its id is its place (`report.pdf#page=3`), so that a changed page replaces the one before it.
    """

    @property
    def hash(self) -> str:
        """Changes with what is seen and said of it, and not when its file is only saved again."""
        told = {name: value for name, value in self.metadata.items() if name not in FILE_FIELDS}
        return TextNode(text=self.text, metadata=told).hash


def to_document(payload: Payload, extra_info: Mapping[str, Any] | None = None) -> MediaDocument:
    """The document of a file's item; `extra_info` is metadata of the user's own."""
    fields = payload.to_dict()
    known = {name: fields[name] for name in FILE_FIELDS if name in fields}
    metadata = {**(extra_info or {}), **_metadata(payload), **known}
    return MediaDocument(
        id_=payload.place,
        # a document without a text resource has an empty content, and all such are one to the ingestion cache
        text_resource=MediaResource(text=payload.text),
        extra_info=metadata,
        **_hidden(metadata),
    )


def to_media_node(node: BaseNode, images: ImageBudget | None = None) -> BaseNode:
    """A document or plain node of a file as the MediaNode it stands for; any other node is given back."""
    if not stands_for_file(node):
        return node
    if isinstance(node, MediaNode):
        media = node
    else:
        fields = {name: getattr(node, name) for name in TextNode.model_fields if hasattr(node, name)}
        fields["id_"] = file_payload("", node.metadata).id
        fields["metadata"] = dict(node.metadata)
        fields["relationships"] = node.relationships or _source(str(node.metadata["place"]))
        media = MediaNode(**fields)
    if images is not None:
        media._images = images
    return media


def stands_for_file(node: BaseNode) -> bool:
    """Whether a node is all of a file's page, image, clip or passage, and not a piece a text splitter cut from it."""
    if not is_of_file(node.metadata):
        return False
    return isinstance(node, Document | MediaNode) or node.node_id == file_payload("", node.metadata).id


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
    if not payload.document_id or payload.kind != "text":
        metadata = _metadata(payload)
        place = _source(payload.place)
        known_as = payload.document_id or point_id
        media = MediaNode(
            id_=known_as, text=payload.text, extra_info=metadata, relationships=place, **_hidden(metadata)
        )
        media._images = images or ImageBudget()
        return media
    made = payload.metadata.get(FRAMEWORK_FIELD)
    if not isinstance(made, Mapping):
        return TextNode(id_=payload.document_id, text=payload.text, metadata=metadata)
    content = {"id_": payload.document_id, "metadata": metadata, **made["node"]}
    stored = {"_node_type": made["type"], "_node_content": json.dumps(content)}
    return metadata_dict_to_node(stored, text=payload.text)


def to_payload(node: BaseNode) -> tuple[str, Payload]:
    """The id and the payload under which a collection keeps a node."""
    if stands_for_file(node):
        metadata = {name: value for name, value in node.metadata.items() if name not in PATH_FIELDS}
        payload = file_payload(node.get_content(metadata_mode=MetadataMode.NONE), metadata)
        return payload.id, payload
    metadata = dict(node.metadata)
    if made := _framework_fields(node):
        metadata[FRAMEWORK_FIELD] = made
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    payload = text_payload(text, metadata, node.node_id)
    path = metadata.get("file_path")
    if not metadata.get("source") and isinstance(path, str) and path:
        payload = replace(payload, source=Path(path).as_posix(), file_points=0)  # as LlamaIndex's own reader says it
    return point_id_of(node.node_id), payload


def _metadata(payload: Payload) -> dict[str, Any]:
    return metadata_of(payload) | {"file_path": payload.source, "file_name": PurePosixPath(payload.source).name}


def _hidden(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Which fields neither a text model nor the LLM reads: hashes and paths say nothing about what is seen."""
    # a node whose embedded text is empty is dropped by LlamaIndex's own index, so an image keeps its name
    embedded = set() if metadata["kind"] == "text" else {"file_name"}
    ours = [name for name in metadata if name in _OUR_FIELDS]
    return {
        "excluded_embed_metadata_keys": [name for name in ours if name not in embedded],
        "excluded_llm_metadata_keys": [name for name in ours if name not in _FOR_THE_LLM],
    }


def _source(place: str) -> dict[NodeRelationship, Any]:
    return {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=place, node_type=ObjectType.DOCUMENT)}


def _framework_fields(node: BaseNode) -> dict[str, Any]:
    """What to keep of a node beside its id, text and metadata, so that it comes back as it was; often nothing."""
    elsewhere = {"id_", "text", "text_resource", "metadata", "embedding"}
    kept = node.model_dump(mode="json", exclude=elsewhere, exclude_defaults=True)
    kept = {name: value for name, value in kept.items() if name not in (*elsewhere, "class_name")}
    if not kept and node.class_name() == TextNode.class_name():
        return {}
    return {"type": node.class_name(), "ref_doc_id": node.ref_doc_id or "", "node": kept}
