"""The instructions the model was trained with: per task and side for MMEB-V2, and a plain default per kind.

A prompt is `[visual token][separator]INSTRUCTION[ TEXT]`, complete as the model reads it: no chat template, no
system prompt, no end token. Image tasks separate with a line break and end in one; video and page tasks use a space
(public code: `src/model/processor.py:650-673` and the parsers under `src/data/eval_dataset` at 6e1e1d4).
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, TypeAlias

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS, Kind

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  a token of the vocabulary, not a secret
VIDEO_TOKEN = "<|video_pad|>"  # noqa: S105

Visual: TypeAlias = Literal["", "image", "video"]
VISUAL_TOKENS: Mapping[Visual, str] = MappingProxyType({"": "", "image": IMAGE_TOKEN, "video": VIDEO_TOKEN})

# What a question asks for decides its instruction. Each is one of the training or evaluation instructions of the
# nearest task: MSCOCO_t2i, NIGHTS and CIRR for images, ViDoRe for pages, MSR-VTT and MomentSeeker for clips.
QUERY_INSTRUCTIONS: Mapping[tuple[Visual, bool, Kind], str] = MappingProxyType(
    {
        # (what the question shows, whether it has words, what it looks for)
        ("", True, "page"): "Find a document image that matches the given query:",
        ("", True, "image"): "Find me an everyday image that matches the given caption:",
        ("", True, "clip"): "Find a video that contains the following visual content:",
        ("", True, "text"): "",
        ("image", False, "page"): "Find a document image that matches the given query:",
        ("image", False, "image"): "Find a day-to-day image that looks similar to the provided image.",
        ("image", False, "clip"): "Select the video clip that aligns with the given text and image:",
        ("image", False, "text"): "Find an image caption describing the given everyday image.",
        ("image", True, "page"): "Represent the given image with the following question:",
        ("image", True, "image"): "Given an image, find a similar everyday image with the described changes:",
        ("image", True, "clip"): "Select the video clip that aligns with the given text and image:",
        ("image", True, "text"): "Represent the given image with the following question:",
        ("video", False, "page"): "Understand the content of the provided video.",
        ("video", False, "image"): "Understand the content of the provided video.",
        ("video", False, "clip"): "Understand the content of the provided video.",
        ("video", False, "text"): "Understand the content of the provided video.",
        ("video", True, "page"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "image"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "clip"): "Find the clip that corresponds to the given sentence and video segment:",
        ("video", True, "text"): "Find the clip that corresponds to the given sentence and video segment:",
    }
)
ITEM_INSTRUCTIONS: Mapping[tuple[Kind, bool], str] = MappingProxyType(
    {
        # (kind, whether its words are read together with its pixels)
        ("text", True): "",
        ("page", False): "Understand the content of the provided document image.",
        ("page", True): "Understand the content of the provided document image.",
        ("image", False): "Represent the given image.",
        ("image", True): "Represent the given image with related text information:",
        ("clip", False): "Understand the content of the provided video.",
        ("clip", True): "Understand the content of the provided video.",
    }
)

# A question to a collection of many kinds is asked as a question to pages unless the search is limited to one kind.
MIXED: Kind = "page"


@dataclass(frozen=True, slots=True)
class Task:
    """One of the 78 tasks of MMEB-V2, as its row in `data/mmeb_v2_tasks.tsv` has it."""

    name: str
    modality: str  # image, video or visdoc
    family: str
    metric: str
    query_instruction: str
    target_instruction: str
    hub_path: str
    eval_type: str  # local: each query has its own candidates; global: all candidates of the task
    query_modality: str
    target_modality: str
    parser: str
    query_format: str
    target_format: str
    n_queries: str
    instruction_source: str

    def query_prompt(self, text: str = "", visual: Visual = "") -> str:
        """The complete prompt of a query; `text` fills the instruction's blank where it has one."""
        instruction, text = _fill(_for_visual(self.query_instruction, visual), text)
        prompt = layout(instruction, text, visual, lines=self.modality == "image", final_newline=True)
        # the dialogues of one task end in two line breaks (public code: image_t2i_eval.py:20-21)
        return prompt + "\n" if self.name == "VisDial" else prompt

    def target_prompt(self, text: str = "", visual: Visual = "") -> str:
        """The complete prompt of a target; labels, answers and captions are the raw string."""
        if not visual and not self.target_instruction:
            return text
        instruction, text = _fill(self.target_instruction, text)
        # image-to-image targets without a caption are the only ones whose last line stays open
        # (public code: image_i2i_vg_dataset.py:32-38)
        final_newline = self.parser != "image_i2i_vg" or bool(text)
        return layout(instruction, text, visual, lines=self.modality == "image", final_newline=final_newline)


