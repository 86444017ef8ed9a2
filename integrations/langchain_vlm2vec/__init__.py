"""VLM2Vec-V2 for LangChain: embeddings, media loader, vector store on Qdrant, retriever, and hits for a chat model.

>>> store = VLM2VecVectorStore.open("./my.vlm2vec", VLM2VecEmbeddings())
>>> store.add_documents(MediaLoader("./media").load())
>>> hits = VLM2VecRetriever(vectorstore=store, k=3).invoke("the chart with the falling line")
>>> model.invoke([HumanMessage(content_blocks=[*documents_to_content_blocks(hits), create_text_block("Why?")])])

Importing this is quick: torch, the model and qdrant-client are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_vlm2vec.content import documents_to_content_blocks as documents_to_content_blocks
    from langchain_vlm2vec.embeddings import VLM2VecEmbeddings as VLM2VecEmbeddings
    from langchain_vlm2vec.loader import MediaLoader as MediaLoader
    from langchain_vlm2vec.loader import MediaParser as MediaParser
    from langchain_vlm2vec.loader import document_id as document_id
    from langchain_vlm2vec.rerank import VisualRerank as VisualRerank
    from langchain_vlm2vec.retriever import VLM2VecRetriever as VLM2VecRetriever
    from langchain_vlm2vec.self_query import VLM2VecTranslator as VLM2VecTranslator
    from langchain_vlm2vec.tools import vlm2vec_tool as vlm2vec_tool
    from langchain_vlm2vec.vectorstore import VLM2VecVectorStore as VLM2VecVectorStore

_HOMES = {
    "MediaLoader": "langchain_vlm2vec.loader",
    "MediaParser": "langchain_vlm2vec.loader",
    "VLM2VecEmbeddings": "langchain_vlm2vec.embeddings",
    "VLM2VecRetriever": "langchain_vlm2vec.retriever",
    "VLM2VecTranslator": "langchain_vlm2vec.self_query",
    "VLM2VecVectorStore": "langchain_vlm2vec.vectorstore",
    "VisualRerank": "langchain_vlm2vec.rerank",
    "vlm2vec_tool": "langchain_vlm2vec.tools",
    "document_id": "langchain_vlm2vec.loader",
    "documents_to_content_blocks": "langchain_vlm2vec.content",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  a test holds it against the imports above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
