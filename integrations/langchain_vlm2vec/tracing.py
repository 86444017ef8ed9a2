"""Embeddings as runs that LangChain's callbacks and LangSmith see.

LangChain itself reports chat models, tools, chains and retrievers, but no embeddings: they are given no callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManager, Callbacks
from langchain_core.runnables.config import ensure_config

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Vectors


def traced(
    name: str,
    inputs: dict[str, Any],
    embed: Callable[[], Vectors],
    *,
    model: str,
    parent: Callbacks = None,
    own: Callbacks = None,
) -> Vectors:
    """Embed, giving (B, D), inside a run of that name: below `parent`, else below what this thread works for.

    Handlers see `on_chain_start`, with the model in the metadata under the names that LangSmith knows, and
    `on_chain_end` or `on_chain_error`. The run's output says how many vectors there
    are and how wide, and holds none: a trace of thousands of floats helps nobody.
    """
    around = ensure_config()
    manager = CallbackManager.configure(
        parent or around.get("callbacks"),
        own,
        inheritable_tags=around.get("tags"),
        inheritable_metadata=around.get("metadata"),
        local_metadata={"ls_provider": "vlm2vec_rag", "ls_model_name": model},
    )
    run = manager.on_chain_start({"name": "VLM2VecEmbeddings"}, inputs, name=name)
    try:
        vectors = embed()
    except BaseException as error:
        run.on_chain_error(error)
        raise
    run.on_chain_end({"vectors": len(vectors), "dim": vectors.shape[1]})
    return vectors
