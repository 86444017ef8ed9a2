"""Prompts are the table's strings, to the letter."""

import pytest

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.tasks import TASKS, task

# written out by hand from the public code's builders (src/model/processor.py:650-673 and the parsers, 6e1e1d4)
# ruff: noqa: E501
BY_HAND = [
    ("OK-VQA", "query", ("what is it", "image"), "<|image_pad|>\nRepresent the given image with the following question: what is it\n"),
    ("ImageNet-1K", "query", ("", "image"), "<|image_pad|>\nRepresent the given image for classification\n"),
    ("ImageNet-1K", "target", ("tench",), "tench"),
    ("MSCOCO_t2i", "query", ("a dog",), "Find me an everyday image that matches the given caption: a dog\n"),
    ("MSCOCO_t2i", "target", ("", "image"), "<|image_pad|>\nRepresent the given image.\n"),
    ("CIRR", "target", ("", "image"), "<|image_pad|>\nRepresent the given image."),
    ("OVEN", "target", ("A lake.", "image"), "<|image_pad|>\nRepresent the given Wikipedia image with related text information: A lake.\n"),
    ("MSCOCO", "query", ("dog", "image"), '<|image_pad|>\nCrop the image to to isolate the object labeled as "dog"\n'),
    ("Wiki-SS-NQ", "target", ("", "image"), "<|image_pad|>\nRepresent the given image\n"),
    ("MSR-VTT", "query", ("a goal",), "Find a video that contains the following visual content: a goal"),
    ("MSR-VTT", "target", ("", "video"), "<|video_pad|> Understand the content of the provided video."),
    ("VisDial", "query", ("a dog",), "Represent the given dialogue about an image, which is used for image retrieval: a dog\n\n"),
    ("MomentSeeker", "query", ("a dog",), "Find the clip that corresponds to the given text: a dog"),
    ("MomentSeeker", "query", ("a dog", "image"), "<|image_pad|> Select the video clip that aligns with the given text and image: a dog"),
    ("MomentSeeker", "query", ("a dog", "video"), "<|video_pad|> Find the clip that corresponds to the given sentence and video segment: a dog"),
    ("MomentSeeker", "target", ("", "video"), "<|video_pad|> Understand the content of the provided video clip."),
    ("ViDoRe_docvqa", "query", ("net income",), "Find a document image that matches the given query: net income"),
    ("ViDoRe_docvqa", "target", ("", "image"), "<|image_pad|> Understand the content of the provided document image."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "side", "arguments", "expected"), BY_HAND)
def test_a_task_prompt_is_the_public_codes(name, side, arguments, expected):
    assert getattr(TASKS[name], f"{side}_prompt")(*arguments) == expected


def test_all_78_tasks_are_there():
    counts = {
        modality: sum(each.modality == modality for each in TASKS.values()) for modality in ("image", "video", "visdoc")
    }
    assert counts == {"image": 36, "video": 18, "visdoc": 24}


def test_video_questions_keep_the_public_codes_two_spaces():
    assert "Question:  how many" in TASKS["MVBench"].query_prompt("how many", "video")


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(InvalidInput, match="MSR-VTT"):
        task("MSRVTT")
