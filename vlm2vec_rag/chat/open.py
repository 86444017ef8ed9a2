"""From the name of a chat model, or from a model object of a framework, to a model that answers here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlm2vec_rag.chat.messages import ChatModel
from vlm2vec_rag.errors import InvalidInput, MissingExtra, ModelNotFound
from vlm2vec_rag.extras import require

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder

NONE, LOCAL = "none", "local"


def open_chat_model(model: Any = None, *, encoder: Encoder | None = None, **settings: Any) -> ChatModel | None:
    """A chat model, ready to answer.

    Args:
        model: None or `none` for none, which quotes what was found; `local` for Qwen2-VL-2B-Instruct, the base of
            VLM2Vec-V2, or `local:PATH_OR_ID` for another Qwen2-VL; a LangChain spec string such as `openai:gpt-4o`
            or `ollama:qwen2.5vl`; a LangChain chat model; a LlamaIndex LLM; or a `ChatModel` of your own.
        encoder: A loaded encoder, whose vision tower a local model shares.
        settings: For a spec string, what `init_chat_model` takes (temperature, base_url, ...); for a local model,
            what `LocalChat` takes.

    Raises:
        MissingExtra: LangChain, or its package for that provider, is not installed.
        ModelNotFound: The provider does not know the model, or refuses its settings.
        InvalidInput: It is none of these.
    """
    if model is None or model == NONE:
        return None
    if isinstance(model, str):
        if model == LOCAL or model.startswith(f"{LOCAL}:"):
            from vlm2vec_rag.chat.local import load_local_chat

            return load_local_chat(model[len(LOCAL) + 1 :] or None, encoder=encoder, **settings)
        return _from_spec(model, settings)
    if isinstance(model, ChatModel):
        return model
    if hasattr(model, "stream_chat"):
        from vlm2vec_rag.chat.llama_index import LlamaIndexChat

        return LlamaIndexChat(model)
    if hasattr(model, "stream") and hasattr(model, "invoke"):
        from vlm2vec_rag.chat.langchain import LangChainChat

        return LangChainChat(model)
    raise InvalidInput(
        f"a {type(model).__name__} is no chat model; expected a spec string such as 'openai:gpt-4o', 'local', 'none', "
        "a LangChain chat model, a LlamaIndex LLM, or an object with name, sees_images and stream"
    )


def _from_spec(spec: str, settings: dict[str, Any]) -> ChatModel:
    from vlm2vec_rag.chat.langchain import LangChainChat

    init_chat_model = require("langchain.chat_models", "chat").init_chat_model
    try:
        return LangChainChat(init_chat_model(spec, **settings), spec)
    except ImportError as error:  # LangChain's message names the provider's package and its pip line
        raise MissingExtra(f"the chat model {spec!r} needs another package: {error}") from error
    except Exception as error:  # an unknown provider, a missing key: each provider has its own types
        reason = " ".join(str(error).split())
        raise ModelNotFound(
            f"cannot open the chat model {spec!r}: {reason[:400]}; expected 'provider:model' as LangChain's "
            "init_chat_model takes it, with the provider's key in its environment variable, or 'local', or 'none'"
        ) from error
