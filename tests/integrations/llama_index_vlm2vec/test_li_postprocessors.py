"""Reranking by words, and merging clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.postprocessor.vlm2vec import MergeClips, TextRerank
from llama_index_vlm2vec.merge_clips import join_overlapping
from llama_index_vlm2vec.nodes import to_node

from vlm2vec_rag.collection import Payload
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import seconds


def clip(start_s: float, end_s: float, score: float, text: str = "", source: str = "/a.mp4") -> NodeWithScore:
    payload = Payload(
        source=source,
        kind="clip",
        content_hash=f"{start_s}",
        fragment=f"t={seconds(start_s)},{seconds(end_s)}",
        start_s=start_s,
        end_s=end_s,
        text=text,
    )
    return NodeWithScore(node=to_node(payload, payload.id), score=score)


def text(words: str, score: float) -> NodeWithScore:
    return NodeWithScore(node=TextNode(id_=words or "image", text=words), score=score)


def places(found: list[NodeWithScore]) -> list[str]:
    return [each.node.metadata.get("place") or each.node_id for each in found]


def test_clips_beside_each_other_become_one_where_the_best_stood() -> None:
    found = [text("a", 0.9), clip(25, 55, 0.8), text("b", 0.7), clip(0, 30, 0.6), clip(90, 120, 0.5)]
    merged = MergeClips().postprocess_nodes(found)
    assert places(merged) == ["a", "/a.mp4#t=0,55", "b", "/a.mp4#t=90,120"]
    both = merged[1]
    assert both.score == 0.8
    assert (both.node.metadata["start_s"], both.node.metadata["end_s"]) == (0, 55)
    assert both.node.metadata["merged"] == [found[3].node_id, found[1].node_id]
    assert both.node_id not in both.node.metadata["merged"]
    assert "merged" not in both.node.get_content(MetadataMode.LLM)


@pytest.mark.parametrize(
    ("clips", "settings", "expected"),
    [
        ([(0, 30), (25, 55), (50, 80)], {}, [(0, 80)]),
        ([(0, 30), (30, 60)], {}, [(0, 60)]),
        ([(0, 30), (31, 60)], {}, [(0, 30), (31, 60)]),
        ([(0, 30), (31, 60)], {"gap_s": 1.0}, [(0, 60)]),
        ([(0, 30), (25, 55), (50, 80)], {"longest_s": 60.0}, [(0, 55), (50, 80)]),
        ([(0, 60), (10, 20), (55, 80)], {}, [(0, 80)]),
    ],
)
def test_which_clips_belong_together(
    clips: list[tuple[float, float]], settings: dict[str, Any], expected: list[tuple[float, float]]
) -> None:
    for order in (clips, clips[::-1]):
        merged = MergeClips(**settings).postprocess_nodes([clip(*each, score=0.5) for each in order])
        assert sorted((each.node.metadata["start_s"], each.node.metadata["end_s"]) for each in merged) == expected


def test_clips_of_two_videos_stay_apart() -> None:
    found = [clip(0, 30, 0.9), clip(10, 40, 0.8, source="/b.mp4")]
    assert MergeClips().postprocess_nodes(found) == found


async def test_a_merged_clip_says_shared_words_once_and_awaits() -> None:
    found = [clip(0, 30, 0.9, "The bunny wakes. He yawns."), clip(25, 55, 0.8, "He yawns. A butterfly comes.")]
    [merged] = await MergeClips().apostprocess_nodes(found)
    assert merged.node.get_content() == "The bunny wakes. He yawns. A butterfly comes."
    assert found[0].node.get_content() == "The bunny wakes. He yawns."


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("a b", "b c", "a b c"), ("a b", "c d", "a b c d"), ("", "a", "a"), ("a", "", "a"), ("a b", "a b", "a b")],
)
def test_texts_join_where_they_overlap(first: str, second: str, expected: str) -> None:
    assert join_overlapping(first, second) == expected


def test_a_merged_clip_shows_frames_of_all_of_it(media: Path) -> None:
    source = str(media / "talk.mp4")
    found = [clip(0, 1.5, 0.9, source=source), clip(1.5, 3, 0.8, source=source)]
    [merged] = MergeClips().postprocess_nodes(found)
    blocks = merged.node.get_content_blocks()
    assert [block.block_type for block in blocks] == ["image"] * 4


# reranking


def by_length(question: str, texts: list[str]) -> list[float]:
    assert question == "which?"
    return [float(len(each)) for each in texts]


def test_nodes_with_words_are_put_in_order_and_images_keep_their_ranks() -> None:
    found = [text("a", 0.9), text("", 0.8), text("ccc", 0.7), text("bb", 0.6)]
    reranked = TextRerank(by_length).postprocess_nodes(found, query_str="which?")
    assert [(each.node_id, each.score) for each in reranked] == [("ccc", 3), ("image", 0.8), ("bb", 2), ("a", 1)]
    assert places(TextRerank(by_length, top_n=2).postprocess_nodes(found, query_str="which?")) == ["ccc", "image"]


def test_a_cross_encoder_is_taken_as_it_is() -> None:
    class CrossEncoder:
        def predict(self, pairs: list[tuple[str, str]]) -> list[float]:
            return [float(len(words)) for _, words in pairs]

    found = [text("a", 0.9), text("bb", 0.8)]
    assert places(TextRerank(CrossEncoder()).postprocess_nodes(found, query_str="which?")) == ["bb", "a"]


def test_equal_scores_keep_the_order_of_the_search() -> None:
    found = [text("a", 0.9), text("b", 0.8), text("c", 0.7)]
    assert places(TextRerank(by_length).postprocess_nodes(found, query_str="which?")) == ["a", "b", "c"]


def test_a_question_without_words_changes_no_order() -> None:
    found = [text("a", 0.9), text("bb", 0.8)]
    assert TextRerank(by_length, top_n=1).postprocess_nodes(found, query_str="") == found[:1]
    assert TextRerank(by_length).postprocess_nodes([], query_str="which?") == []


def test_a_reranker_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a function"):
        TextRerank("bge-reranker")  # type: ignore[arg-type]
    for wrong in ([1.0], [1.0, float("nan")]):
        with pytest.raises(InvalidInput, match="scores for 2 texts"):
            TextRerank(lambda question, texts, wrong=wrong: wrong).postprocess_nodes(
                [text("a", 0.9), text("b", 0.8)], query_str="which?"
            )