def layout(instruction: str, text: str, visual: Visual, *, lines: bool, final_newline: bool = True) -> str:
    """Put token, instruction and text together, with line breaks (`lines`, image tasks) or with spaces."""
    words = f"{instruction} {text}" if instruction and text else instruction or text
    token = VISUAL_TOKENS[visual]
    if lines:
        return (f"{token}\n" if token else "") + words + ("\n" if final_newline else "")
    return f"{token} {words}" if token and words else token or words


def query_prompt(
    text: str = "", visual: Visual = "", *, target: Kind | None = None, instruction: str | None = None
) -> str:
    """The prompt of a question that looks for one kind of item, or for any.

    Args:
        text: The words of the question.
        visual: What the question shows.
        target: What it looks for; None for a collection of many kinds.
        instruction: One of your own in place of the default.

    Raises:
        InvalidInput: `target` is no kind of item.
    """
    target = MIXED if target is None else target
    if target not in KINDS:
        raise InvalidInput(f"no kind of item is called {target!r}; expected one of {', '.join(KINDS)}")
    if instruction is None:
        instruction = QUERY_INSTRUCTIONS[visual, bool(text.strip()) or not visual, target]
    return layout(instruction, plain(text), visual, lines=target == "image")


def item_prompt(kind: Kind, text: str = "", *, instruction: str | None = None) -> str:
    """The prompt of an item; `text` are the words to read together with its pixels, none by default."""
    if instruction is None:
        instruction = ITEM_INSTRUCTIONS[kind, bool(text)]
    visual: Visual = "" if kind == "text" else "video" if kind == "clip" else "image"
    return layout(instruction, plain(text), visual, lines=kind == "image")


def plain(text: str) -> str:
    """Break every special token in text from outside, so that words can never pass for pixels or turns.

    The vocabulary's special tokens all look like `<|name|>`; a space after the bracket makes one ordinary text.
    """
    return re.sub(r"<(?=\|[a-z_]+\|>)", "< ", text)


@cache
def prompts_digest() -> str:
    """Sixteen digits over every instruction and layout above: part of an encoder's fingerprint."""
    digest = hashlib.sha256()
    for visual, has_text, target in QUERY_INSTRUCTIONS:
        digest.update(query_prompt("q" if has_text else "", visual, target=target).encode() + b"\0")
    for kind, has_text in ITEM_INSTRUCTIONS:
        digest.update(item_prompt(kind, "t" if has_text else "").encode() + b"\0")
    return digest.hexdigest()[:16]


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        InvalidInput: There is none; the message names the nearest.
    """
    try:
        return TASKS[name]
    except KeyError:
        import difflib

        near = ", ".join(difflib.get_close_matches(name, TASKS, n=3, cutoff=0.3)) or ", ".join(list(TASKS)[:5])
        raise InvalidInput(f"MMEB-V2 has no task {name!r}; near it: {near}") from None


def _for_visual(instruction: str, visual: Visual) -> str:
    """The one for what the query shows, where a task has several: `text: "..." | image: "..." | video: "..."`."""
    several: dict[str, str] = dict(re.findall(r'(text|image|video): "([^"]*)"(?: \| |$)', instruction))
    return several.get(visual or "text", instruction)


def _fill(instruction: str, text: str) -> tuple[str, str]:
    """Fill the blank of a grounding instruction (`labeled as "{label}"`); others keep the text behind it."""
    filled, blanks = re.subn(r"\{[a-z_0-9]+\}", lambda _: text, instruction)
    return (filled, "") if blanks else (instruction, text)


def _read_tasks() -> Mapping[str, Task]:
    with resources.files("vlm2vec_rag").joinpath("data/mmeb_v2_tasks.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return MappingProxyType({row[0]: Task(*row) for row in rows})


TASKS: Mapping[str, Task] = _read_tasks()
