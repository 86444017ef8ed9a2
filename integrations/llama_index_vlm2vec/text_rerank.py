"""`TextRerank`: a text reranker of the user's own over nodes of which some have no text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from llama_index_vlm2vec.nodes import words
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.reranking import name_of

dispatcher = get_dispatcher(__name__)

Score: TypeAlias = Callable[[str, list[str]], Sequence[float]]


class CrossEncoder(Protocol):
    """As sentence-transformers' CrossEncoder, which is one."""

    def predict(self, sentences: Any) -> Any:
        """A score for each (question, text) pair."""


class TextRerank(BaseNodePostprocessor):
    """Reorders the nodes that have words by how well these answer the question, and leaves the others where they are.

    An image without a caption has nothing a text reranker could read, and would sink to the end for that alone. So
    the nodes with words are put in a new order on the ranks they hold together, and have the reranker's score then;
    images keep their ranks and scores. A question without words changes nothing but the number of nodes.

    >>> TextRerank(CrossEncoder("BAAI/bge-reranker-v2-m3"), top_n=5)
    >>> TextRerank(lambda question, texts: [my_score(question, text) for text in texts])
    """

    top_n: int | None = Field(default=None, ge=1, description="At most so many nodes; None keeps all.")

    _score: Score = PrivateAttr()
    _name: str = PrivateAttr()

    def __init__(self, reranker: Score | CrossEncoder, top_n: int | None = None, **settings: Any) -> None:
        """Take a reranker: a function of a question and texts to scores, higher is better; or a CrossEncoder."""
        fields: dict[str, Any] = {"top_n": top_n, **settings}
        super().__init__(**fields)
        self._name = name_of(reranker)
        predict = getattr(reranker, "predict", None)
        if predict is not None:
            self._score = lambda question, texts: predict([(question, text) for text in texts])
        elif callable(reranker):
            self._score = reranker
        else:
            raise InvalidInput(f"reranker is {reranker!r}; expected a function (question, texts) -> scores")

    @classmethod
    def class_name(cls) -> str:
        return "TextRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_bundle.query_str if query_bundle is not None else ""
        ranks = [rank for rank, each in enumerate(nodes) if _text(each).strip()]
        if not question.strip() or not ranks:
            return nodes[: self.top_n]
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.QUERY_STR: question,
            EventPayload.TOP_K: self.top_n,
        }
        top_n = self.top_n or len(nodes)
        dispatcher.event(ReRankStartEvent(query=question, nodes=nodes, top_n=top_n, model_name=self._name))
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            reranked = list(nodes)
            for rank, each in zip(ranks, self._reranked(question, [nodes[rank] for rank in ranks]), strict=True):
                reranked[rank] = each
            reranked = reranked[: self.top_n]
            event.on_end(payload={EventPayload.NODES: reranked})
        dispatcher.event(ReRankEndEvent(nodes=reranked))
        return reranked

    def _reranked(self, question: str, nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        scores = [float(score) for score in self._score(question, [_text(each) for each in nodes])]
        if len(scores) != len(nodes) or any(math.isnan(score) for score in scores):
            raise InvalidInput(
                f"the reranker gave {len(scores)} scores for {len(nodes)} texts, NaN among them: "
                f"{any(map(math.isnan, scores))}; expected one number for each"
            )
        # sorted is stable: equal scores keep the order of the search
        best_first = sorted(range(len(nodes)), key=lambda index: -scores[index])
        return [NodeWithScore(node=nodes[index].node, score=scores[index]) for index in best_first]


def _text(scored: NodeWithScore) -> str:
    return words(scored.node)
