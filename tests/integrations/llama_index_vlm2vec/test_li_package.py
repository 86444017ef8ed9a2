"""The parts import quickly, live beside LlamaIndex's own, and have types; the examples run as pasted."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = {
    "llama_index.embeddings.vlm2vec": {"VLM2VecEmbedding"},
    "llama_index.indices.vlm2vec": {"VLM2VecIndex"},
    "llama_index.node_parser.vlm2vec": {"MediaDocument", "MediaNode", "MediaNodeParser", "ImageBudget"},
    "llama_index.postprocessor.vlm2vec": {"MergeClips", "TextRerank", "VisualRerank"},
    "llama_index.readers.vlm2vec": {"VLM2VecReader"},
    "llama_index.retrievers.vlm2vec": {"VLM2VecIndexRetriever", "VLM2VecRetriever"},
    "llama_index.tools.vlm2vec": {"VLM2VecToolSpec"},
    "llama_index.vector_stores.vlm2vec": {"VLM2VecVectorStore"},
}


def run(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert not done.returncode, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_is_there(part: str) -> None:
    module = importlib.import_module(part)
    assert set(module.__all__) == PARTS[part]
    assert all(callable(getattr(module, name)) for name in module.__all__)
    assert all(getattr(module, name).class_name() for name in module.__all__ if hasattr(module, "class_name"))


def test_the_namespaces_are_shared_with_llamaindexs_own_packages() -> None:
    namespace = ROOT / "integrations" / "llama_index"
    above = [namespace, *(each for each in namespace.iterdir() if each.is_dir())]
    assert not any((folder / name).exists() for folder in above for name in ("__init__.py", "py.typed"))
    run("-c", "import llama_index.vector_stores.vlm2vec, llama_index.vector_stores.qdrant, llama_index.core.readers")


def test_importing_all_of_it_loads_no_model_library_and_warns_of_nothing() -> None:
    heavy = ("torch", "transformers", "peft", "qdrant_client", "qdrant_edge", "av", "pypdfium2", "pymupdf")
    code = f"import sys; import {', '.join(PARTS)}; print([each for each in {heavy} if each in sys.modules])"
    assert run("-W", "error", "-c", code).strip() == "[]"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama_index_chatbot.py", ["They did.", "hcl-colors.pdf#page=11", "big-buck-bunny.mp4#t=0,30"]),
        ("llama_index_agent_tool.py", ["LaTeX font sizes", "latexsheet.pdf#page=1", "Ten."]),
    ],
)
def test_the_example_runs_as_pasted(name: str, found: list[str], tmp_path: Path) -> None:
    printed = run(str(ROOT / "examples" / name), cwd=tmp_path)
    for words in found:
        assert words in printed


def test_the_chatbot_is_short() -> None:
    assert len((ROOT / "examples" / "llama_index_chatbot.py").read_text(encoding="utf-8").splitlines()) <= 30


SNIPPET = """
from llama_index.core import SimpleDirectoryReader, StorageContext
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms.mock import MockLLM
from llama_index.core.schema import NodeWithScore
from llama_index.embeddings.vlm2vec import VLM2VecEmbedding
from llama_index.indices.vlm2vec import VLM2VecIndex
from llama_index.node_parser.vlm2vec import MediaNodeParser
from llama_index.postprocessor.vlm2vec import MergeClips, TextRerank
from llama_index.readers.vlm2vec import VLM2VecReader
from llama_index.retrievers.vlm2vec import VLM2VecRetriever
from llama_index.vector_stores.qdrant import QdrantVectorStore
from llama_index.vector_stores.vlm2vec import VLM2VecVectorStore
from vlm2vec_rag.collection import Filter

embed_model = VLM2VecEmbedding(device="cuda")
store = VLM2VecVectorStore.open("./my.vlm2vec", embed_model)
documents = VLM2VecReader("./media").load_data()
reader = VLM2VecReader()
documents += SimpleDirectoryReader("./media", file_extractor={".pdf": reader, ".mp4": reader}).load_data()
storage = StorageContext.from_defaults(vector_store=store)
index = VLM2VecIndex.from_documents(documents, storage, embed_model=embed_model)
stock = QdrantVectorStore("stock", client=store.collection.client, aclient=store.collection.aclient)
IngestionPipeline(transformations=[MediaNodeParser(), embed_model], vector_store=stock).run(documents=documents)
hits: list[NodeWithScore] = index.as_retriever(similarity_top_k=5).retrieve(embed_model.query_bundle(image="a.png"))
steps = [MergeClips(gap_s=1), TextRerank(lambda question, texts: [float(len(each)) for each in texts], top_n=3)]
engine = index.as_query_engine(llm=MockLLM(), multimodal=True, node_postprocessors=steps)
answer: RESPONSE_TYPE = engine.query("Which car is red?")
with VLM2VecRetriever("./my.vlm2vec", filter=Filter(kinds=("page",))) as retriever:
    vector: list[float] = embed_model.get_query_embedding("a red car")
    places: list[str] = [hit.metadata["place"] for hit in retriever.retrieve("the falling line")]
    retriever.as_query_engine(MockLLM()).query("Why?")
"""


@pytest.mark.slow
def test_what_users_write_passes_a_strict_type_checker(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    examples = [str(each) for each in sorted((ROOT / "examples").glob("llama_index_*.py"))]
    run("-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "snippet.py"), *examples, cwd=ROOT)
