"""`VLM2VecVectorStore`: what goes in comes back, filters mean what they say, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.schema import ImageNode, IndexNode, Node, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.node_parser.vlm2vec import MediaNode
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from llama_index_vlm2vec.stamps import STAMP
from llama_index_vlm2vec.vector_store import MODES

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.errors import CollectionNotFound, EmptyInput, FingerprintMismatch, InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint

PIXELS = ("page", "image", "clip")


@pytest.fixture
def filled(store: VLM2VecVectorStore, nodes: list[Any]) -> VLM2VecVectorStore:
    """The store of each engine with the folder's items and the text about an apple, and nothing else."""
    store.clear()
    store.add(nodes)
    return store


def where(key: str, value: Any, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def names(found: list[Any]) -> list[str]:
    return sorted(node.metadata.get("place", node.node_id).rpartition("/")[2] for node in found)


def test_nodes_of_files_come_back_as_they_went_in(filled: VLM2VecVectorStore, nodes: list[Any]) -> None:
    for node in nodes:
        [back] = filled.get_nodes([node.node_id])
        assert isinstance(back, type(node)) and isinstance(back, ImageNode) == (node.metadata.get("kind") in PIXELS)
        unwritten = {"file_hash", "file_points", "modified_at", "times_s", STAMP}
        del back.metadata[STAMP]
        assert back.metadata == {name: value for name, value in node.metadata.items() if name not in unwritten}
        assert back.get_content() == node.get_content()
        assert back.ref_doc_id == node.ref_doc_id
        assert back.embedding == pytest.approx(node.embedding, abs=1e-6)
    assert filled.collection.sources()[nodes[0].metadata["source"]].is_complete


def plain(node: Any) -> dict[str, Any]:
    """All that a node is, but for its vector, which rounding may change, and the stamp over it."""
    told = node.model_copy(deep=True)
    del told.metadata[STAMP]
    return {name: value for name, value in told.to_dict().items() if name != "embedding"}


def test_other_nodes_come_back_whole(filled: VLM2VecVectorStore, embed_model: VLM2VecEmbedding) -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc 1")}
    given = [
        TextNode(id_="plain", text="plain"),
        TextNode(
            id_="full",
            text="full",
            metadata={"source": "mine", "page": 3, "tags": ["a", "b"], "kind": "of blue"},
            relationships=source,
            excluded_llm_metadata_keys=["tags"],
            start_char_idx=5,
        ),
        IndexNode(id_="index", text="index", index_id="table 7"),
        Node(id_="node", text_resource={"text": "node"}),
    ]
    given = embed_model(given)
    assert filled.add(given) == ["plain", "full", "index", "node"]
    back = {node.node_id: node for node in filled.get_nodes([node.node_id for node in given])}
    for node in given:
        assert back[node.node_id].embedding == pytest.approx(node.embedding, abs=1e-6)
        assert plain(back[node.node_id]) == plain(node)
        assert type(back[node.node_id]) is type(node)


def test_writing_twice_replaces(filled: VLM2VecVectorStore, nodes: list[Any]) -> None:
    filled.add(nodes)
    assert filled.collection.count() == len(nodes)


FILTERS = [
    (where("kind", "page"), ["report.pdf#page=1", "report.pdf#page=2"]),
    (where("kind", ["image", "clip"], FilterOperator.IN), ["blue.png", "red.png", "talk.mp4#t=0,3"]),
    (where("kind", "page", FilterOperator.NE), ["apple", "blue.png", "note.md#char=0,31", "red.png", "talk.mp4#t=0,3"]),
    (where("page", 1, FilterOperator.GT), ["report.pdf#page=2"]),
    (where("page", 1, FilterOperator.LTE), ["report.pdf#page=1"]),
    (where("author", "Ada"), ["apple"]),
    (where("start_s", 0.0), ["talk.mp4#t=0,3"]),
    (
        where("page", None, FilterOperator.IS_EMPTY),
        ["apple", "blue.png", "note.md#char=0,31", "red.png", "talk.mp4#t=0,3"],
    ),
    (
        MetadataFilters(
            filters=[where("kind", "page"), where("author", "Ada")],
            condition=FilterCondition.OR,
        ),
        ["apple", "report.pdf#page=1", "report.pdf#page=2"],
    ),
    (
        MetadataFilters(filters=[*where("kind", "page").filters, *where("page", 2).filters]),
        ["report.pdf#page=2"],
    ),
    (
        MetadataFilters(filters=[where("kind", ["page", "text"], FilterOperator.IN)], condition=FilterCondition.NOT),
        ["blue.png", "red.png", "talk.mp4#t=0,3"],
    ),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_a_filter_lets_pass_what_it_says(
    filled: VLM2VecVectorStore, nodes: list[Any], filters: MetadataFilters, expected: list[str]
) -> None:
    apple = next(node.node_id for node in nodes if "author" in node.metadata)
    wanted = [apple if each == "apple" else each for each in expected]
    assert names(filled.get_nodes(filters=filters)) == sorted(wanted)
    query = VectorStoreQuery(query_embedding=nodes[0].embedding, similarity_top_k=10, filters=filters)
    assert names(filled.query(query).nodes) == sorted(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("operator", [FilterOperator.IN, FilterOperator.ANY, FilterOperator.ALL])
def test_a_filter_of_no_values_passes_nothing_and_deletes_nothing(
    filled: VLM2VecVectorStore, nodes: list[Any], operator: FilterOperator
) -> None:
    none = where("author", [], operator)
    assert filled.get_nodes(filters=none) == []
    query = VectorStoreQuery(query_embedding=nodes[0].embedding, similarity_top_k=10, filters=none)
    assert filled.query(query).nodes == []
    filled.delete_nodes(filters=none)
    assert filled.collection.count() == len(nodes)


def test_a_filter_that_leaves_out_no_values_passes_everything(filled: VLM2VecVectorStore, nodes: list[Any]) -> None:
    everything = where("author", [], FilterOperator.NIN)
    assert len(filled.get_nodes(filters=everything)) == len(nodes)
    empty = MetadataFilters(filters=[])
    joined = {  # an empty filter passes everything
        FilterCondition.AND: names([each for each in nodes if "author" in each.metadata]),
        FilterCondition.OR: names(nodes),
        FilterCondition.NOT: [],
    }
    for how, expected in joined.items():
        filters = MetadataFilters(filters=[empty, *where("author", "Ada").filters], condition=how)
        assert names(filled.get_nodes(filters=filters)) == expected


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_diverse_nodes_are_those_of_the_definition(
    filled: VLM2VecVectorStore, nodes: list[Any], threshold: float
) -> None:
    vectors = np.asarray([node.embedding for node in nodes])
    question = vectors[0] + 0.3 * vectors[3] - 0.2 * vectors[5]
    question /= np.linalg.norm(question)
    chosen = [int(np.argmax(vectors @ question))]
    while len(chosen) < 3:  # Carbonell and Goldstein, SIGIR 1998
        rest = [at for at in range(len(nodes)) if at not in chosen]
        scores = {
            at: threshold * vectors[at] @ question
            - (1 - threshold) * max(vectors[at] @ vectors[each] for each in chosen)
            for at in rest
        }
        chosen.append(max(scores, key=scores.__getitem__))
    query = VectorStoreQuery(
        query_embedding=question.tolist(), similarity_top_k=3, mode=VectorStoreQueryMode.MMR, mmr_threshold=threshold
    )
    found = filled.query(query)
    assert found.ids == [nodes[at].node_id for at in chosen]
    assert found.similarities == pytest.approx([float(vectors[at] @ question) for at in chosen], abs=1e-5)
    query.mmr_threshold = None
    assert filled.query(query, mmr_threshold=threshold).ids == found.ids


def test_alpha_is_the_share_of_the_vectors(filled: VLM2VecVectorStore, nodes: list[Any]) -> None:
    def best(alpha: float | None) -> list[str]:
        query = VectorStoreQuery(
            query_embedding=nodes[0].embedding,
            query_str="emission targets",  # on the second page
            alpha=alpha,
            similarity_top_k=1,
            mode=VectorStoreQueryMode.HYBRID,
        )
        return filled.query(query).ids or []

    [second_page] = [node.node_id for node in nodes if node.metadata.get("page") == 2]
    assert (best(0.0), best(1.0)) == ([second_page], [nodes[0].node_id])


def test_a_file_is_filtered_by_its_path(filled: VLM2VecVectorStore, media: Path) -> None:
    for key in ("source", "file_path"):
        assert names(filled.get_nodes(filters=where(key, str(media / "red.png")))) == ["red.png"]
    assert names(filled.get_nodes(filters=where("file_name", "red.png"))) == ["red.png"]
    assert names(filled.get_nodes(filters=where("file_name", "RED", FilterOperator.TEXT_MATCH_INSENSITIVE))) == [
        "red.png"
    ]
    place = f"{media / 'report.pdf'}#page=2"
    assert names(filled.get_nodes(filters=where("place", place))) == ["report.pdf#page=2"]


def test_documents_and_nodes_are_deleted_by_every_name_they_have(
    filled: VLM2VecVectorStore, nodes: list[Any], media: Path
) -> None:
    pages = [node for node in nodes if node.metadata.get("kind") == "page"]
    filled.delete(pages[1].ref_doc_id)  # a place
    assert names(filled.get_nodes(filters=where("kind", "page"))) == ["report.pdf#page=1"]
    filled.delete("apple")  # a document of another reader
    filled.delete(str(media / "talk.mp4"))  # a file
    filled.delete("no such document")
    filled.delete_nodes([])
    filled.collection.delete([])
    assert filled.collection.count() == 4
    filled.delete_nodes([pages[0].node_id])
    filled.delete_nodes(filters=where("kind", "image"))
    assert names(filled.get_nodes()) == ["note.md#char=0,31"]
    with pytest.raises(InvalidInput, match="clear"):
        filled.delete_nodes()
    filled.clear()
    assert filled.get_nodes() == []


async def test_it_awaits_everything(filled: VLM2VecVectorStore, nodes: list[Any]) -> None:
    await filled.adelete_nodes([nodes[0].node_id])
    await filled.async_add(nodes[:1])
    assert len(await filled.aget_nodes()) == len(nodes)
    query = VectorStoreQuery(query_embedding=nodes[0].embedding, similarity_top_k=1)
    assert (await filled.aquery(query)).ids == [nodes[0].node_id]
    await filled.adelete(nodes[0].ref_doc_id)
    await filled.aclear()
    assert filled.collection.count() == 0


def test_a_query_can_be_limited_to_nodes_and_documents(
    filled: VLM2VecVectorStore, nodes: list[Any], media: Path
) -> None:
    one = VectorStoreQuery(query_embedding=nodes[0].embedding, similarity_top_k=9, node_ids=[nodes[3].node_id])
    assert filled.query(one).ids == [nodes[3].node_id]
    unlimited = VectorStoreQuery(query_embedding=nodes[0].embedding, similarity_top_k=9, node_ids=[], doc_ids=[])
    assert len(filled.query(unlimited).ids or []) == len(nodes)  # LlamaIndex's own retriever asks so
    named = VectorStoreQuery(
        query_embedding=nodes[0].embedding, similarity_top_k=9, doc_ids=["apple", str(media / "red.png")]
    )
    assert len(filled.query(named).ids or []) == 2


def test_what_a_store_cannot_do_is_said(filled: VLM2VecVectorStore) -> None:
    for mode in (VectorStoreQueryMode.SVM, VectorStoreQueryMode.LINEAR_REGRESSION):
        with pytest.raises(InvalidInput, match=f"'{mode.value}' is not supported.*expected one of default, sparse"):
            filled.query(VectorStoreQuery(query_embedding=[1.0], mode=mode))
    with pytest.raises(InvalidInput, match="alpha is 2"):
        filled.query(VectorStoreQuery(query_str="a", alpha=2.0, mode=VectorStoreQueryMode.HYBRID))
    with pytest.raises(InvalidInput, match="no option 'top'"):
        filled.query(VectorStoreQuery(query_str="a", mode=VectorStoreQueryMode.SPARSE), top=3)
    with pytest.raises(InvalidInput, match=r"1536 numbers.*another embedding asks.*embed_model=store\.embed_model"):
        filled.query(VectorStoreQuery(query_str="a", query_embedding=[0.1] * 1536))
    with pytest.raises(EmptyInput, match="n1 has neither pixels nor words"):
        filled.add([TextNode(id_="n1", text=" ")])
    with pytest.raises(InvalidInput, match="'n1' holds the lone surrogate"):
        filled.add([TextNode(id_="fine", text="a"), TextNode(id_="n1", text="\ud83d")])
    assert filled.get_nodes(["fine"]) == []


async def test_words_without_a_vector_are_embedded_by_the_store_and_nothing_finds_nothing(
    filled: VLM2VecVectorStore, embed_model: VLM2VecEmbedding
) -> None:
    vector = embed_model.get_query_embedding("a red car")
    for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.MMR):
        alone, asked = (
            filled.query(VectorStoreQuery(query_str="a red car", query_embedding=each, mode=mode, similarity_top_k=9))
            for each in (None, vector)
        )
        assert alone.ids == asked.ids != []
        assert alone.similarities == pytest.approx(asked.similarities, abs=1e-6)
    blank = embed_model.get_query_embedding("")
    for mode in (*MODES, VectorStoreQueryMode.MMR):
        for nothing in (VectorStoreQuery(query_str=" ", mode=mode), VectorStoreQuery(blank, query_str="", mode=mode)):
            assert filled.query(nothing).nodes == [] == (await filled.aquery(nothing)).ids


def test_a_missing_collection_or_one_of_another_model_is_refused(embed_model: VLM2VecEmbedding, tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound, match="make one with"):
        VLM2VecVectorStore.open(tmp_path / "gone", create=False)
    with pytest.raises(CollectionNotFound, match="photos"):
        VLM2VecVectorStore.open(":memory:", embed_model, name="photos", create=False)
    there = tmp_path / "other"
    open_collection(there, fingerprint=Fingerprint(model="another/model", weights="w", dim=8)).close()
    with pytest.raises(FingerprintMismatch, match="another/model"):
        VLM2VecVectorStore.open(there, embed_model)


def test_a_media_node_of_another_store_is_known_again(nodes: list[Any]) -> None:
    from llama_index_vlm2vec.nodes import to_media_node

    plain = TextNode.from_dict(nodes[0].to_dict())
    assert type(plain) is TextNode
    again = to_media_node(plain)
    assert isinstance(again, MediaNode)
    assert again.to_dict() == nodes[0].to_dict()


def test_a_store_of_words_only_needs_no_model(nodes: list[Any]) -> None:
    with_words = [node.model_copy(update={"embedding": None}) for node in nodes]
    words_only = VLM2VecVectorStore.open(":memory:", model="none")
    words_only.add(with_words)
    found = words_only.query(VectorStoreQuery(query_str="emission targets", mode=VectorStoreQueryMode.SPARSE))
    assert names(found.nodes) == ["report.pdf#page=2"]  # type: ignore[arg-type]
