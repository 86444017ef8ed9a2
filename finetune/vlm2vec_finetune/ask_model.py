"""Questions that a language model writes about one's own pages: any LangChain chat model."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from vlm2vec_finetune.make_pairs import unambiguous
from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_finetune.passages import Passage
from vlm2vec_rag.errors import InvalidInput, MissingExtra, VlmRagError
from vlm2vec_rag.extras import require

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

logger = logging.getLogger(__name__)

PROMPT = """Below, between the lines of dashes, is the text of one page of a document. Write {count} questions that \
this page answers and that someone would ask who has not seen it. Each must make sense on its own: name things by \
their names, never "this page", "the figure" or "the author". One question on a line, no numbers, nothing else. If \
the page says nothing worth asking, write NONE.
--------
{text}
--------"""
MAX_CHARS = 6000  # of a page: a dense one has 5,000
MIN_CHARS = 80  # a page with less says nothing to ask about
LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def pairs_from_model(passages: Sequence[Passage], model: BaseChatModel, *, per_page: int = 2) -> list[Pair]:
    """Ask a chat model for questions about each page.

    A page's text is material, not instructions: what it says is only ever turned into questions.

    Args:
        passages: With their words.
        model: Any LangChain chat model.
        per_page: How many questions to ask for.

    Raises:
        VlmRagError: The model failed on every page.
    """
    asked = [passage for passage in passages if len(passage.text.strip()) >= MIN_CHARS]
    pairs: list[Pair] = []
    failures: list[Exception] = []
    prompts = [PROMPT.format(count=per_page, text=_neutral(passage.text[:MAX_CHARS])) for passage in asked]
    # return_exceptions: one refused page must not lose the others, which have been paid for
    for passage, answer in zip(asked, model.batch(list(prompts), return_exceptions=True), strict=True):
        if isinstance(answer, Exception):
            failures.append(answer)
            continue
        for question in questions_in(str(answer.text))[:per_page]:
            pairs.append(Pair(query=Content(text=question), target=passage.content, document=passage.document))
    if failures:
        logger.warning("%d of %d pages got no answer: %s", len(failures), len(asked), failures[0])
        if len(failures) == len(asked):
            raise VlmRagError(f"the chat model failed on all {len(asked)} pages: {failures[0]}") from failures[0]
    return unambiguous(pairs)


def questions_in(answer: str) -> list[str]:
    """The questions of an answer, one on a line, without list marks; none where it says NONE."""
    lines = [LIST_MARK.sub("", line).strip(' "') for line in answer.splitlines()]
    return [line for line in lines if line.endswith("?") and 10 <= len(line) <= 300]


def load_chat_model(name: str) -> BaseChatModel:
    """A chat model by name: `package.module:object` of your own, or `provider:model` for LangChain's init_chat_model.

    Raises:
        InvalidInput: There is no such object, or it is no chat model.
        MissingExtra: `provider:model` needs the package `langchain`, which is not installed.
    """
    base = require("langchain_core.language_models", "langchain").BaseChatModel
    module, _, attribute = name.partition(":")
    if not attribute:
        raise InvalidInput(f"the chat model {name!r} has no colon; expected provider:model or package.module:object")
    if "." in module or _has(module, attribute):
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"there is no chat model {name}: {error}") from error
        model = found if isinstance(found, base) else found()
    else:
        try:
            from langchain.chat_models import init_chat_model
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"{name} is a model of a provider, which needs LangChain's own package: pip install langchain and the "
                "provider's, such as langchain-openai; or give a chat model of yours as package.module:object"
            ) from error
        try:
            model = init_chat_model(name)
        except (ValueError, ImportError) as error:  # an unknown provider, or its package is not installed
            raise InvalidInput(f"there is no chat model {name}: {str(error).splitlines()[0]}") from error
    if not isinstance(model, base):
        raise InvalidInput(f"{name} is a {type(model).__name__}; expected a LangChain chat model")
    return cast("BaseChatModel", model)


def _has(module: str, attribute: str) -> bool:
    """Whether it is an object of a module; `openai:gpt-…` is none, although a module may be called openai."""
    return importlib.util.find_spec(module) is not None and hasattr(importlib.import_module(module), attribute)


def _neutral(text: str) -> str:
    """A page that holds our line of dashes could end its own quotation."""
    return re.sub(r"-{4,}", "---", text)
