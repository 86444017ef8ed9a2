"""`VLM2VecRetriever`: answers from collections that others built, and says what is wrong with those it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.node_parser.vlm2vec import MediaNode
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore

from vlm2vec_rag.cli import main
from vlm2vec_rag.collection import Filter, open_collection
from vlm2vec_rag.errors import CollectionNotFound, FingerprintMismatch, InvalidInput
from vlm2vec_rag.retrieval import Retriever


@pytest.fixture(scope="module")
def built(media: Path, tiny_base: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection that the command line built."""
    folder = tmp_path_factory.mktemp("built") / "my.vlm2vec"
    arguments = ["index", media, "-c", folder, "--model", tiny_base, "--adapter", tiny_adapter, "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["vlm2vec-rag", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            assert not ended.code
    return folder


def test_what_the_command_line_built_needs_no_model_named_and_nothing_indexed_again(built: Path, media: Path) -> None:
    with VLM2VecRetriever(built) as retriever:
        before = retriever.collection.count()
        found = retriever.retrieve("emission targets")
        assert retriever.embed_model is not None
        hits = Retriever(retriever.collection, retriever.embed_model.encoder).search("emission targets", limit=5)
        assert [(each.node_id, each.score) for each in found] == [(hit.id, hit.score) for hit in hits]
        assert found[0].node.metadata["place"] == f"{media / 'report.pdf'}#page=2"
        assert isinstance(found[0].node, MediaNode)
        assert found[0].text == "Emission targets"
        assert retriever.collection.count() == before == 6


def test_one_kind_is_asked_as_the_library_asks_it(built: Path) -> None:
    wanted = Filter(kinds=("clip",))
    with VLM2VecRetriever(built, filter=wanted, mode="dense") as retriever:
        assert retriever.embed_model is not None
        [hit] = Retriever(retriever.collection, retriever.embed_model.encoder).search(
            "a talk", mode="dense", filter=wanted
        )
        [found] = retriever.retrieve("a talk")
        assert (found.node_id, found.score) == (hit.id, hit.score)


def test_a_closed_one_lets_go_of_the_folder(built: Path) -> None:
    retriever = VLM2VecRetriever(built)
    retriever.close()
    with VLM2VecRetriever(built) as again:
        assert again.retrieve("emission targets")


def test_an_open_collection_stays_open(embed_model: VLM2VecEmbedding, nodes: list[Any]) -> None:
    store = VLM2VecVectorStore.open(":memory:", embed_model)
    store.add(nodes)
    with VLM2VecRetriever(store.library, embed_model):
        pass
    assert store.collection.count() == len(nodes)


def test_a_collection_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound, match=r"gone; make one with: vlm2vec-rag index"):
        VLM2VecRetriever(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_another_name_at_the_same_place_is_named(built: Path) -> None:
    with pytest.raises(CollectionNotFound, match=r"no collection 'photos'"):
        VLM2VecRetriever(built, name="photos")


def test_another_model_is_refused(built: Path, tiny_base: Path) -> None:
    with pytest.raises(FingerprintMismatch, match="adapter"):
        VLM2VecRetriever(built, VLM2VecEmbedding(tiny_base, device="cpu", dtype="float32"))


def test_typed_filters_are_those_of_the_command_line_beside_llamaindexs_own(built: Path) -> None:
    own = MetadataFilters(filters=[MetadataFilter(key="page", value=1, operator=FilterOperator.GT)])
    for typed, filters, expected in (
        ({"kind": "page"}, None, {"report.pdf#page=1", "report.pdf#page=2"}),
        ({"kind": "page"}, own, {"report.pdf#page=2"}),
        ({"source": "*.png"}, None, {"red.png", "blue.png"}),
        ({"pages": "2-"}, None, {"report.pdf#page=2"}),
        ({"time": "0:01-0:02", "until": "2100-01-01"}, None, {"talk.mp4#t=0,3"}),
        ({"since": "2100-01-01"}, None, set()),
        ({"filter": {"kind": ["image"]}}, None, {"red.png", "blue.png"}),
    ):
        with VLM2VecRetriever(built, similarity_top_k=10, filters=filters, mode="dense", **typed) as retriever:
            found = {each.node.metadata["place"].rpartition("/")[2] for each in retriever.retrieve("anything")}
        assert found == expected, typed


def test_an_agent_that_asks_for_a_file_name_or_for_nothing_goes_on(built: Path, media: Path) -> None:
    with VLM2VecRetriever(built) as retriever:
        assert retriever.retrieve("") == retriever.retrieve("  ") == []
        for asked in ("report.pdf", str(media / "red.png"), "https://example.org/a.png"):
            assert retriever.retrieve(asked)


def test_a_collection_that_names_no_model_asks_for_one(embed_model: VLM2VecEmbedding, tmp_path: Path) -> None:
    open_collection(tmp_path / "c", fingerprint=embed_model.fingerprint).close()
    with pytest.raises(InvalidInput, match="does not say where its model"):
        VLM2VecRetriever(tmp_path / "c")
    with VLM2VecRetriever(tmp_path / "c", mode="bm25") as retriever:
        assert retriever.retrieve("a cat") == []


def test_a_question_of_pixels_needs_more_than_words() -> None:
    retriever = VLM2VecRetriever(VLM2VecVectorStore.open(":memory:", model="none").library)
    with pytest.raises(InvalidInput, match="searches by words only"):
        retriever.retrieve(QueryBundle("", image_path="cat.png"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "fuzzy"}, "expected one of hybrid, dense, bm25"),
        ({"similarity_top_k": 0}, "similarity_top_k is 0"),
        ({"filter": Filter(), "kind": "page"}, "put them all into filter"),
        ({"kinds": "page"}, "no filter is called 'kinds'"),
        ({"pages": "x"}, "pages 'x' is no range"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        VLM2VecRetriever(tmp_path, **settings)


def test_a_text_of_llamaindex_is_langchains_too(embed_model: VLM2VecEmbedding) -> None:
    from langchain_vlm2vec import VLM2VecVectorStore as LangChainStore

    store = VLM2VecVectorStore.open(":memory:", embed_model)
    given = TextNode(
        id_="apple", text="an apple a day", metadata={"author": "Ada"}, excluded_llm_metadata_keys=["author"]
    )
    store.add(embed_model([given]))
    [document] = LangChainStore(store.library, mode="bm25").similarity_search("apple")
    assert (document.id, document.page_content, document.metadata) == ("apple", "an apple a day", {"author": "Ada"})
