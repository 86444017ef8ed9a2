"""`MergeClips`: clips of one video that overlap or follow each other become one."""

from __future__ import annotations

from itertools import groupby

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_vlm2vec.nodes import to_seen_node, words
from vlm2vec_rag.documents import FILE_FIELDS, file_payload, with_description
from vlm2vec_rag.items import place_of, seconds


class MergeClips(BaseNodePostprocessor):
    """Makes one node of clips of a video that lie beside each other, in the place of the best of them.

    A scene that spans two clips is often found twice; a chat model then sees it once, whole, and a player starts where
    it starts. The merged node has the best score, the words of all, and in its metadata, as `merged`, their ids.
    """

    gap_s: float = Field(default=0.0, ge=0.0, description="Seconds that may lie between two clips that are merged.")
    longest_s: float | None = Field(default=None, gt=0.0, description="No merged clip is longer; None: no limit.")

    @classmethod
    def class_name(cls) -> str:
        return "MergeClips"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        ranks = {id(each): rank for rank, each in enumerate(nodes)}
        clips = sorted((each for each in nodes if _is_clip(each)), key=lambda each: (_source(each), *_span(each)))
        kept = {rank: each for rank, each in enumerate(nodes) if not _is_clip(each)}
        for _, of_video in groupby(clips, key=_source):
            for group in self._groups(list(of_video)):
                best = min(group, key=lambda each: ranks[id(each)])
                kept[ranks[id(best)]] = best if len(group) == 1 else _merged(group, best)
        return [kept[rank] for rank in sorted(kept)]

    def _groups(self, clips: list[NodeWithScore]) -> list[list[NodeWithScore]]:
        """Clips of one video, by their start, in groups that belong together."""
        groups: list[list[NodeWithScore]] = []
        start_s = end_s = 0.0
        for clip in clips:
            clip_start_s, clip_end_s = _span(clip)
            together_s = max(end_s, clip_end_s) - start_s
            fits = self.longest_s is None or together_s <= self.longest_s
            if groups and clip_start_s <= end_s + self.gap_s and fits:
                groups[-1].append(clip)
                end_s = max(end_s, clip_end_s)
            else:
                groups.append([clip])
                start_s, end_s = clip_start_s, clip_end_s
        return groups


def join_overlapping(first: str, second: str) -> str:
    """Two texts as one; words that end the first and begin the second, as in clips that overlap, stand once."""
    left, right = first.split(), second.split()
    shared = next((size for size in range(min(len(left), len(right)), 0, -1) if left[-size:] == right[:size]), 0)
    rest = " ".join(right[shared:])
    return f"{first} {rest}".strip() if rest else first


def _merged(group: list[NodeWithScore], best: NodeWithScore) -> NodeWithScore:
    start_s, end_s = _span(group[0])[0], max(_span(each)[1] for each in group)
    text = ""
    for each in group:
        text = join_overlapping(text, words(each.node))
    told = {name: value for name, value in best.node.metadata.items() if name not in FILE_FIELDS}
    node = to_seen_node(best.node).model_copy(deep=True)
    node.embedding = None
    node.metadata = {
        **told,
        "place": place_of(_source(best), f"t={seconds(start_s)},{seconds(end_s)}"),
        "start_s": start_s,
        "end_s": end_s,
        "content_hash": "",  # no item of the collection holds exactly this
        "merged": [each.node.node_id for each in group],
    }
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, "merged"]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, "merged"]
    node.set_content(with_description(text, node.metadata))
    node.id_ = file_payload("", node.metadata).id
    scores = [each.score for each in group if each.score is not None]
    return NodeWithScore(node=node, score=max(scores, default=None))


def _is_clip(scored: NodeWithScore) -> bool:
    metadata = scored.node.metadata
    return metadata.get("kind") == "clip" and all(name in metadata for name in ("source", "start_s", "end_s"))


def _source(scored: NodeWithScore) -> str:
    return str(scored.node.metadata["source"])


def _span(scored: NodeWithScore) -> tuple[float, float]:
    return float(scored.node.metadata["start_s"]), float(scored.node.metadata["end_s"])
