"""`VisualRerank`: what was found in a new order, by any model that looks at it."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from llama_index_vlm2vec.nodes import to_payload, words
from vlm2vec_rag.items import Hit
from vlm2vec_rag.reranking import Score, name_of, rerank

dispatcher = get_dispatcher(__name__)


class VisualRerank(BaseNodePostprocessor):
    """Reorders nodes by how well they answer, seen and read.

    The model is a function of the question and candidates, which have words, images or both, to one number each, more
    is better. See `vlm2vec_rag.reranking.Candidate`.

    >>> VisualRerank(lambda question, candidates: [look(question, each.images, each.text) for each in candidates])
    """

    top_n: int | None = Field(default=None, ge=1, description="At most so many nodes; None keeps all.")
    max_pixels: int = Field(default=640 * 28 * 28, description="Budget of each image that is looked at.")
    frames: int = Field(default=3, description="Images of each clip.")

    _score: Score = PrivateAttr()

    def __init__(self, score: Score, top_n: int | None = None, **settings: Any) -> None:
        """Take a model."""
        fields: dict[str, Any] = {"top_n": top_n, **settings}
        super().__init__(**fields)
        self._score = score

    @classmethod
    def class_name(cls) -> str:
        return "VisualRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_bundle.query_str if query_bundle is not None else ""
        if not question.strip() or not nodes:
            return nodes[: self.top_n]
        top_n = self.top_n or len(nodes)
        dispatcher.event(ReRankStartEvent(query=question, nodes=nodes, top_n=top_n, model_name=name_of(self._score)))
        order = rerank(
            question, [_hit(each) for each in nodes], self._score, max_pixels=self.max_pixels, frames=self.frames
        )
        reranked = [NodeWithScore(node=nodes[at].node, score=score) for at, score in order[:top_n]]
        dispatcher.event(ReRankEndEvent(nodes=reranked))
        return reranked


def _hit(scored: NodeWithScore) -> Hit:
    id_, payload = to_payload(scored.node)
    return Hit(
        id=id_,
        score=scored.score or 0.0,
        kind=payload.kind,
        source=payload.source,
        place=payload.place,
        text=words(scored.node),
        page=payload.page,
        start_s=payload.start_s,
        end_s=payload.end_s,
    )
